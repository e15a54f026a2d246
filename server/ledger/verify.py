"""Recompute every invariant of the ledger from its rows, read-only, in one pass over the journal.

Each check that fails names the rows that break it. Memory grows with the number of accounts (some 200 bytes each), not
with the number of transfers. All of it reads one snapshot, so it may run beside a working host on a connection of its
own; while it does, that host's write-ahead log cannot shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from server.ledger.checks import (
    ACCOUNT_CHAINS,
    BUSINESS_DAYS,
    CONSERVATION,
    DECLINED_EMPTY,
    ENTRIES_MATCH,
    EXPECTED_DIGESTS,
    FOLLOW_UPS,
    HASH_CHAIN,
    HELD,
    IDENTITIES,
    INTEGRITY,
    JOURNAL_DENSE,
    NO_OVERDRAFT,
    REFERENCES,
    REVERSALS,
    SETTLEMENTS,
    SPENT,
    STORED_BALANCES,
    Check,
    Findings,
)
from server.ledger.recovery import FIRST_HISTORY
from server.ledger.settlement_checks import check_settlements
from server.ledger.store import Store
from server.ledger.walk import Progress, Walk

__all__ = ["Check", "verify"]

WALKED: Final = (
    JOURNAL_DENSE,
    HASH_CHAIN,
    ENTRIES_MATCH,
    DECLINED_EMPTY,
    ACCOUNT_CHAINS,
    REVERSALS,
    FOLLOW_UPS,
    BUSINESS_DAYS,
)


REPEATED_MAX: Final = 100
"""Repeated identities looked for: one is too many."""


def verify(
    store: Store, on_progress: Progress | None = None, *, expected: Sequence[tuple[int, bytes]] = ()
) -> list[Check]:
    """All checks, in the order of CHECKS. `on_progress(transfers done, transfers in all)` is called now and then.

    `expected` are transfers and their digests (or how these begin) as somebody wrote them down elsewhere: one more
    check. Never raises for what is in the ledger, however broken: a database that cannot be read fails its checks.
    """
    findings = Findings()
    with store.snapshot():
        _check_integrity(store, findings)
        walk = Walk(store, findings)
        _guarded(findings, WALKED, lambda: walk.run(on_progress))
        _guarded(findings, (STORED_BALANCES, NO_OVERDRAFT, SPENT, CONSERVATION), walk.compare_accounts)
        _guarded(findings, (HELD,), walk.compare_holds)
        _guarded(findings, (IDENTITIES,), lambda: _check_identities(store, findings))
        _guarded(findings, (SETTLEMENTS,), lambda: check_settlements(store, findings))
        _guarded(findings, (REFERENCES,), lambda: _check_references(store, findings))
        _guarded(findings, (REFERENCES,), lambda: _check_histories(store, findings))
        extra = [_check_expected(store, expected)] if expected else []
    return findings.report() + extra


def _guarded(findings: Findings, checks: tuple[str, ...], function: Callable[[], None]) -> None:
    """A database too broken to be read (its driver has many exceptions for that) fails the checks that needed it."""
    try:
        function()
    except Exception as error:
        findings.add(INTEGRITY, f"reading failed: {type(error).__name__}: {error}")
        for check in checks:
            findings.add(check, f"not finished: {type(error).__name__}: {error}")


def _check_integrity(store: Store, findings: Findings) -> None:
    try:
        for line in store.integrity():
            findings.add(INTEGRITY, line)
    except Exception as error:
        findings.add(INTEGRITY, f"{type(error).__name__}: {error}")


# --- what a query answers by itself


def _check_identities(store: Store, findings: Findings) -> None:
    # From the rows themselves: the index is what keeps a copy from being booked, and what may have lost it.
    for identity, side, seqs in store.repeated_identities(REPEATED_MAX):
        terminal_id, batch, stan = identity
        name = f"terminal {_terminal(terminal_id)}, batch {batch}, STAN {stan}, side {side}"
        findings.add(IDENTITIES, f"{name}: expected one transfer, got {seqs}")


def _check_histories(store: Store, findings: Findings) -> None:
    """Restores are counted 2, 3, ..., each within the journal, and the ledger knows which of them is the newest."""
    newest_seq = store.head()[0]
    history, begun = FIRST_HISTORY, 1
    for number, first_seq in store.execute("SELECT history, first_seq FROM histories ORDER BY history"):
        if number != history + 1:
            findings.add(REFERENCES, f"history {number}: expected {history + 1} here: rows are missing")
        if not begun <= first_seq <= newest_seq + 1:
            where = f"expected to begin with transfer {begun} to {newest_seq + 1}"
            findings.add(REFERENCES, f"history {number}: {where}, got {first_seq}")
        history, begun = number, first_seq
    noted = store.execute("SELECT value FROM meta WHERE name = 'history'")
    if str(history) != (noted[0][0] if noted else str(FIRST_HISTORY)):
        findings.add(
            REFERENCES, f"history {history}: expected the newest to be {noted[0][0] if noted else FIRST_HISTORY}"
        )


def _check_expected(store: Store, expected: Sequence[tuple[int, bytes]]) -> Check:
    """A chain cannot know that its end was cut off, or that all of it was computed anew: who kept a digest knows."""
    problems = []
    try:
        newest_seq = store.head()[0]
        for seq, digest in expected:
            rows = store.execute("SELECT digest FROM transfers WHERE seq = ?", (seq,))
            if not rows:
                got = f"the journal ends at {newest_seq}" if seq > newest_seq else "that transfer is missing"
            elif bytes(rows[0][0]).startswith(digest):
                continue
            else:
                got = f"got {bytes(rows[0][0]).hex()}"
            problems.append(f"transfer {seq}: expected digest {digest.hex()}, {got}")
    except Exception as error:
        problems.append(f"not finished: {type(error).__name__}: {error}")
    if problems:
        return Check(EXPECTED_DIGESTS, False, "; ".join(problems))
    count = len(expected)
    kept = "1 digest kept elsewhere is" if count == 1 else f"{count} digests kept elsewhere are"
    return Check(EXPECTED_DIGESTS, True, f"{kept} in the chain")


def _terminal(terminal_id: int) -> str:
    return f"{terminal_id >> 16}-{terminal_id & 0xFFFF}"


_BROKEN_REFERENCES: Final = (
    (
        "card {}: belongs to no customer",
        (
            "SELECT token FROM cards WHERE NOT EXISTS"
            " (SELECT 1 FROM customers WHERE customers.account_id = cards.account_id)"
        ),
    ),
    (
        "customer {}: has no customer account",
        (
            "SELECT student_number FROM customers WHERE NOT EXISTS"
            " (SELECT 1 FROM accounts WHERE accounts.account_id = customers.account_id AND kind = 2)"
        ),
    ),
    (
        "account {}: a customer's, but nobody's",
        (
            "SELECT account_id FROM accounts WHERE kind = 2 AND NOT EXISTS"
            " (SELECT 1 FROM customers WHERE customers.account_id = accounts.account_id)"
        ),
    ),
    (
        "merchant {}: has no merchant account",
        (
            "SELECT merchant_id FROM merchants WHERE NOT EXISTS"
            " (SELECT 1 FROM accounts WHERE accounts.account_id = merchants.account_id AND kind = 3)"
        ),
    ),
    (
        "account {}: a merchant's, but nobody's",
        (
            "SELECT account_id FROM accounts WHERE kind = 3 AND NOT EXISTS"
            " (SELECT 1 FROM merchants WHERE merchants.account_id = accounts.account_id)"
        ),
    ),
    (
        "terminal {}: belongs to no merchant",
        (
            "SELECT terminal_id FROM terminals WHERE NOT EXISTS"
            " (SELECT 1 FROM merchants WHERE merchants.merchant_id = terminals.merchant_id)"
        ),
    ),
    (
        "transfer {}: its merchant account is no merchant's",
        (
            "SELECT seq FROM transfers WHERE merchant_account_id <> 0 AND NOT EXISTS"
            " (SELECT 1 FROM merchants WHERE merchants.account_id = transfers.merchant_account_id)"
        ),
    ),
    (
        "transfer {}: approved, but its payer is no customer",
        (
            "SELECT seq FROM transfers WHERE decision = 0 AND account_id <> 0 AND NOT EXISTS"
            " (SELECT 1 FROM customers WHERE customers.account_id = transfers.account_id)"
        ),
    ),
    (
        "transfer {}: an upload, but no recovery had begun",
        (
            "SELECT seq FROM transfers WHERE kind = 4"
            " AND NOT EXISTS (SELECT 1 FROM histories WHERE histories.first_seq <= transfers.seq)"
        ),
    ),
    ("account {}: of no known kind", "SELECT account_id FROM accounts WHERE kind NOT IN (1, 2, 3, 4, 5, 6, 7, 8)"),
)
"""What is named, and the rows that lack what they point to. NOT EXISTS and not NOT IN: PostgreSQL would read the whole
other table for every row as soon as that does not fit into its work_mem."""


def _check_references(store: Store, findings: Findings) -> None:
    for text, sql in _BROKEN_REFERENCES:
        for (what,) in store.rows(sql):
            name = what.hex().upper() if isinstance(what, bytes) else what
            findings.add(REFERENCES, text.format(_terminal(what) if text.startswith("terminal") else name))
