package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

var cluster = identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"}

func example(n int) identity.Association {
	now := time.UnixMilli(1_700_000_000_123).UTC()
	return identity.Association{
		ID: fmt.Sprintf("a-%017d", n), Cluster: cluster, Namespace: "n", ServiceAccount: "sa-" + strconv.Itoa(n),
		RoleARN: "arn:aws:iam::111122223333:role/r", Tags: map[string]string{"k": "v"}, CreatedAt: now, ModifiedAt: now,
	}
}

func reopen(t *testing.T, path string) *Store {
	t.Helper()
	s, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestMain is also the child of TestKillLosesNothing: it writes associations
// until it is killed, and says which were acknowledged.
func TestMain(m *testing.M) {
	path := os.Getenv("PODID_TEST_WRITE_UNTIL_KILLED")
	if path == "" {
		os.Exit(m.Run())
	}
	s, err := New(Config{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for n := range 1_000_000 {
		if _, err := s.Create(context.Background(), example(n), association.Once{}, 1<<30); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// TestKillLosesNothing kills a writer in the middle of a thousand writes.
func TestKillLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "associations.db")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PODID_TEST_WRITE_UNTIL_KILLED="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if acknowledged++; acknowledged == 1000 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	s := reopen(t, path)
	seen := map[string]int{}
	after := ""
	for {
		page, err := s.Find(t.Context(), association.Query{Cluster: cluster, After: after, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			seen[a.ServiceAccount]++
			after = a.ID
		}
		if len(page) < 100 {
			break
		}
	}
	for n := range acknowledged {
		if name := "sa-" + strconv.Itoa(n); seen[name] != 1 {
			t.Errorf("%s is there %d times", name, seen[name])
		}
	}
	// One more may have been stored whose acknowledgement was not heard.
	if len(seen) > acknowledged+1 {
		t.Errorf("%d stored, %d acknowledged", len(seen), acknowledged)
	}
	var check string
	if err := s.reader.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity: %s, %v", check, err)
	}
}

func TestOneWins(t *testing.T) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "a.db")} {
		t.Run(name, func(t *testing.T) {
			s := reopen(t, path)
			const callers = 50
			errs := make([]error, callers)
			var wait sync.WaitGroup
			for i := range callers {
				wait.Go(func() {
					a := example(i)
					a.ServiceAccount = "one"
					_, errs[i] = s.Create(context.Background(), a, association.Once{}, 100)
				})
			}
			wait.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if identity.KindOf(err) != identity.InUse {
					t.Errorf("a loser got %v", err)
				}
			}
			if won != 1 {
				t.Errorf("%d won", won)
			}
		})
	}
}

func TestIdempotent(t *testing.T) {
	s := reopen(t, "")
	once := association.Once{Token: "t", Digest: "d", At: time.Now()}
	const callers = 20
	made := make([]identity.Association, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			a := example(i)
			a.ServiceAccount = "one"
			var err error
			if made[i], err = s.Create(context.Background(), a, once, 100); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, a := range made {
		if a.ID != made[0].ID {
			t.Errorf("two associations for one token: %s and %s", a.ID, made[0].ID)
		}
	}
	other := once
	other.Digest = "other"
	if _, err := s.Create(t.Context(), example(99), other, 100); identity.KindOf(err) != identity.InvalidParameter {
		t.Errorf("the token with another request: %v", err)
	}
}

func TestLimit(t *testing.T) {
	s := reopen(t, "")
	for n := range 3 {
		if _, err := s.Create(t.Context(), example(n), association.Once{}, 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Create(t.Context(), example(3), association.Once{}, 3); identity.KindOf(err) != identity.LimitExceeded {
		t.Errorf("over the limit: %v", err)
	}
}

func TestRoundTripAndDelete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := reopen(t, path)
	want := example(1)
	want.TargetRoleARN, want.Policy, want.DisableSessionTags = "arn:aws:iam::444455556666:role/t", "{}", true
	want.RevokedAt = want.CreatedAt.Add(time.Second)
	if _, err := s.Create(t.Context(), want, association.Once{}, 10); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, path)
	found, err := s.Find(t.Context(), association.Query{Cluster: cluster, ID: want.ID, Limit: 1})
	if err != nil || len(found) != 1 || fmt.Sprint(found[0]) != fmt.Sprint(want) {
		t.Errorf("found %+v, %v\nwant %+v", found, err, want)
	}
	refuse := identity.Errorf(identity.AccessDenied, "no")
	if _, err := s.Delete(t.Context(), cluster, want.ID, func(identity.Association) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("a refused delete: %v", err)
	}
	if _, err := s.Delete(t.Context(), cluster, want.ID, anything); err != nil {
		t.Error(err)
	}
	if _, err := s.Delete(t.Context(), cluster, want.ID, anything); identity.KindOf(err) != identity.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
}

// TestAnOlderDatabase: what version 1 of the schema holds is there, never
// revoked, and can be.
func TestAnOlderDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	old, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	want := example(1)
	for _, step := range []string{
		versions[0], "PRAGMA user_version = 1",
		`INSERT INTO association VALUES ('` + cluster.ARN() + `', '` + want.ID + `', 'n', 'sa-1', '` + want.RoleARN + `', '', 0, '', '{"k":"v"}', '', 1700000000123, 1700000000123)`,
	} {
		execute(t, old, step)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, path)
	found, err := s.Find(t.Context(), association.Query{Cluster: cluster, Limit: 1})
	if err != nil || len(found) != 1 || fmt.Sprint(found[0]) != fmt.Sprint(want) {
		t.Fatalf("found %+v, %v\nwant %+v", found, err, want)
	}
	revoked := time.UnixMilli(1_700_000_001_000).UTC()
	if _, err := s.Update(t.Context(), cluster, want.ID, association.Once{}, func(a *identity.Association) error { a.RevokedAt = revoked; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	found, err = reopen(t, path).Find(t.Context(), association.Query{Cluster: cluster, Limit: 1})
	if err != nil || len(found) != 1 || !found[0].RevokedAt.Equal(revoked) {
		t.Errorf("after it was revoked: %+v, %v", found, err)
	}
}

func TestUpdateThatFailsChangesNothing(t *testing.T) {
	s := reopen(t, "")
	if _, err := s.Create(t.Context(), example(1), association.Once{}, 10); err != nil {
		t.Fatal(err)
	}
	refuse := identity.Errorf(identity.InvalidParameter, "no")
	_, err := s.Update(t.Context(), cluster, example(1).ID, association.Once{}, func(a *identity.Association) error { a.RoleARN = "changed"; return refuse })
	if !errors.Is(err, refuse) {
		t.Errorf("%v", err)
	}
	found, err := s.Find(t.Context(), association.Query{Cluster: cluster, Limit: 1})
	if err != nil || len(found) != 1 || found[0].RoleARN != example(1).RoleARN {
		t.Errorf("after: %+v, %v", found, err)
	}
}
