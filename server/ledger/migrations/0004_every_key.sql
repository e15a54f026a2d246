-- Void, refund, pre-authorization, top-up, points, PINs, codes, bindings: what the rules of these keep.

ALTER TABLE transfers ADD COLUMN adjust_fen INTEGER NOT NULL DEFAULT 0; -- bonus; negative: discount
ALTER TABLE transfers ADD COLUMN points INTEGER NOT NULL DEFAULT 0;     -- change of the payer's points
ALTER TABLE transfers ADD COLUMN points_balance INTEGER NOT NULL DEFAULT 0; -- the payer's points after it, if it has moved some
ALTER TABLE transfers ADD COLUMN lost_rrn INTEGER NOT NULL DEFAULT 0;   -- number at a lost host of what came back, if no sale
-- Later rows about an earlier one. Not of uploaded sales: their original_seq is a number of a lost host.
CREATE INDEX transfers_original ON transfers (original_seq) WHERE original_seq > 0 AND kind <> 4;

ALTER TABLE accounts ADD COLUMN meal_key INTEGER NOT NULL DEFAULT 0;    -- business day * 100 + meal that meal_fen belongs to
ALTER TABLE accounts ADD COLUMN meal_fen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN day_count INTEGER NOT NULL DEFAULT 0;   -- payments on spent_day
ALTER TABLE accounts ADD COLUMN code_step INTEGER NOT NULL DEFAULT 0;   -- of the newest payment code used
-- What came back after a restore counts as spent only on its own day: of today's sums, what was made an hour or more
-- before today was opened goes, less what was reversed of it.
UPDATE accounts SET spent_fen = accounts.spent_fen + late.fen
FROM (
    SELECT sale.account_id, sale.business_day, sum(leg.amount_fen) AS fen
    FROM transfers AS sale
    JOIN business_days AS opened ON opened.day = sale.business_day
    JOIN transfers AS moved ON moved.seq = sale.seq OR (moved.original_seq = sale.seq AND moved.kind = 2)
    JOIN entries AS leg ON leg.seq = moved.seq AND leg.account_id IN (sale.account_id, 2)
    WHERE sale.kind = 4 AND sale.decision = 0 AND sale.claimed_at_s * 1000 < opened.opened_at_ms - 3600000
      AND sale.claimed_at_s >= 1577836800  -- a clock that was never set says nothing
    GROUP BY sale.account_id, sale.business_day
) AS late
WHERE late.account_id = accounts.account_id AND late.business_day = accounts.spent_day;
-- Holds; bonus paid; points issued (kind 7: another currency).
INSERT INTO accounts (account_id, kind) VALUES (3, 5);
INSERT INTO accounts (account_id, kind) VALUES (4, 8);
INSERT INTO accounts (account_id, kind) VALUES (5, 7);

ALTER TABLE cards ADD COLUMN class_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cards ADD COLUMN pin_verifier BLOB;                         -- HMAC of token and PIN; NULL = no PIN
ALTER TABLE cards ADD COLUMN pin_tries INTEGER NOT NULL DEFAULT 0;      -- wrong ones since the last right one
ALTER TABLE cards ADD COLUMN is_bound INTEGER NOT NULL DEFAULT 0;       -- 1 = pays only where card_bindings says
ALTER TABLE cards ADD COLUMN meal_limit_fen INTEGER NOT NULL DEFAULT 0;

CREATE TABLE card_bindings (
    token       BLOB    NOT NULL,
    merchant_id INTEGER NOT NULL,
    PRIMARY KEY (token, merchant_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE terminals ADD COLUMN closed_batch INTEGER NOT NULL DEFAULT 0;  -- newest batch settled
ALTER TABLE terminals ADD COLUMN pin_wrong INTEGER NOT NULL DEFAULT 0;     -- wrong PINs since pin_window_ms
ALTER TABLE terminals ADD COLUMN code_wrong INTEGER NOT NULL DEFAULT 0;    -- invalid payment codes since then
ALTER TABLE terminals ADD COLUMN pin_window_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE terminals ADD COLUMN saf_sequence INTEGER NOT NULL DEFAULT 0;  -- newest offline record brought
ALTER TABLE terminals ADD COLUMN saf_tag BLOB;                             -- and its tag; NULL = none yet

-- What is held at this moment; follows from the journal, kept for its expiry and for balances.
CREATE TABLE holds (
    seq           INTEGER PRIMARY KEY,  -- the pre-authorization
    account_id    INTEGER NOT NULL,
    amount_fen    INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX holds_of_account ON holds (account_id);
CREATE INDEX holds_expiry ON holds (expires_at_ms);
