"""The ledger: accounts, transfers and the rules about them. Synchronous; knows neither trio nor the wire."""
