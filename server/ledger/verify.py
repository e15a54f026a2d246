"""Recompute every invariant of the ledger from its rows, read-only, in one pass over the journal.

Each check that fails names the rows that break it. Memory grows with the number of accounts (some 200 bytes each), not
with the number of transfers. All of it reads one snapshot, so it may run beside a working host on a connection of its
own; while it does, that host's write-ahead log cannot shrink.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from server.ledger.checks import (
    ACCOUNT_CHAINS,
    BUSINESS_DAYS,
    CONSERVATION,
    DECLINED_EMPTY,
    ENTRIES_MATCH,
    HASH_CHAIN,
    IDENTITIES,
    INTEGRITY,
    JOURNAL_DENSE,
    NAMED_MAX,
    NO_OVERDRAFT,
    REFERENCES,
    REVERSALS,
    SPENT,
    STORED_BALANCES,
    Check,
    Findings,
)
from server.ledger.store import Store, StoreError
from server.ledger.walk import Progress, Walk

__all__ = ["Check", "verify"]

WALKED: Final = (JOURNAL_DENSE, HASH_CHAIN, ENTRIES_MATCH, DECLINED_EMPTY, ACCOUNT_CHAINS, REVERSALS, BUSINESS_DAYS)


def verify(store: Store, on_progress: Progress | None = None) -> list[Check]:
    """All checks, in the order of CHECKS. `on_progress(transfers done, transfers in all)` is called now and then.

    Never raises for what is in the ledger, however broken: a database that cannot be read fails its checks.
    """
    findings = Findings()
    store.execute("BEGIN")
    try:
        _check_integrity(store, findings)
        walk = Walk(store, findings)
        _guarded(findings, WALKED, lambda: walk.run(on_progress))
        _guarded(findings, (STORED_BALANCES, NO_OVERDRAFT, SPENT, CONSERVATION), walk.compare_accounts)
        _guarded(findings, (IDENTITIES,), lambda: _check_identities(store, findings))
        _guarded(findings, (REFERENCES,), lambda: _check_references(store, findings))
    finally:
        with contextlib.suppress(StoreError):  # a store that has met damage does nothing more, and has been reported
            store.execute("COMMIT")
    return findings.report()


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
        for (line,) in store.execute(f"PRAGMA integrity_check({NAMED_MAX})"):
            if line != "ok":
                findings.add(INTEGRITY, str(line))
    except Exception as error:
        findings.add(INTEGRITY, f"{type(error).__name__}: {error}")


# --- what a query answers by itself


def _check_identities(store: Store, findings: Findings) -> None:
    for terminal_id, batch, stan, side, seqs in store.execute(
        # From the rows themselves: the index is what keeps a copy from being booked, and what may have lost it.
        "SELECT terminal_id, batch, stan, side, group_concat(seq) FROM transfers NOT INDEXED"
        " GROUP BY terminal_id, batch, stan, side HAVING count(*) > 1 LIMIT 100"
    ):
        name = f"terminal {terminal_id >> 16}-{terminal_id & 0xFFFF}, batch {batch}, STAN {stan}, side {side}"
        findings.add(IDENTITIES, f"{name}: expected one transfer, got {seqs}")


_BROKEN_REFERENCES: Final = (
    (
        "card %s: belongs to no customer",
        "SELECT hex(token) FROM cards WHERE account_id NOT IN (SELECT account_id FROM customers)",
    ),
    (
        "customer %s: has no customer account",
        "SELECT student_number FROM customers WHERE account_id NOT IN (SELECT account_id FROM accounts WHERE kind = 2)",
    ),
    (
        "account %s: a customer's, but nobody's",
        "SELECT account_id FROM accounts WHERE kind = 2 AND account_id NOT IN (SELECT account_id FROM customers)",
    ),
    (
        "merchant %s: has no merchant account",
        "SELECT merchant_id FROM merchants WHERE account_id NOT IN (SELECT account_id FROM accounts WHERE kind = 3)",
    ),
    (
        "account %s: a merchant's, but nobody's",
        "SELECT account_id FROM accounts WHERE kind = 3 AND account_id NOT IN (SELECT account_id FROM merchants)",
    ),
    (
        "terminal %s: belongs to no merchant",
        (
            "SELECT (terminal_id >> 16) || '-' || (terminal_id & 65535) FROM terminals"
            " WHERE merchant_id NOT IN (SELECT merchant_id FROM merchants)"
        ),
    ),
    (
        "transfer %s: its merchant account is no merchant's",
        (
            "SELECT seq FROM transfers WHERE merchant_account_id <> 0"
            " AND merchant_account_id NOT IN (SELECT account_id FROM merchants)"
        ),
    ),
    (
        "transfer %s: approved, but its payer is no customer",
        (
            "SELECT seq FROM transfers WHERE decision = 0 AND account_id <> 0"
            " AND account_id NOT IN (SELECT account_id FROM customers)"
        ),
    ),
    ("account %s: of no known kind", "SELECT account_id FROM accounts WHERE kind NOT IN (1, 2, 3)"),
)
"""What is named, and the rows that lack what they point to."""


def _check_references(store: Store, findings: Findings) -> None:
    for text, sql in _BROKEN_REFERENCES:
        for (what,) in store.rows(sql):
            findings.add(REFERENCES, text % what)
