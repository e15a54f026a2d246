-- Restores from a backup: each opens a new history, in which terminals upload again what the lost host had approved.

CREATE TABLE histories (
    history      INTEGER PRIMARY KEY,        -- 2 after the first restore
    opened_at_ms INTEGER NOT NULL,
    first_seq    INTEGER NOT NULL,           -- the first transfer that may belong to it
    closed_at_ms INTEGER NOT NULL DEFAULT 0  -- 0 = uploads are taken until the recovery window is over
) STRICT;

-- Account 2 of kind 4: what payers could not cover of sales eaten before a restore. The campus's claim, never above 0.
INSERT INTO accounts (account_id, kind) VALUES (2, 4);
