-- Configuration of the campus with its history, what is known of terminals, and the stop list. Numbers of role, kind,
-- scope: server/ledger/operators.py, devices.py, parameters.py. Money: _fen. Times: _ms since 1970-01-01 UTC.

-- A class of cards (students, staff, guests). Limits: 0 = the host's default.
CREATE TABLE card_classes (
    class_id       INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    sale_limit_fen INTEGER NOT NULL DEFAULT 0,
    meal_limit_fen INTEGER NOT NULL DEFAULT 0,
    day_limit_fen  INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO card_classes (class_id, name) VALUES (0, 'standard');

-- Minutes of the local day; the end is not part of it. An end before the start is on the next day.
CREATE TABLE meal_periods (
    meal_id      INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    start_minute INTEGER NOT NULL,
    end_minute   INTEGER NOT NULL
) STRICT;

-- What a class of cards pays less in a meal. Meal 0 = at every time for which there is no row.
CREATE TABLE class_meals (
    class_id         INTEGER NOT NULL,
    meal_id          INTEGER NOT NULL,
    discount_percent INTEGER NOT NULL,
    PRIMARY KEY (class_id, meal_id)
) STRICT, WITHOUT ROWID;

-- Top-ups of at least threshold_fen get bonus_fen. Merchant 0 = all that have no tiers of their own.
CREATE TABLE bonus_tiers (
    merchant_id   INTEGER NOT NULL,
    threshold_fen INTEGER NOT NULL,
    bonus_fen     INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, threshold_fen)
) STRICT, WITHOUT ROWID;

-- Merchant 0 = all that have no rate of their own.
CREATE TABLE points_rates (
    merchant_id   INTEGER PRIMARY KEY,
    fen_per_point INTEGER NOT NULL  -- so much spent earns one point; 0 = none are earned
) STRICT;

CREATE TABLE products (
    merchant_id INTEGER NOT NULL,
    code        TEXT    NOT NULL,  -- digits, as a cashier keys them
    name        TEXT    NOT NULL,
    price_fen   INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, code)
) STRICT, WITHOUT ROWID;

-- Who may work at a merchant's terminals, and with what password. The recharge password is a row of its own role.
CREATE TABLE operators (
    merchant_id INTEGER NOT NULL,
    operator    INTEGER NOT NULL,            -- 0..9999; 10000 for the recharge password, which is nobody's
    role        INTEGER NOT NULL,
    name        TEXT    NOT NULL DEFAULT '',
    verifier    BLOB,                        -- keyed hash of the password; NULL = the factory password of the role
    must_change INTEGER NOT NULL DEFAULT 1,
    tries       INTEGER NOT NULL DEFAULT 0,  -- wrong ones since the last right one
    is_locked   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (merchant_id, operator)
) STRICT, WITHOUT ROWID;
INSERT INTO operators (merchant_id, operator, role) SELECT merchant_id, 0, 2 FROM merchants;
INSERT INTO operators (merchant_id, operator, role) SELECT merchant_id, 1, 1 FROM merchants;
INSERT INTO operators (merchant_id, operator, role) SELECT merchant_id, 10000, 3 FROM merchants;

-- One value of one parameter, for the whole campus (scope 0, owner 0), a merchant (1) or a terminal (2): the narrowest
-- that is there counts, and where none is, the program's own default.
CREATE TABLE parameters (
    scope INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    name  TEXT    NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (scope, owner, name)
) STRICT, WITHOUT ROWID;

-- What the host has seen of a terminal last; apart from its row, which holds keys and is hardly ever written.
CREATE TABLE terminal_states (
    terminal_id INTEGER PRIMARY KEY,
    seen_at_ms  INTEGER NOT NULL,
    firmware    TEXT    NOT NULL
) STRICT;

-- Whom a terminal sold for until it went to another merchant: what it made before and brings later is still that one's.
CREATE TABLE terminal_moves (
    terminal_id INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,
    merchant_id INTEGER NOT NULL,
    PRIMARY KEY (terminal_id, until_ms)
) STRICT, WITHOUT ROWID;

-- The newest events of every terminal; older ones are dropped.
CREATE TABLE terminal_events (
    terminal_id INTEGER NOT NULL,
    number      INTEGER NOT NULL,  -- dense and growing for each terminal
    at_ms       INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (terminal_id, number)
) STRICT, WITHOUT ROWID;

-- Every change of a card's status, by hash of its token. A card has one row, its newest: whoever holds version n has
-- all if it adds what is above n. stopped 0 = it may be taken again.
CREATE TABLE stop_list (
    version    INTEGER PRIMARY KEY,
    token_hash BLOB    NOT NULL,
    stopped    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX stop_list_cards ON stop_list (token_hash);

-- Who changed what of the configuration, from what to what; append-only.
CREATE TABLE changes (
    number    INTEGER PRIMARY KEY,
    at_ms     INTEGER NOT NULL,
    who       TEXT    NOT NULL,
    operation TEXT    NOT NULL,
    what      TEXT    NOT NULL,
    old       TEXT    NOT NULL,  -- empty = there was none
    new       TEXT    NOT NULL   -- empty = there is none any more
) STRICT;

-- Unresolved money that somebody has looked at and closed.
CREATE TABLE resolutions (
    kind   TEXT    NOT NULL,
    number INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    note   TEXT    NOT NULL,
    PRIMARY KEY (kind, number)
) STRICT, WITHOUT ROWID;
-- Reversals that came without an original, few among many: found without reading the journal.
CREATE INDEX transfers_tombstones ON transfers (seq) WHERE kind = 2 AND original_seq = 0;
