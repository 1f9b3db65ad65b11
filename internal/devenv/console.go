package devenv

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// indexer keeps the console's index as the store has it. Changes may be heard in
// another order than they were made, and so each is looked up.
type indexer struct {
	store *sqlite.Store
	index console.Index

	mu sync.Mutex // one look at a time
}

func (x *indexer) changed(ctx context.Context, a identity.Association) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	found, err := x.store.Find(ctx, association.Query{Cluster: a.Cluster, ID: a.ID, Limit: 1})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		x.index.Remove(a.ID)
		return nil
	}
	x.index.Put(console.Record{Association: found[0], State: console.Unknown})
	return nil
}

// fill takes in what the store has already.
func (x *indexer) fill(ctx context.Context, clusters []worldCluster) error {
	const page = 1000
	for _, c := range clusters {
		q := association.Query{Cluster: c.identity(), Limit: page}
		for {
			found, err := x.store.Find(ctx, q)
			if err != nil {
				return err
			}
			for _, a := range found {
				x.index.Put(console.Record{Association: a, State: console.Unknown})
			}
			if len(found) < page {
				break
			}
			q.After = found[page-1].ID
		}
	}
	return nil
}

// console makes the web console, for whoever can reach loopback: they are the
// administrator of the world.
func (e *environment) console(ctx context.Context) (http.Handler, error) {
	if err := e.indexer.fill(ctx, e.world.Clusters); err != nil {
		return nil, fmt.Errorf("the console's index: %w", err)
	}
	var clusters []identity.Cluster
	for _, c := range e.world.Clusters {
		clusters = append(clusters, c.identity())
	}
	user := administratorOf{e}
	c, err := console.New(console.Config{
		Mode: console.Development, Clusters: clusters, Version: e.config.Version, ReadOnly: e.config.ConsoleReadOnly,
		Index: &e.indexer.index, Logger: e.config.Logger,
		User: func(*http.Request) (console.User, error) { return user, nil },
	})
	if err != nil {
		return nil, err
	}
	return loopbackOnly(c), nil
}

// isConsole tells the console's requests from those for a bucket named console,
// which have to be signed.
func isConsole(r *http.Request) bool {
	p := r.URL.Path
	return (p+"/" == console.Path || strings.HasPrefix(p, console.Path)) && !signed(r)
}

// isBrowser tells somebody who opens the address in a browser.
func isBrowser(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/" && r.URL.RawQuery == "" && !signed(r) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// signed tells whether a request claims a signature, in its header or its query.
func signed(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), "AWS") || strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}

// administratorOf is the user of the console.
type administratorOf struct{ e *environment }

func (a administratorOf) Name() string {
	return "arn:aws:iam::" + a.e.world.Clusters[0].Account + ":user/" + administrator
}
func (administratorOf) Groups() []string { return nil }
func (administratorOf) Scope(context.Context) (console.Scope, error) {
	return console.Scope{All: true}, nil
}
func (administratorOf) May(context.Context, string) (console.May, error) {
	return console.May{Create: true, Update: true, Delete: true, Activity: true, Health: true, Explain: true}, nil
}
