package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

func execute(t testing.TB, s *Store, statement string) {
	t.Helper()
	if _, err := s.writer.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// anything passes every check.
func anything(identity.Association) error { return nil }

func count(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	if err := s.reader.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFullDisk fills the database, so that a write fails in its middle.
func TestFullDisk(t *testing.T) {
	s := reopen(t, filepath.Join(t.TempDir(), "a.db"))
	var pages int
	if err := s.writer.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	execute(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", pages+20))
	stored, full := 0, error(nil)
	for n := range 10_000 {
		a := example(n)
		a.Policy = strings.Repeat("x", 2048)
		_, full = s.Create(t.Context(), a, association.Once{Token: fmt.Sprint(n), Digest: "d", At: time.Now()}, 1<<30)
		if full != nil {
			break
		}
		stored++
	}
	if identity.KindOf(full) != identity.Unavailable {
		t.Fatalf("the disk is full: %v", full)
	}
	if a, r := count(t, s, "association"), count(t, s, "request"); a != stored || r != stored {
		t.Errorf("%d associations and %d requests are stored, %d were acknowledged", a, r, stored)
	}
	_, err := s.Update(t.Context(), cluster, example(0).ID, association.Once{}, func(a *identity.Association) error {
		a.Policy = strings.Repeat("y", 1<<20)
		return nil
	})
	if identity.KindOf(err) != identity.Unavailable {
		t.Errorf("an update: %v", err)
	}
	found, err := s.Find(t.Context(), association.Query{Cluster: cluster, ID: example(0).ID, Limit: 1})
	if err != nil || len(found) != 1 || found[0].Policy != strings.Repeat("x", 2048) {
		t.Errorf("after a failed update: %v", err)
	}
	if _, err := s.Delete(t.Context(), cluster, example(0).ID, anything); err != nil {
		t.Errorf("nothing can be deleted: %v", err)
	}
}

// TestLockedByAnother has another process hold the file's write lock.
func TestLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s, other := reopen(t, path), reopen(t, path)
	if _, err := s.Create(t.Context(), example(1), association.Once{}, 10); err != nil {
		t.Fatal(err)
	}
	execute(t, s, "PRAGMA busy_timeout = 1")
	tx, err := other.writer.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), example(2), association.Once{}, 10); identity.KindOf(err) != identity.Unavailable {
		t.Errorf("a write: %v", err)
	}
	if found, err := s.Find(t.Context(), association.Query{Cluster: cluster, Limit: 10}); err != nil || len(found) != 1 {
		t.Errorf("readers wait for nobody: %v, %v", found, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), example(2), association.Once{}, 10); err != nil {
		t.Errorf("a write, once the lock is gone: %v", err)
	}
	if found, err := other.Find(t.Context(), association.Query{Cluster: cluster, Limit: 10}); err != nil || len(found) != 2 {
		t.Errorf("the other process sees %v, %v", found, err)
	}
}

// TestWhoeverHangsUp cancels requests before and in the middle of their
// transaction; the database in memory has but one connection to lose.
func TestWhoeverHangsUp(t *testing.T) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "a.db")} {
		t.Run(name, func(t *testing.T) {
			s := reopen(t, path)
			if _, err := s.Create(t.Context(), example(1), association.Once{}, 10); err != nil {
				t.Fatal(err)
			}
			gone, hangUp := context.WithCancel(t.Context())
			_, err := s.Update(gone, cluster, example(1).ID, association.Once{}, func(a *identity.Association) error {
				hangUp()
				a.RoleARN = "changed"
				return nil
			})
			if err != nil {
				t.Errorf("what has begun is finished: %v", err)
			}
			if _, err := s.Create(gone, example(2), association.Once{}, 10); identity.KindOf(err) != identity.Unavailable {
				t.Errorf("a write for nobody: %v", err)
			}
			if _, err := s.Find(gone, association.Query{Cluster: cluster, Limit: 1}); identity.KindOf(err) != identity.Unavailable {
				t.Errorf("a read for nobody: %v", err)
			}
			found, err := s.Find(t.Context(), association.Query{Cluster: cluster, Limit: 10})
			if err != nil || len(found) != 1 || found[0].RoleARN != "changed" {
				t.Errorf("after all that: %+v, %v", found, err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.db")
	s := reopen(t, newer)
	execute(t, s, "PRAGMA user_version = 99")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a newer schema": newer, "no database": garbage, "a folder": dir, "no folder": filepath.Join(dir, "none", "a.db"),
	} {
		if s, err := New(Config{Path: path}); err == nil {
			t.Errorf("%s: opened", name)
			s.Close()
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v does not say which file", name, err)
		}
	}
	if text, err := os.ReadFile(garbage); err != nil || !strings.HasPrefix(string(text), "not a database") {
		t.Errorf("what is no database was written to: %v", err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50% #1?mode=memory")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, filepath.Join(dir, "a&b.db"))
	if _, err := s.Create(t.Context(), example(1), association.Once{}, 10); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v: want the database and its log", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestTokensAreForgotten(t *testing.T) {
	s := reopen(t, "")
	now := time.Now()
	create := func(n int, once association.Once) (identity.Association, error) {
		return s.Create(t.Context(), example(n), once, 100)
	}
	first := association.Once{Token: "t", Digest: "d", At: now}
	if _, err := create(1, first); err != nil {
		t.Fatal(err)
	}
	first.At = now.Add(association.OnceLifetime)
	if a, err := create(2, first); err != nil || a.ID != example(1).ID {
		t.Errorf("at the end of its time: %v, %v", a.ID, err)
	}
	first.At = now.Add(association.OnceLifetime + time.Second)
	if a, err := create(2, first); err != nil || a.ID != example(2).ID {
		t.Errorf("after its time: %v, %v", a.ID, err)
	}
	// As if very many had come after.
	execute(t, s, fmt.Sprintf("UPDATE request SET seq = seq - %d", maxRequests))
	execute(t, s, fmt.Sprintf("INSERT INTO request VALUES (%d, '%s', 'newest', 'd', '%s', %d)", maxRequests, cluster.ARN(), example(2).ID, first.At.UnixMilli()))
	if _, err := create(3, association.Once{Token: "one more", Digest: "d", At: first.At}); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, "request"); n != 2 {
		t.Errorf("%d tokens are kept, want the newest 2", n)
	}
	if _, err := s.Delete(t.Context(), cluster, example(3).ID, anything); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, "request"); n != 1 {
		t.Errorf("the token of a deleted association is kept: %d", n)
	}
}

// TestListsUseTheirIndex: no list reads more than its page.
func TestListsUseTheirIndex(t *testing.T) {
	s := reopen(t, "")
	for conditions, index := range map[string]string{
		"":                          "sqlite_autoindex_association_1",
		"AND namespace = 'n'":       "association_namespace",
		"AND service_account = 's'": "association_service_account",
		"AND namespace = 'n' AND service_account = 's'": "association_subject",
	} {
		rows, err := s.reader.Query(`EXPLAIN QUERY PLAN SELECT id, ` + columns + ` FROM association WHERE cluster = 'c' ` + conditions + ` AND id > 'a' ORDER BY id LIMIT 100`)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(plan, "; "), "USING INDEX "+index+" ") {
			t.Errorf("%q: %v, want index %s", conditions, plan, index)
		}
		if index != "association_subject" && len(plan) != 1 {
			t.Errorf("%q sorts: %v", conditions, plan)
		}
	}
}
