-- The first schema. Portable between SQLite and PostgreSQL except for STRICT / WITHOUT ROWID, which PostgreSQL's runner drops.
-- Times: _ms and _s since 1970-01-01 UTC. Money: _fen. Numbers of decision, kind, status: server/ledger/model.py.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE business_days (
    day          INTEGER PRIMARY KEY,  -- YYYYMMDD; the newest row is the open day
    opened_at_ms INTEGER NOT NULL,
    first_seq    INTEGER NOT NULL      -- the first transfer that may belong to it
) STRICT;

CREATE TABLE accounts (
    account_id  INTEGER PRIMARY KEY,
    kind        INTEGER NOT NULL,
    balance_fen INTEGER NOT NULL DEFAULT 0,
    spent_day   INTEGER NOT NULL DEFAULT 0,  -- business day that spent_fen belongs to
    spent_fen   INTEGER NOT NULL DEFAULT 0,
    last_seq    INTEGER NOT NULL DEFAULT 0,  -- newest entry: the head of the account's chain of entries
    CHECK (kind <> 2 OR balance_fen >= 0)    -- whatever a rule gets wrong, no customer is overdrawn
) STRICT;

-- Who owns a customer account; apart from it, so that the row every sale rewrites stays small.
CREATE TABLE customers (
    account_id     INTEGER PRIMARY KEY,
    student_number TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL
) STRICT;

CREATE TABLE cards (
    token          BLOB PRIMARY KEY,
    account_id     INTEGER NOT NULL,
    status         INTEGER NOT NULL DEFAULT 0,
    sale_limit_fen INTEGER NOT NULL DEFAULT 0,
    day_limit_fen  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_of_account ON cards (account_id);

CREATE TABLE merchants (
    merchant_id INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    status      INTEGER NOT NULL DEFAULT 0,
    account_id  INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE terminals (
    terminal_id    INTEGER PRIMARY KEY,  -- group << 16 | device
    merchant_id    INTEGER NOT NULL,
    status         INTEGER NOT NULL DEFAULT 0,
    serial_number  TEXT NOT NULL DEFAULT '',
    key_version    INTEGER NOT NULL DEFAULT 0,   -- 0 = no key yet
    wrapped_key    BLOB,                         -- root key under the key-encryption key (RFC 3394)
    wrapped_code   BLOB,                         -- one-time enrolment code under the same; NULL once used
    code_serial_number TEXT NOT NULL DEFAULT '', -- the only machine that may use the code; empty = any
    code_expires_at_ms INTEGER NOT NULL DEFAULT 0,
    enrolled_at_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The journal: one row per decided request, append-only, each digest over the one before.
CREATE TABLE transfers (
    seq                 INTEGER PRIMARY KEY,  -- dense from 1; the RRN
    terminal_id         INTEGER NOT NULL,
    batch               INTEGER NOT NULL,
    stan                INTEGER NOT NULL,
    side                INTEGER NOT NULL,     -- 0 original, 1 reversal
    kind                INTEGER NOT NULL,
    request_hash        BLOB    NOT NULL,
    decision            INTEGER NOT NULL,
    amount_fen          INTEGER NOT NULL,
    account_id          INTEGER NOT NULL,
    merchant_account_id INTEGER NOT NULL,
    balance_fen         INTEGER NOT NULL,
    operator            INTEGER NOT NULL,
    business_day        INTEGER NOT NULL,
    claimed_at_s        INTEGER NOT NULL,
    posted_at_ms        INTEGER NOT NULL,
    original_seq        INTEGER NOT NULL,
    token_hash          BLOB    NOT NULL,
    digest              BLOB    NOT NULL
) STRICT;
-- The identity of a request, never pruned: this index is why a copy can never be posted twice.
CREATE UNIQUE INDEX transfers_identity ON transfers (terminal_id, batch, stan, side);

-- Legs of transfers. Written in order of seq only, so a commit touches one end of the table however large it is;
-- an account's own entries are found through previous_seq, from accounts.last_seq backwards.
CREATE TABLE entries (
    seq          INTEGER NOT NULL,
    account_id   INTEGER NOT NULL,
    amount_fen   INTEGER NOT NULL,
    balance_fen  INTEGER NOT NULL,
    previous_seq INTEGER NOT NULL,
    PRIMARY KEY (seq, account_id)
) STRICT, WITHOUT ROWID;

INSERT INTO accounts (account_id, kind) VALUES (1, 1);
