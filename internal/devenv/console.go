package devenv

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/uuid"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

// indexer keeps the console's index as the store has it. Changes may be heard in
// another order than they were made, and so each is looked up.
type indexer struct {
	store *sqlite.Store
	index console.Index

	mu sync.Mutex // one look, and one note, at a time
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
	before, _ := x.index.Get(a.ID)
	x.index.Put(console.Record{Association: found[0], State: console.Unknown, LastIssued: before.LastIssued})
	return nil
}

// noting issues by give, and notes when: as long as this process runs, as it has
// its activity.
func (x *indexer) noting(give func(context.Context, issue.Request) (*issue.Grant, error)) func(context.Context, issue.Request) (*issue.Grant, error) {
	return func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
		grant, err := give(ctx, r)
		if err == nil {
			x.issued(grant.Association.ID, time.Now())
		}
		return grant, err
	}
}

func (x *indexer) issued(id string, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if known, ok := x.index.Get(id); ok {
		x.index.Update(id, known.Version(), func(r *console.Record) { r.LastIssued = at })
	}
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
func (e *environment) console(ctx context.Context, sink audit.Sink) (http.Handler, error) {
	if err := e.indexer.fill(ctx, e.world.Clusters); err != nil {
		return nil, fmt.Errorf("the console's index: %w", err)
	}
	var clusters []identity.Cluster
	for _, c := range e.world.Clusters {
		clusters = append(clusters, c.identity())
	}
	user := administratorOf{e}
	config := console.Config{
		Mode: console.Development, Clusters: clusters, Version: e.config.Version, ReadOnly: e.config.ConsoleReadOnly,
		Index: &e.indexer.index, Logger: e.config.Logger, Verify: e.verify, Surroundings: e.surroundings(), Local: &itself{e, time.Now()},
		User:  func(*http.Request) (console.User, error) { return user, nil },
		Audit: association.Auditor{Sink: sink, Logger: e.config.Logger},
	}
	if e.config.AWS {
		config.FirstHopUnknown = true
	} else {
		config.Explain = e.explain
	}
	var err error
	if e.page, err = console.New(config); err != nil {
		return nil, err
	}
	return loopbackOnly(e.page), nil
}

// verify tries the chain of an association as a pod that does not exist.
func (e *environment) verify(ctx context.Context, a identity.Association) (hop int, err error) {
	steps, err := e.chains.Try(ctx, a, identity.Subject{
		Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, PodName: a.ServiceAccount + "-0", PodUID: uuid.NewString(),
	})
	return len(steps), err
}

// surroundings are what the world has.
func (e *environment) surroundings() console.Surroundings {
	accounts := map[string]string{}
	for _, a := range e.world.Accounts {
		accounts[a.ID] = a.Name
	}
	return console.Surroundings{
		Accounts: accounts, Roles: e.consoleRoles,
		Namespaces: func(_ context.Context, _ console.User, cluster string) ([]string, error) {
			var names []string
			for _, s := range e.serviceAccounts(cluster, "") {
				names = append(names, s.Namespace)
			}
			return names, nil
		},
		ServiceAccounts: func(_ context.Context, _ console.User, cluster, namespace string) ([]console.ServiceAccount, error) {
			return e.serviceAccounts(cluster, namespace), nil
		},
	}
}

func (e *environment) serviceAccounts(cluster, namespace string) []console.ServiceAccount {
	var found []console.ServiceAccount
	for _, c := range e.world.Clusters {
		if c.Name != cluster {
			continue
		}
		for _, s := range c.ServiceAccounts {
			if namespace == "" || s.Namespace == namespace {
				found = append(found, console.ServiceAccount{Namespace: s.Namespace, Name: s.Name})
			}
		}
	}
	return found
}

// maxRoles bounds the roles of an account that the console offers.
const maxRoles = 1000

// consoleRoles asks each account which roles it has: they may have been made
// since the world was read.
func (e *environment) consoleRoles(ctx context.Context, _ console.User) ([]console.Role, error) {
	var found []console.Role
	for _, a := range e.world.Accounts {
		list, err := iam.NewFromConfig(e.administrator(a.ID, e.world.Clusters[0].Region)).ListRoles(ctx, &iam.ListRolesInput{MaxItems: aws.Int32(maxRoles)})
		if err != nil {
			return nil, failure(err)
		}
		for _, r := range list.Roles {
			found = append(found, console.Role{ARN: aws.ToString(r.Arn), Description: aws.ToString(r.Description)})
		}
	}
	return found, nil
}

// itself is development mode as the one replica that there is.
type itself struct {
	e     *environment
	began time.Time
}

func (*itself) Name() string { return "podid-dev" }

func (i *itself) Events(q audit.Query) (audit.Page, error) { return i.e.info.Audit.Query(q) }

func (i *itself) Health(context.Context) console.LocalHealth {
	chains, feed, now := i.e.chains.Stats(), i.e.feed.Stats(), time.Now()
	h := console.LocalHealth{Replica: console.Replica{
		Name: i.Name(), Version: i.e.config.Version, Started: i.began.UTC(), Ready: true, Agents: feed.Listeners,
		Associations: i.e.indexer.index.Len(), Sequence: feed.Sequence, Certificates: []console.Certificate{}, Chains: console.ChainsOf(chains, now.Sub(i.began)),
	}}
	if node := i.e.node.Load(); node != nil {
		s := node.Stats()
		h.Agents = []console.Agent{{
			Node: "podid-dev-node", Version: i.e.config.Version, Listening: feed.Listeners > 0, Replica: i.Name(), LastHeard: now.UTC(), Since: i.began.UTC(),
			Cache: &console.AgentCache{Pods: s.Pods, Entries: s.Entries, Hits: s.Hits, Misses: s.Misses, Stale: s.Stale, At: now.UTC()},
		}}
	}
	return h
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
