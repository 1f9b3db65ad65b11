package association

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rules "github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// TestMany has as many associations as AWS lets a cluster have. The bounds are
// wide, for busy machines; what was measured is logged.
func TestMany(t *testing.T) {
	const n = rules.DefaultLimit
	c := start(t, cluster.Newest)
	var namespaces []string
	for i := range 10 {
		namespaces = append(namespaces, c.Namespace(t, fmt.Sprint("team", i)))
	}
	r := running(t, c.Config)
	took := func(what string, bound time.Duration, do func()) {
		t.Helper()
		began := time.Now()
		do()
		d := time.Since(began)
		t.Logf("%-45s %v", what, d.Round(time.Microsecond))
		if d > bound {
			t.Errorf("%s took %v, more than %v", what, d, bound)
		}
	}
	took("making 5,000", 5*time.Minute, func() {
		var all sync.WaitGroup
		var next atomic.Int64
		for range 16 {
			all.Go(func() {
				for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
					if err := r.live.Create(t.Context(), object(namespaces[i%10], fmt.Sprint("app", i))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
	if t.Failed() {
		return
	}
	_, err := r.Create(t.Context(), wanted(namespaces[0], "one-too-many"), rules.Once{}, n)
	wantKind(t, err, identity.LimitExceeded)

	second, fill := newReplica(t, c.Config)
	took("filling the informer of another replica", time.Minute, fill)
	took("1,000 look-ups of what is known", time.Second, func() {
		for i := range 1000 {
			if _, err := second.Lookup(t.Context(), namespaces[i%10], fmt.Sprint("app", i)); err != nil {
				t.Fatal(err)
			}
		}
	})
	took("100 look-ups of what is not there", 10*time.Second, func() {
		for range 100 {
			_, err := second.Lookup(t.Context(), namespaces[0], "nobody")
			wantKind(t, err, identity.NotFound)
		}
	})
	var first []identity.Association
	took("the first page of the list", 10*time.Second, func() {
		if first, err = second.Find(t.Context(), rules.Query{Cluster: home, Limit: 101}); err != nil || len(first) != 101 {
			t.Fatal(len(first), err)
		}
	})
	seen := map[string]bool{}
	took("all pages of 100", 30*time.Second, func() {
		for after := ""; ; {
			page, err := second.Find(t.Context(), rules.Query{Cluster: home, Limit: 100, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				if seen[a.ID] || a.ID <= after {
					t.Fatalf("%s after %s", a.ID, after)
				}
				seen[a.ID], after = true, a.ID
			}
			if len(page) < 100 {
				return
			}
		}
	})
	if len(seen) != n {
		t.Errorf("the pages have %d associations", len(seen))
	}
	took("one by its id", 2*time.Second, func() {
		if found, err := second.Find(t.Context(), rules.Query{Cluster: home, ID: first[50].ID, Limit: 1}); err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
	})
	took("an id that is not there", 10*time.Second, func() {
		if found, err := second.Find(t.Context(), rules.Query{Cluster: home, ID: "a-00000000000000000", Limit: 1}); err != nil || len(found) != 0 {
			t.Fatal(found, err)
		}
	})
}
