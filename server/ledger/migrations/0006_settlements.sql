-- Settlements: each closes one batch of one terminal. One that does not balance stays open until its terminal has sent
-- its records and somebody has accepted what differs. Numbers of state, side, standing, difference: server/ledger/settlement.py.

CREATE TABLE settlements (
    settlement   INTEGER PRIMARY KEY,          -- dense from 1; printed on the slip
    terminal_id  INTEGER NOT NULL,
    batch        INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    merchant_id  INTEGER NOT NULL,
    operator     INTEGER NOT NULL,
    request_hash BLOB    NOT NULL,             -- of the request that opened it: a copy gets the same answer
    opened_at_ms INTEGER NOT NULL,
    records      INTEGER NOT NULL DEFAULT -1,  -- how many the terminal said it had sent; -1 = not all are here
    closed_at_ms INTEGER NOT NULL DEFAULT 0,
    business_day INTEGER NOT NULL DEFAULT 0,   -- that was open when it was closed; the batch may be of several
    through_seq  INTEGER NOT NULL DEFAULT 0,   -- the journal's newest transfer at that moment
    digest       BLOB    NOT NULL              -- first bytes of its digest, as printed on the slip
) STRICT;
CREATE UNIQUE INDEX settlements_batch ON settlements (terminal_id, batch);
-- Those closed with differences, few among many: the list of unresolved money asks for them every minute.
CREATE INDEX settlements_differing ON settlements (settlement) WHERE state = 2;

-- What each side came to, by kind of transaction.
CREATE TABLE settlement_totals (
    settlement  INTEGER NOT NULL,
    side        INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    amount_fen  INTEGER NOT NULL,
    charged_fen INTEGER NOT NULL,
    PRIMARY KEY (settlement, side, kind)
) STRICT, WITHOUT ROWID;

-- What a terminal has sent of its records while a settlement is open; gone once it is closed.
CREATE TABLE settlement_records (
    settlement  INTEGER NOT NULL,
    part        INTEGER NOT NULL,
    place       INTEGER NOT NULL,
    stan        INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    standing    INTEGER NOT NULL,
    amount_fen  INTEGER NOT NULL,
    charged_fen INTEGER NOT NULL,
    rrn         INTEGER NOT NULL,
    points      INTEGER NOT NULL,
    PRIMARY KEY (settlement, part, place)
) STRICT, WITHOUT ROWID;

-- What was found to differ, and accepted: for the office.
CREATE TABLE settlement_differences (
    settlement        INTEGER NOT NULL,
    place             INTEGER NOT NULL,
    stan              INTEGER NOT NULL,
    difference        INTEGER NOT NULL,
    kind              INTEGER NOT NULL,
    terminal_standing INTEGER NOT NULL,
    terminal_fen      INTEGER NOT NULL,
    host_standing     INTEGER NOT NULL,
    host_fen          INTEGER NOT NULL,
    rrn               INTEGER NOT NULL,
    PRIMARY KEY (settlement, place)
) STRICT, WITHOUT ROWID;

-- What was booked under a batch after that was closed: offline sales and uploads that came late, reversals of what was
-- settled. In no settlement, so on the list of unresolved money.
CREATE TABLE late_transfers (
    seq INTEGER PRIMARY KEY
) STRICT;
