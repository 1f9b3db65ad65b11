package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/podid/podid/internal/association"
)

// filled makes a store with as many associations, 5,000 in each cluster.
func filled(b *testing.B, path string, associations int) *Store {
	b.Helper()
	s, err := New(Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	execute(b, s, "PRAGMA synchronous = OFF")
	for n := range associations {
		a := example(n)
		a.Namespace = fmt.Sprint("ns-", n%100)
		if n >= association.DefaultLimit {
			a.Cluster.Name = fmt.Sprint("c-", n/association.DefaultLimit)
		}
		if _, err := s.Create(context.Background(), a, association.Once{}, association.DefaultLimit+1); err != nil {
			b.Fatal(err)
		}
	}
	execute(b, s, "PRAGMA synchronous = FULL")
	return s
}

func BenchmarkStore(b *testing.B) {
	for _, associations := range []int{5_000, 50_000} {
		path := filepath.Join(b.TempDir(), "a.db")
		s := filled(b, path, associations)
		const last = association.DefaultLimit - 1
		for name, q := range map[string]association.Query{
			"lookup":                      {Namespace: fmt.Sprint("ns-", last%100), ServiceAccount: fmt.Sprint("sa-", last), Limit: 1},
			"page in the middle":          {After: example(last / 2).ID, Limit: 100},
			"page of one namespace":       {Namespace: "ns-7", Limit: 40},
			"page of one service account": {ServiceAccount: "sa-7", Limit: 100},
		} {
			q.Cluster = cluster
			b.Run(fmt.Sprintf("%s/%d", name, associations), func(b *testing.B) {
				for b.Loop() {
					if found, err := s.Find(context.Background(), q); err != nil || len(found) == 0 {
						b.Fatal(found, err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("create and delete/%d", associations), func(b *testing.B) {
			for b.Loop() {
				a := example(associations)
				if _, err := s.Create(context.Background(), a, association.Once{}, association.DefaultLimit+1); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Delete(context.Background(), cluster, a.ID, anything); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
