-- Version 1. A later version is another file, run after this one.
CREATE TABLE association (
  cluster              TEXT    NOT NULL, -- ARN
  id                   TEXT    NOT NULL,
  namespace            TEXT    NOT NULL,
  service_account      TEXT    NOT NULL,
  role_arn             TEXT    NOT NULL,
  target_role_arn      TEXT    NOT NULL, -- '': none
  disable_session_tags INTEGER NOT NULL,
  policy               TEXT    NOT NULL, -- '': none
  tags                 TEXT    NOT NULL, -- JSON object
  owner_arn            TEXT    NOT NULL, -- '': none
  created_at           INTEGER NOT NULL, -- milliseconds since 1970
  modified_at          INTEGER NOT NULL,
  PRIMARY KEY (cluster, id)
) STRICT;

-- One association for each service account, whoever asks and how often.
CREATE UNIQUE INDEX association_subject ON association (cluster, namespace, service_account);

-- Filtered lists, in the order of their pages.
CREATE INDEX association_namespace ON association (cluster, namespace, id);
CREATE INDEX association_service_account ON association (cluster, service_account, id);

-- Requests that must not happen twice. seq grows, so the lowest is the oldest.
CREATE TABLE request (
  seq         INTEGER PRIMARY KEY,
  cluster     TEXT    NOT NULL,
  token       TEXT    NOT NULL,
  digest      TEXT    NOT NULL,
  association TEXT    NOT NULL,
  at          INTEGER NOT NULL, -- milliseconds since 1970
  UNIQUE (cluster, token),
  FOREIGN KEY (cluster, association) REFERENCES association (cluster, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX request_association ON request (cluster, association);
CREATE INDEX request_at ON request (at);
