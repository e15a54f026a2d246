"""One pass over the journal with every account's running state: what `server.ledger.verify` is mostly made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from server.ledger import movements
from server.ledger.batch import GENESIS, IN_POINTS, chain_digest
from server.ledger.checks import (
    ACCOUNT_CHAINS,
    BUSINESS_DAYS,
    CONSERVATION,
    DECLINED_EMPTY,
    ENTRIES_MATCH,
    FOLLOW_UPS,
    HASH_CHAIN,
    HELD,
    JOURNAL_DENSE,
    NO_OVERDRAFT,
    REFERENCES,
    REVERSALS,
    SPENT,
    STORED_BALANCES,
    Findings,
)
from server.ledger.family import Family
from server.ledger.model import (
    BONUS_ACCOUNT,
    FIRST_CUSTOMER_ACCOUNT,
    FUNDING_ACCOUNT,
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    AccountKind,
    Decision,
    Entry,
    Kind,
    Side,
    Transfer,
)
from server.ledger.recovery import Recovery, recoveries
from server.ledger.store import Row, Store

PROGRESS_EVERY: Final = 4_096
"""Transfers between two calls of the progress function."""

Progress = Callable[[int, int], None]


class Running(msgspec.Struct, gc=False):
    """An account as its entries so far give it."""

    balance_fen: int = 0
    last_seq: int = 0
    spent_day: int = 0
    spent_fen: int = 0
    payments: int = 0
    """On that day."""


NAMED: Final = {
    FUNDING_ACCOUNT: AccountKind.FUNDING,
    OFFLINE_DEBT_ACCOUNT: AccountKind.OFFLINE_DEBT,
    HOLDS_ACCOUNT: AccountKind.HOLDS,
    BONUS_ACCOUNT: AccountKind.BONUS,
    POINTS_ISSUED_ACCOUNT: AccountKind.POINTS_ISSUED,
}
"""The campus's own accounts, and what each of them is: no other account may be of these kinds."""
FOLLOWING: Final = (Kind.REVERSAL, *movements.ORIGINALS)
"""Kinds whose `original_seq` is a row of this journal."""
CURRENCY_OF_POINTS: Final = (AccountKind.POINTS, AccountKind.POINTS_ISSUED)
OWING: Final = (
    AccountKind.FUNDING,
    AccountKind.OFFLINE_DEBT,
    AccountKind.MERCHANT,
    AccountKind.BONUS,
    AccountKind.POINTS,
    AccountKind.POINTS_ISSUED,
)
"""Kinds of accounts that may be below zero: all but customers' money and what is held of it."""

_SELECT: Final = f"SELECT {', '.join(field.name for field in msgspec.structs.fields(Transfer))} FROM transfers"  # noqa: S608 - the names are our own


class Walk:
    """One pass over transfers and entries side by side, with every account's running state."""

    def __init__(self, store: Store, findings: Findings) -> None:
        self._store = store
        self._add = findings.add
        self._summary = findings.summary
        self._accounts: dict[int, Running] = {}
        self._reversed: set[int] = set()
        self._follow_ups = 0
        self._holds: dict[int, tuple[int, int]] = {}  # by number of a pre-authorization: whose, and what is held
        self._recoveries: list[Recovery] = []
        self._days: dict[int, tuple[int, int]] = {}
        self._opened_ms: dict[int, int] = {}  # when each day was opened
        self._last_day = 0

    def run(self, on_progress: Progress | None) -> None:
        """Check every transfer in turn."""
        self._load_days()
        self._recoveries = recoveries(self._store)
        store = self._store
        total = store.execute("SELECT count(*) FROM transfers")[0][0]
        entries = _Groups(
            store.rows(
                "SELECT seq, account_id, amount_fen, balance_fen, previous_seq FROM entries ORDER BY seq, account_id"
            )
        )
        expected_seq, digest, done = 1, GENESIS, 0
        for row in store.rows(_SELECT + " ORDER BY seq"):
            transfer = Transfer(*row)
            seq = transfer.seq
            if seq != expected_seq:
                self._add(JOURNAL_DENSE, f"transfer {seq}: expected {expected_seq} here: rows are missing")
            expected_seq = seq + 1
            for orphan in entries.before(seq):
                self._add_orphan(orphan)
            legs = entries.take(seq)
            if chain_digest(digest, transfer, legs) != transfer.digest:
                self._add(HASH_CHAIN, f"transfer {seq}: its digest does not follow from its content and the one before")
            digest = transfer.digest
            self._check_transfer(transfer, legs)
            done += 1
            if on_progress is not None and done % PROGRESS_EVERY == 0:
                on_progress(done, total)
        for orphan in entries.rest():
            self._add_orphan(orphan)
        self._check_day_starts(newest_seq=expected_seq - 1)
        if on_progress is not None:
            on_progress(done, total)
        self._summary[JOURNAL_DENSE] = f"{done} transfers, numbered without a gap"
        self._summary[REVERSALS] = (
            f"{len(self._reversed)} reversals, each moving back what its original had moved, once"
        )
        self._summary[FOLLOW_UPS] = f"{self._follow_ups} voids, refunds, completions and expiries, each of its original"

    def _add_orphan(self, entry: Entry) -> None:
        self._add(REFERENCES, f"entry (seq {entry.seq}, account {entry.account_id}): there is no transfer {entry.seq}")
        self._running(entry.account_id).balance_fen += entry.amount_fen

    def _running(self, account_id: int) -> Running:
        running = self._accounts.get(account_id)
        if running is None:
            running = self._accounts[account_id] = Running()
        return running

    def _check_transfer(self, transfer: Transfer, legs: list[Entry]) -> None:
        self._check_day(transfer)
        family = self._family_of(transfer)
        if transfer.kind == Kind.UPLOAD or transfer.lost_rrn:
            self._check_upload(transfer)
        if transfer.decision == Decision.APPROVED:
            self._check_legs(transfer, legs, family)
        elif legs:
            decision = _decision(transfer.decision)
            self._add(DECLINED_EMPTY, f"transfer {transfer.seq} ({decision}): expected no entries, got {len(legs)}")
        for leg in legs:
            self._follow(leg)
        self._check_answer(transfer, family)
        if transfer.decision == Decision.APPROVED:
            self._count(transfer, legs, family)
        if transfer.kind == Kind.REVERSAL:
            self._check_reversal(transfer, family)
        elif transfer.side != Side.ORIGINAL:
            self._add(REVERSALS, f"transfer {transfer.seq}: side {transfer.side} but kind {transfer.kind}")
        elif transfer.decision == Decision.REVERSED_BEFORE:
            self._check_reversed_before(transfer)

    def _family_of(self, transfer: Transfer) -> Family | None:
        """What came before a row and hangs together with what it is about; None for a row about nothing."""
        if transfer.kind not in FOLLOWING or not 0 < transfer.original_seq < transfer.seq:
            return None
        rows = [row for row in self._store.load_family([transfer.original_seq]) if row.seq < transfer.seq]
        family = Family()
        family.add_all(rows, self._store.load_entries([row.seq for row in rows]))
        return family

    def _balance_of(self, account_id: int) -> int:
        account = self._accounts.get(account_id)
        return account.balance_fen if account is not None else 0

    def _check_legs(self, transfer: Transfer, legs: list[Entry], family: Family | None) -> None:
        wanted = self._wanted(transfer, family)
        if wanted is None:
            return
        expected = {account_id: amount_fen for account_id, amount_fen in wanted.items() if amount_fen}
        got = {leg.account_id: leg.amount_fen for leg in legs}
        if got != expected:
            self._add(
                ENTRIES_MATCH,
                f"transfer {transfer.seq}: expected {_legs(expected)}, got {_legs(got)}, sum {sum(got.values())} fen",
            )
        points = got.get(transfer.account_id + POINTS_ACCOUNT_OFFSET, 0)
        if transfer.points != points:
            self._add(ENTRIES_MATCH, f"transfer {transfer.seq}: expected {points} points, got {transfer.points}")

    def _wanted(self, transfer: Transfer, family: Family | None) -> movements.Moved | None:
        """What it has to have moved; None if that cannot be said, and has been named."""
        original = family.get(transfer.original_seq) if family is not None else None
        if transfer.kind == Kind.REVERSAL:
            if family is None or original is None:
                return {}
            return movements.of_reversal(original, family, self._balance_of)
        if transfer.kind in movements.ORIGINALS:
            for problem in movements.problems_of(transfer, original, family or Family()):
                self._add(FOLLOW_UPS, f"transfer {transfer.seq} ({Kind(transfer.kind).name}): {problem}")
            if family is None or original is None:
                return None
            self._follow_ups += 1
            return movements.of_follow_up(transfer, original, family, self._balance_of)
        wanted = movements.of_root(transfer, self._balance_of)
        if wanted is None:
            self._add(ENTRIES_MATCH, f"transfer {transfer.seq}: expected a known kind, got {transfer.kind}")
        return wanted

    def _count(self, transfer: Transfer, legs: list[Entry], family: Family | None) -> None:
        """What limits count, and what is held."""
        own = (transfer.account_id, OFFLINE_DEBT_ACCOUNT)
        spent_fen = -sum(leg.amount_fen for leg in legs if leg.account_id in own)
        original = family.get(transfer.original_seq) if family is not None else None
        root = family.root(original) if family is not None and original is not None else transfer
        if root.kind in movements.SPENDING and transfer.account_id:
            payer = self._running(transfer.account_id)
            if root is transfer and payer.spent_day != transfer.business_day:
                payer.spent_day, payer.spent_fen, payer.payments = transfer.business_day, 0, 0
            counts = movements.counts_as_spent(root, self._opened_ms.get(root.business_day, 0))
            if root is transfer and counts:
                payer.payments += 1
            if payer.spent_day == root.business_day and counts:
                payer.spent_fen += spent_fen
        moved_fen = sum(leg.amount_fen for leg in legs if leg.account_id == HOLDS_ACCOUNT)
        if moved_fen:
            held_fen = self._holds.pop(root.seq, (0, 0))[1] + moved_fen
            if held_fen:
                self._holds[root.seq] = (root.account_id, held_fen)

    def _follow(self, leg: Entry) -> None:
        account = self._running(leg.account_id)
        where = f"entry (seq {leg.seq}, account {leg.account_id})"
        if leg.previous_seq != account.last_seq:
            self._add(ACCOUNT_CHAINS, f"{where}: expected previous_seq {account.last_seq}, got {leg.previous_seq}")
        account.balance_fen += leg.amount_fen
        if leg.balance_fen != account.balance_fen:
            self._add(ACCOUNT_CHAINS, f"{where}: expected balance {account.balance_fen} fen, got {leg.balance_fen}")
        if leg.balance_fen < 0 and not _may_owe(leg.account_id):
            self._add(NO_OVERDRAFT, f"{where}: balance {leg.balance_fen} fen")
        if leg.balance_fen > 0 and leg.account_id == OFFLINE_DEBT_ACCOUNT:
            self._add(NO_OVERDRAFT, f"{where}: expected a claim, 0 fen or below, got {leg.balance_fen}")
        account.last_seq = leg.seq

    def _check_answer(self, transfer: Transfer, family: Family | None) -> None:
        original = family.get(transfer.original_seq) if family is not None else None
        in_points = transfer.kind in IN_POINTS or (original is not None and original.kind in IN_POINTS)
        account_id = transfer.account_id + (POINTS_ACCOUNT_OFFSET if in_points and transfer.account_id else 0)
        expected = self._balance_of(account_id)
        if transfer.balance_fen != expected:
            self._add(
                ACCOUNT_CHAINS,
                f"transfer {transfer.seq}: expected the answered balance of account {account_id} to be"
                f" {expected} fen, got {transfer.balance_fen}",
            )
        left = self._balance_of(transfer.account_id + POINTS_ACCOUNT_OFFSET) if transfer.points else 0
        if transfer.points_balance != left:
            self._add(
                ACCOUNT_CHAINS,
                f"transfer {transfer.seq}: expected {left} points to be left, got {transfer.points_balance}",
            )

    # --- reversals

    def _check_reversal(self, reversal: Transfer, family: Family | None) -> None:
        where = f"transfer {reversal.seq} (reversal)"
        if reversal.side != Side.REVERSAL or reversal.decision != Decision.APPROVED:
            self._add(
                REVERSALS, f"{where}: expected side 1, approved; got {reversal.side}, {_decision(reversal.decision)}"
            )
        identity = (reversal.terminal_id, reversal.batch, reversal.stan)
        original = self._original(identity)
        if original is None or original.seq > reversal.seq:
            self._check_tombstone(where, reversal, original)
            return
        if reversal.original_seq != original.seq:
            self._add(REVERSALS, f"{where}: expected to name transfer {original.seq}, got {reversal.original_seq}")
        expected_fen = self._reversed_fen(reversal, original, family)
        if reversal.amount_fen != expected_fen:
            self._add(
                REVERSALS,
                f"{where}: expected {expected_fen} fen, as transfer {original.seq} took, got {reversal.amount_fen}",
            )
        if (reversal.account_id, reversal.merchant_account_id) != (original.account_id, original.merchant_account_id):
            self._add(
                REVERSALS,
                f"{where}: expected payer {original.account_id} and merchant {original.merchant_account_id}, as"
                f" transfer {original.seq} has, got {reversal.account_id} and {reversal.merchant_account_id}",
            )
        if original.seq in self._reversed:
            self._add(REVERSALS, f"{where}: transfer {original.seq} was reversed before")
        if original.decision == Decision.APPROVED:
            self._reversed.add(original.seq)

    def _reversed_fen(self, reversal: Transfer, original: Transfer, family: Family | None) -> int:
        """What a reversal says it moved back, from its entries: of a completion what the merchant gave."""
        legs = self._store.load_entries([reversal.seq])
        if original.kind in (Kind.COMPLETION, Kind.COMPLETION_VOID):
            return abs(sum(leg.amount_fen for leg in legs if leg.account_id == original.merchant_account_id))
        in_points = original.kind in IN_POINTS
        return sum(leg.amount_fen for leg in legs if leg.amount_fen > 0 and _is_points(leg.account_id) == in_points)

    def _check_tombstone(self, where: str, reversal: Transfer, late: Transfer | None) -> None:
        if reversal.original_seq or reversal.amount_fen:
            self._add(
                REVERSALS,
                f"{where}: expected no original and 0 fen, as none came before,"
                f" got transfer {reversal.original_seq} and {reversal.amount_fen} fen",
            )
        if late is not None and late.decision == Decision.APPROVED:
            self._add(REVERSALS, f"transfer {late.seq}: approved, though transfer {reversal.seq} came before it")

    def _check_reversed_before(self, sale: Transfer) -> None:
        rows = self._store.execute(
            "SELECT seq FROM transfers WHERE terminal_id = ? AND batch = ? AND stan = ? AND side = 1",
            (sale.terminal_id, sale.batch, sale.stan),
        )
        if not rows or rows[0][0] > sale.seq:
            self._add(REVERSALS, f"transfer {sale.seq}: declined as reversed before, but no reversal came before it")

    def _original(self, identity: tuple[int, int, int]) -> Transfer | None:
        rows = self._store.execute(
            _SELECT + " WHERE terminal_id = ? AND batch = ? AND stan = ? AND side = 0",
            identity,
        )
        return Transfer(*rows[0]) if rows else None

    # --- uploads and business days

    def _check_upload(self, upload: Transfer) -> None:
        # Not whether it was closed by then: the host's clock may have been set back in between.
        begun = [recovery for recovery in self._recoveries if recovery.first_seq <= upload.seq]
        if not begun or not begun[-1].is_in_window(upload.posted_at_ms):
            self._add(REFERENCES, f"transfer {upload.seq}: uploaded, but no recovery was open")

    def _load_days(self) -> None:
        # When a day was opened is what the clock said, and a clock may be set back: the transfers alone give the order.
        previous_day = previous_first = 0
        for day, first_seq, opened_at_ms in self._store.execute(
            "SELECT day, first_seq, opened_at_ms FROM business_days ORDER BY day"
        ):
            self._opened_ms[day] = opened_at_ms
            if first_seq < previous_first:
                self._add(BUSINESS_DAYS, f"day {day}: opened before day {previous_day}")
            if previous_day:
                self._days[previous_day] = (previous_first, first_seq)
            self._days[day] = (first_seq, 1 << 63)
            previous_day, previous_first = day, first_seq

    def _check_day_starts(self, newest_seq: int) -> None:
        """The first day begins with the journal, and none begins beyond its end."""
        begins = {day: first_seq for day, (first_seq, _) in self._days.items()}
        if begins and (first := min(begins)) and begins[first] != 1:
            self._add(BUSINESS_DAYS, f"day {first}: expected to begin with transfer 1, got {begins[first]}")
        for day, first_seq in begins.items():
            if first_seq > newest_seq + 1:
                self._add(
                    BUSINESS_DAYS,
                    f"day {day}: begins with transfer {first_seq}, but the journal ends at {newest_seq}",
                )

    def _check_day(self, transfer: Transfer) -> None:
        day = transfer.business_day
        first, end = self._days.get(day, (1 << 63, 0))
        if not first <= transfer.seq < end:
            known = f"transfers {first}..{end - 1}" if end else "no such day"
            self._add(BUSINESS_DAYS, f"transfer {transfer.seq}: business day {day}: {known}")
        if day < self._last_day:
            self._add(BUSINESS_DAYS, f"transfer {transfer.seq}: business day {day} after {self._last_day}")
        self._last_day = max(self._last_day, day)

    # --- accounts

    def compare_accounts(self) -> None:
        """The stored account rows against what the walk has found."""
        total_fen = points = count = 0
        blank = Running()
        seen: set[int] = set()
        for account_id, kind, balance_fen, spent_day, spent_fen, last_seq, day_count in self._store.rows(
            "SELECT account_id, kind, balance_fen, spent_day, spent_fen, last_seq, day_count FROM accounts"
            " ORDER BY account_id"
        ):
            count += 1
            seen.add(account_id)
            total_fen += 0 if kind in CURRENCY_OF_POINTS else balance_fen
            points += balance_fen if kind in CURRENCY_OF_POINTS else 0
            found = self._accounts.pop(account_id, blank)
            where = f"account {account_id}"
            if (balance_fen, last_seq) != (found.balance_fen, found.last_seq):
                self._add(
                    STORED_BALANCES,
                    f"{where}: expected {found.balance_fen} fen and newest entry {found.last_seq} from its entries,"
                    f" got {balance_fen} fen and {last_seq}",
                )
            if balance_fen < 0 and kind not in OWING:
                self._add(NO_OVERDRAFT, f"{where}: balance {balance_fen} fen")
            wanted = NAMED.get(account_id)
            if kind != wanted and (wanted is not None or kind in NAMED.values()):
                self._add(NO_OVERDRAFT, f"{where}: kind {kind}: only {_named()} may be of these kinds")
            if day_count > found.payments:
                self._add(SPENT, f"{where}: expected {found.payments} payments on day {spent_day}, got {day_count}")
            if (spent_day, spent_fen) != (found.spent_day, found.spent_fen):
                self._add(
                    SPENT,
                    f"{where}: expected {found.spent_fen} fen on day {found.spent_day} from its sales,"
                    f" got {spent_fen} on {spent_day}",
                )
        for account_id in NAMED.keys() - seen:
            self._add(REFERENCES, f"account {account_id}: the campus's own, but there is no such account")
        for account_id in self._accounts:
            self._add(REFERENCES, f"account {account_id}: has entries, but there is no such account")
        if total_fen:
            self._add(CONSERVATION, f"all {count} accounts together: expected 0 fen, got {total_fen}")
        if points:
            self._add(CONSERVATION, f"all accounts in points together: expected 0 points, got {points}")
        self._summary[CONSERVATION] = f"{count} accounts, together 0 fen"

    def compare_holds(self) -> None:
        """The table of holds against what the walk has found."""
        for seq, account_id, amount_fen in self._store.rows(
            "SELECT seq, account_id, amount_fen FROM holds ORDER BY seq"
        ):
            wanted = self._holds.pop(seq, (account_id, 0))
            if (account_id, amount_fen) != wanted:
                self._add(
                    HELD,
                    f"hold {seq}: expected {wanted[1]} fen of account {wanted[0]} from the journal,"
                    f" got {amount_fen} of {account_id}",
                )
        for seq, (account_id, amount_fen) in self._holds.items():
            self._add(HELD, f"hold {seq}: expected {amount_fen} fen of account {account_id}, found none")


class _Groups:
    """Entries in the order of their transfers, handed out transfer by transfer."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = (Entry(*row) for row in rows)
        self._next = next(self._rows, None)

    def _while(self, wanted: Callable[[int], bool]) -> Iterator[Entry]:
        while self._next is not None and wanted(self._next.seq):
            yield self._next
            self._next = next(self._rows, None)

    def before(self, seq: int) -> Iterator[Entry]:
        """Entries of transfers below `seq` that nobody has taken."""
        return self._while(lambda found: found < seq)

    def take(self, seq: int) -> list[Entry]:
        """The entries of transfer `seq`."""
        return [*self._while(lambda found: found == seq)]

    def rest(self) -> Iterator[Entry]:
        """All that is left."""
        return self._while(lambda _: True)


def _is_points(account_id: int) -> bool:
    return account_id == POINTS_ISSUED_ACCOUNT or account_id >= POINTS_ACCOUNT_OFFSET


def _may_owe(account_id: int) -> bool:
    if account_id in NAMED:
        return NAMED[account_id] in OWING
    return account_id < FIRST_CUSTOMER_ACCOUNT or account_id >= POINTS_ACCOUNT_OFFSET


def _named() -> str:
    return ", ".join(f"account {account_id} ({kind.name})" for account_id, kind in NAMED.items())


def _decision(value: int) -> str:
    return Decision(value).name if value in Decision._value2member_map_ else str(value)


def _legs(legs: dict[int, int]) -> str:
    return " ".join(f"{account_id}:{amount_fen:+d}" for account_id, amount_fen in sorted(legs.items())) or "none"
