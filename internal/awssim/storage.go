package awssim

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/podid/podid/internal/identity"
)

// Change is one entity put or, where Value is nil, deleted.
type Change struct {
	Kind, Key string
	Value     []byte // JSON
}

// Storage keeps the state of the small AWS.
type Storage interface {
	// Load calls each for everything that is stored.
	Load(each func(kind, key string, value []byte) error) error
	// Commit stores all changes or none, and returns when they are safe.
	Commit(batch []Change) error
}

// noStorage is for a small AWS that lives in memory alone.
type noStorage struct{}

func (noStorage) Load(func(kind, key string, value []byte) error) error { return nil }
func (noStorage) Commit([]Change) error                                 { return nil }

// SQLite is a Storage in a file. The file holds the secrets of access keys, as
// SigV4 needs them, and is readable by its owner alone.
type SQLite struct{ db *sql.DB }

// OpenSQLite opens the storage in the file at path, and makes it if it is not
// there. What Commit has stored survives a crash of the process and of the
// machine: WAL with synchronous=FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
func OpenSQLite(path string) (*SQLite, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("storage of the small AWS: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("storage of the small AWS: %w", err)
	}
	options := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("storage of the small AWS: %w", err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS entity (
		kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID`); err != nil {
		db.Close()
		return nil, fmt.Errorf("storage of the small AWS: %w", err)
	}
	return &SQLite{db}, nil
}

// Close closes the file.
func (s *SQLite) Close() error { return s.db.Close() }

// Load implements Storage.
func (s *SQLite) Load(each func(kind, key string, value []byte) error) error {
	rows, err := s.db.Query(`SELECT kind, key, value FROM entity`)
	if err != nil {
		return fmt.Errorf("reading entities: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, key string
		var value []byte
		if err := rows.Scan(&kind, &key, &value); err != nil {
			return fmt.Errorf("reading entities: %w", err)
		}
		if err := each(kind, key, value); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Commit implements Storage.
func (s *SQLite) Commit(batch []Change) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	for _, c := range batch {
		if c.Value == nil {
			_, err = tx.Exec(`DELETE FROM entity WHERE kind = ? AND key = ?`, c.Kind, c.Key)
		} else {
			_, err = tx.Exec(`INSERT INTO entity (kind, key, value) VALUES (?, ?, ?)
				ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value`, c.Kind, c.Key, c.Value)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", c.Kind, c.Key, err)
		}
	}
	return tx.Commit()
}

// load fills an empty state from its storage, and tells whether there was anything.
func (s *state) load() (any bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.storage.Load(func(kind, key string, value []byte) error {
		any = true
		e, err := decodeEntity(kind, value)
		if err != nil {
			return fmt.Errorf("stored %s %s: %w", kind, key, err)
		}
		s.putLocked(e)
		return nil
	})
	return any, err
}

func decodeEntity(kind string, value []byte) (entity, error) {
	var e entity
	switch kind {
	case "account":
		e = &account{}
	case "user":
		return decodeUser(value)
	case "role":
		e = &role{}
	case "policy":
		e = &managedPolicy{}
	case "provider":
		e = &oidcProvider{}
	case "bucket":
		e = &bucket{}
	case "organization":
		e = &organization{}
	case "master-key":
		e = &masterKey{}
	default:
		return nil, fmt.Errorf("unknown kind, stored by another version")
	}
	if err := json.Unmarshal(value, e); err != nil {
		return nil, err
	}
	return e, e.compile()
}

func decodeUser(value []byte) (entity, error) {
	s := storedUser{user: &user{}}
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, err
	}
	for i, k := range s.Keys {
		s.Keys[i].Secret = identity.Secret(s.Secrets[k.ID])
	}
	return s.user, s.compile()
}
