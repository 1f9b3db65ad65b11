package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

// BenchmarkRequests: what a request costs at 50,000 associations, from its
// headers to its JSON.
func BenchmarkRequests(b *testing.B) {
	const associations = 50_000
	index := new(Index)
	for i := range associations {
		index.Put(Record{State: Working, LastIssued: time.Unix(int64(i*7919%associations), 0), Association: identity.Association{
			ID: fmt.Sprintf("a-%017d", i), Cluster: cluster, Namespace: fmt.Sprintf("team-%d", i%500), ServiceAccount: fmt.Sprintf("app-%d", i),
			RoleARN: fmt.Sprintf("arn:aws:iam::111122223333:role/team-%d", i%500), TargetRoleARN: fmt.Sprintf("arn:aws:iam::%012d:role/data-%d", i%200, i%2000),
			Tags: map[string]string{"team": fmt.Sprint(i % 500)},
		}})
	}
	user := &somebody{scope: Scope{All: true}, activity: Scope{All: true}}
	c, err := New(Config{Mode: Kubernetes, Clusters: []identity.Cluster{cluster}, Index: index, User: func(*http.Request) (User, error) { return user, nil }})
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{
		"first page":          "/associations",
		"last page":           "/associations?sort=-lastIssued&page=1000",
		"search":              "/associations?q=app-4999",
		"search, none":        "/associations?q=nothing+like+it",
		"filter":              "/associations?account=000000000123&state=working",
		"facets of roles":     "/facets?field=role",
		"map":                 "/map",
		"map of one account":  "/map?account=000000000123",
		"one association":     "/associations/a-00000000000000042",
		"picker, by a prefix": "/serviceaccounts?q=app-123",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				if c.ServeHTTP(w, httptest.NewRequest("GET", Prefix+path, nil)); w.Code != http.StatusOK {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	b.Run("a change, in all orders", func(b *testing.B) {
		for key := range sorts {
			index.order(key)
		}
		r, _ := index.Get("a-00000000000000042")
		for b.Loop() {
			r.LastIssued = r.LastIssued.Add(time.Second)
			index.Put(r)
		}
	})
}
