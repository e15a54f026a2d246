"""The ledger as a whole: where it stands, and the recovery after it was restored from a backup."""

from __future__ import annotations

from typing import ClassVar

from server.ledger import rollback
from server.ledger.model import OFFLINE_DEBT_ACCOUNT
from server.ledger.recovery import RECOVERY_WINDOW_MS
from server.operations.desk import PAGE_MAX, AdminError, Desk, Fields, show_terminal


class LedgerDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("show", "recover", "close")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def show(self) -> Fields:
        """Newest transfer, epoch, history, recovery, what OFFLINE_DEBT bears, and whether a rollback was seen."""
        desk, store = self._desk, self._desk.ledger.store
        seq, digest = store.head()
        recovery, now_ms = desk.ledger.recovery, desk.now_ms()
        is_open = recovery is not None and recovery.is_open(now_ms)
        debt = store.load_accounts([OFFLINE_DEBT_ACCOUNT])
        seen = rollback.noted(store)
        return {
            "newest_seq": seq,
            "newest_digest": digest.hex(),
            "business_day": desk.ledger.business_day,
            "epoch": int(desk.registry.meta("epoch") or 0),
            "history": desk.ledger.history,
            "restored_at_ms": recovery.opened_at_ms if recovery is not None else 0,
            "restored_first_seq": recovery.first_seq if recovery is not None else 0,
            "uploads_until_ms": recovery.opened_at_ms + RECOVERY_WINDOW_MS if recovery is not None and is_open else 0,
            "offline_debt_fen": sum(account.balance_fen for account in debt.values()),
            "rollback": None
            if seen is None
            else {
                "terminal": show_terminal(seen.terminal_id),
                "seen_epoch": seen.seen_epoch,
                "own_epoch": seen.own_epoch,
                "noted_at_ms": seen.noted_at_ms,
            },
        }

    def recover(self) -> Fields:
        """Open a new history, for a ledger that was put back without `fanka restore`.

        Terminals upload what is missing here when they connect next: so every session that is open is ended.
        """
        desk = self._desk
        history = desk.ledger.open_history(desk.now_ms())
        terminals = 0
        after = -1
        while page := desk.registry.terminals(after=after, limit=PAGE_MAX):
            terminals += len(page)
            after = page[-1].terminal_id
            for terminal in page:
                desk.on_revoked(terminal.terminal_id)
        return {**self.show(), "history": history, "terminals": terminals}

    def close(self) -> Fields:
        """End the recovery before its time: all terminals have brought back what they had."""
        if not self._desk.ledger.close_recovery(self._desk.now_ms()):
            raise AdminError("recovery: expected an open one, got none; see `fanka admin ledger show`")
        return self.show()
