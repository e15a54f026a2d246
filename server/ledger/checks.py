"""The ledger's invariants by name, and the list of what was found wrong with each."""

from __future__ import annotations

from typing import Final

import msgspec

NAMED_MAX: Final = 5
"""Rows named per check: enough to see the pattern; how many there are in all is said as well."""

INTEGRITY: Final = "integrity"
JOURNAL_DENSE: Final = "journal_dense"
HASH_CHAIN: Final = "hash_chain"
ENTRIES_MATCH: Final = "entries_match_transfers"
DECLINED_EMPTY: Final = "declined_without_entries"
ACCOUNT_CHAINS: Final = "account_chains"
STORED_BALANCES: Final = "stored_balances"
CONSERVATION: Final = "conservation"
NO_OVERDRAFT: Final = "no_overdraft"
IDENTITIES: Final = "identities_unique"
REVERSALS: Final = "reversals_pair"
FOLLOW_UPS: Final = "follow_ups"
HELD: Final = "holds"
BUSINESS_DAYS: Final = "business_days"
SPENT: Final = "spent_today"
REFERENCES: Final = "references"
SETTLEMENTS: Final = "settlements"
EXPECTED_DIGESTS: Final = "expected_digests"
"""Only when somebody names digests written down elsewhere."""

CHECKS: Final = {
    INTEGRITY: "the database's own structure",
    JOURNAL_DENSE: "transfers are numbered 1, 2, 3, ... without a gap",
    HASH_CHAIN: "each transfer's digest follows from the one before, the row and its entries",
    ENTRIES_MATCH: "each approved transfer has exactly the entries its kind and amount ask for, summing to zero",
    DECLINED_EMPTY: "a declined transfer moves nothing",
    ACCOUNT_CHAINS: "each entry follows its account's entry before: previous_seq, balance, and the balance answered",
    STORED_BALANCES: "each account's stored balance and newest entry are what its entries give",
    CONSERVATION: "all balances together are zero, in money and in points",
    NO_OVERDRAFT: "no customer, and nothing that is held, is or ever was below zero",
    IDENTITIES: "each (terminal, batch, STAN, side) is there once",
    REVERSALS: "each reversal moves back what its original had moved, once; what was reversed first is declined",
    FOLLOW_UPS: "each void, refund, completion and expiry is about what it fits, and no more goes back than was taken",
    HELD: "what is held is what pre-authorizations and all that came of them leave",
    BUSINESS_DAYS: "business days never go back, and each transfer lies within its own",
    SPENT: "what each account has spent on its last day of sales is the sum of those sales",
    SETTLEMENTS: "each settled batch is what the journal had of it then, and nothing is in a closed batch besides",
    REFERENCES: "every card, customer, merchant, terminal and entry belongs to something that is there",
}
"""Every check by name, in the order of the report, and what it says."""


class Check(msgspec.Struct, frozen=True):
    """One invariant: whether it holds, and what was counted or which rows break it."""

    name: str
    ok: bool
    detail: str


class Findings:
    """What was found wrong, by check. `summary` is what is said of a check that holds."""

    def __init__(self) -> None:
        self._named: dict[str, list[str]] = {name: [] for name in CHECKS}
        self._count = dict.fromkeys(CHECKS, 0)
        self.summary = dict(CHECKS)

    def add(self, check: str, text: str) -> None:
        """One row that breaks a check, and how."""
        self._count[check] += 1
        if len(self._named[check]) < NAMED_MAX:
            self._named[check].append(text)

    def report(self) -> list[Check]:
        """Every check, in order."""
        return [self._check(name) for name in CHECKS]

    def _check(self, name: str) -> Check:
        named, count = self._named[name], self._count[name]
        if not count:
            return Check(name, True, self.summary[name])
        more = f"; and {count - len(named)} more" if count > len(named) else ""
        return Check(name, False, "; ".join(named) + more)
