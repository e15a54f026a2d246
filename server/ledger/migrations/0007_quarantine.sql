-- Offline records that were not posted because something is wrong with them: for a person to look at.

CREATE TABLE quarantine (
    number            INTEGER PRIMARY KEY,  -- dense from 1
    reason            INTEGER NOT NULL,     -- server/ledger/quarantine.py
    terminal_id       INTEGER NOT NULL,
    saf_sequence      INTEGER NOT NULL,     -- its number in the terminal's chain
    batch             INTEGER NOT NULL,
    stan              INTEGER NOT NULL,
    amount_fen        INTEGER NOT NULL,
    token             BLOB    NOT NULL,
    operator          INTEGER NOT NULL,
    claimed_at_s      INTEGER NOT NULL,
    stop_list_version INTEGER NOT NULL,
    previous_tag      BLOB    NOT NULL,
    tag               BLOB    NOT NULL,
    at_ms             INTEGER NOT NULL      -- when it came
) STRICT;
CREATE UNIQUE INDEX quarantine_records ON quarantine (terminal_id, saf_sequence);
