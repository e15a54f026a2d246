-- Changing a terminal's root key: the next one stands beside the one in force until a handshake has proved it.

ALTER TABLE terminals ADD COLUMN next_key_version INTEGER NOT NULL DEFAULT 0; -- newest number made for it; 0 = none yet
ALTER TABLE terminals ADD COLUMN next_wrapped_key BLOB;                       -- NULL = none waits to be proved
ALTER TABLE terminals ADD COLUMN key_made_at_ms INTEGER NOT NULL DEFAULT 0;   -- since when the key in force is so
UPDATE terminals SET key_made_at_ms = enrolled_at_ms;
