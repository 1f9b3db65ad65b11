// Package sqlite keeps associations in an embedded SQLite database.
package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/podid/podid/internal/identity"
)

// Config says where a Store keeps its data.
type Config struct {
	// Path of the database file, which is made if it does not exist, readable
	// by its owner alone. Empty: in memory, gone with the Store.
	Path string
}

// Store is an association.Store. Close it.
type Store struct {
	// SQLite lets one writer in at a time. Waiting for the only connection of a
	// pool is fair and prompt; SQLite's own waiting is neither.
	writer *sql.DB
	reader *sql.DB
}

const (
	readers = 8
	// lockWait bounds the wait for another process that holds the file, in milliseconds.
	lockWait = "5000"
)

// New opens the database and brings its schema up to date.
func New(c Config) (*Store, error) {
	s, err := open(c.Path)
	if err != nil {
		return nil, fmt.Errorf("association database %s: %w", c.Path, err)
	}
	if err := s.migrate(); err != nil {
		return nil, errors.Join(fmt.Errorf("association database %s: %w", c.Path, err), s.Close())
	}
	return s, nil
}

func open(path string) (*Store, error) {
	if path == "" {
		db, err := connect(":memory:", 1, url.Values{"_foreign_keys": {"on"}})
		return &Store{writer: db, reader: db}, err
	}
	// SQLite gives the files beside the database the mode of the database.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	name := "file:" + (&url.URL{Path: path}).EscapedPath()
	writer, err := connect(name, 1, url.Values{
		"_busy_timeout": {lockWait},
		"_txlock":       {"immediate"},
		"_foreign_keys": {"on"},
		"_journal_mode": {"WAL"},
		// FULL: a commit is on the disk before it returns (https://www.sqlite.org/pragma.html#pragma_synchronous).
		"_synchronous": {"FULL"},
	})
	if err != nil {
		return nil, err
	}
	// Where the file system cannot do WAL, SQLite stays with what it can, and says so only if asked.
	var mode string
	if err := writer.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		return nil, errors.Join(fmt.Errorf("journal mode %q, want wal: is it on a local file system?", mode), err, writer.Close())
	}
	reader, err := connect(name, readers, url.Values{"_busy_timeout": {lockWait}, "_query_only": {"on"}})
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return &Store{writer: writer, reader: reader}, nil
}

// connect opens a pool of exactly size connections at most, none of which is
// ever closed for being idle or old.
func connect(name string, size int, parameters url.Values) (*sql.DB, error) {
	db, err := sql.Open("sqlite", name+"?"+parameters.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// Close closes the database. It must not be called while a method runs.
func (s *Store) Close() error {
	if s.reader == s.writer {
		return s.writer.Close()
	}
	return errors.Join(s.reader.Close(), s.writer.Close())
}

var (
	//go:embed schema.sql
	schema string
	//go:embed schema2.sql
	schema2 string
)

// versions are the steps from each version of the schema to the next.
var versions = []string{schema, schema2}

func (s *Store) migrate() error {
	return s.write(context.Background(), func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		if version > len(versions) {
			return fmt.Errorf("its schema is version %d, and this podid knows %d: use a newer podid", version, len(versions))
		}
		for _, step := range versions[version:] {
			if _, err := tx.Exec(step); err != nil {
				return err
			}
		}
		_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(versions)))
		return err
	})
}

// write runs do in a transaction. Waiting for the turn ends with ctx; what has
// begun is finished, whether or not whoever asked is still there.
func (s *Store) write(ctx context.Context, do func(*sql.Tx) error) error {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return failure(err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return failure(err)
	}
	if err := do(tx); err != nil {
		return errors.Join(failure(err), tx.Rollback())
	}
	return failure(tx.Commit())
}

// failure puts a kind to what the database reports; errors of the association
// package pass as they are.
func failure(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the primary code: https://www.sqlite.org/rescode.html
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			return unavailable(err)
		}
		return identity.Errorf(identity.Internal, "association database").Because(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return unavailable(err)
	}
	return err
}

func unavailable(cause error) error {
	return identity.Errorf(identity.Unavailable, "The association store is not available. Try again.").Because(cause)
}
