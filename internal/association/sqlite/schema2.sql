-- Version 2: credentials made before this time are not to be used; 0: never revoked.
ALTER TABLE association ADD COLUMN revoked_at INTEGER NOT NULL DEFAULT 0; -- milliseconds since 1970
