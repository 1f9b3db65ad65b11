// Package console is podid's web console: its JSON API (api.go) and the page in
// console/, which is embedded as it was built. What a user may see and do is the
// judgement of whoever runs it, through User.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
)

// The modes.
const (
	Development = "development"
	Kubernetes  = "kubernetes"
)

// Config says what a console shows, and for whom. Mode, Clusters, Index and User
// are required; what is nil of the rest, the console does without, and says so.
type Config struct {
	Mode     string
	Clusters []identity.Cluster
	// Version is that of podid.
	Version string
	// ReadOnly refuses every change.
	ReadOnly bool
	// Index has the associations.
	Index *Index
	// User finds out who asks. Its error is an *identity.Error, Unauthenticated
	// where nobody is known.
	User func(r *http.Request) (User, error)
	// Explain explains. Nil: nothing can be explained.
	Explain func(ctx context.Context, q explain.Question) (*explain.Report, error)
	// FirstHopAs is the ARN with which podid assumes Pod Identity roles. "": the
	// service does. FirstHopUnknown: with an identity that is not told.
	FirstHopAs      string
	FirstHopUnknown bool
	// Rules judge associations before they are saved.
	Rules association.Rules
	// Verify tries the chain of an association. Nil: whoever keeps the index knows.
	// It returns the hop that failed.
	Verify func(ctx context.Context, a identity.Association) (hop int, err error)
	// Surroundings are what a cluster has besides associations.
	Surroundings Surroundings
	// Audit keeps an event of each change. Zero: of none.
	Audit association.Auditor
	// Local is what this replica has of activity and health, Peers the others.
	// Nil: nothing, and none.
	Local Source
	Peers Peers
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger takes what goes wrong. Nil: nothing.
	Logger *slog.Logger
}

// Surroundings are what a cluster has besides associations, each as far as user may
// see it. Nil: nobody knows.
type Surroundings struct {
	// Namespaces and ServiceAccounts are those that there are.
	Namespaces      func(ctx context.Context, user User, cluster string) ([]string, error)
	ServiceAccounts func(ctx context.Context, user User, cluster, namespace string) ([]ServiceAccount, error)
	// Roles are those of AWS.
	Roles func(ctx context.Context, user User) ([]Role, error)
	// Pods are those of an association's service account.
	Pods func(ctx context.Context, user User, of Record) ([]Pod, error)
	// Events are Kubernetes' own of an association, newest first.
	Events func(ctx context.Context, user User, of Record) ([]KubernetesEvent, error)
	// Accounts are the names of accounts, by id.
	Accounts map[string]string
}

// Scope is what part of the associations a user may see.
type Scope struct {
	All        bool
	Namespaces map[string]bool // these, if not All
}

func (s Scope) sees(namespace string) bool { return s.All || s.Namespaces[namespace] }

// User is who asks, and the judge of what they may do.
type User interface {
	Name() string
	Groups() []string
	ARN() string
	// Scope says which associations the user may list.
	Scope(ctx context.Context) (Scope, error)
	// Activity says of which namespaces the user may see audit events. Its error is
	// AccessDenied where it is of none.
	Activity(ctx context.Context) (Scope, error)
	// May says what to offer the user, in a namespace, or anywhere: "".
	May(ctx context.Context, namespace string) (May, error)
	// Create makes an association, Update makes before into a, and Delete takes it
	// away: with the user's own rights, and what is judged there is what counts.
	// With dryRun nothing is stored. Where that cannot be asked, it is not an error.
	Create(ctx context.Context, a identity.Association, dryRun bool) (Saved, error)
	Update(ctx context.Context, before Record, a identity.Association, dryRun bool) (Saved, error)
	Delete(ctx context.Context, a Record, dryRun bool) error
}

// Saved is what a change has come to.
type Saved struct {
	Association identity.Association
	Warnings    []string // what was said about it
}

// Console answers. It is safe for concurrent use.
type Console struct {
	config  Config
	handler http.Handler
	verify  *verifier
	waiting chan struct{} // slots of those that wait for activity
	looking chan struct{} // slots of those that look through all associations
}

// New makes a Console. It starts nothing.
func New(c Config) (*Console, error) {
	if c.Mode == "" || len(c.Clusters) == 0 || c.Index == nil || c.User == nil {
		return nil, errors.New("console: Mode, Clusters, Index and User are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	page, err := newPage(assets)
	if err != nil {
		return nil, err
	}
	k := &Console{config: c, waiting: make(chan struct{}, maxWaiting), looking: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	k.verify = newVerifier(c)
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle(Prefix+"/", k.api())
	k.handler = secured(mux)
	return k, nil
}

// Run verifies associations until ctx ends, where it is the console that does.
func (c *Console) Run(ctx context.Context) error { return c.verify.run(ctx) }

// ServeHTTP serves what is at Path and below.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// api are the routes of api.go.
func (c *Console) api() http.Handler {
	mux := http.NewServeMux()
	for route, answer := range map[string]func(*call) (any, error){
		RouteSession:      c.session,
		RouteAssociations: c.list,
		RouteFacets:       c.facets,
		RouteAssociation:  c.describe,
		RouteCreate:       c.create, RoutePreview: c.preview, RouteUpdate: c.update, RouteDelete: c.remove,
		RouteExplanation: c.explanation, RoutePolicies: c.policies, RoutePods: c.pods, RouteDeletion: c.deletion, RouteEvents: c.events,
		RouteNamespaces: c.namespaces, RouteServiceAccounts: c.serviceAccounts, RouteRoles: c.roles,
		RouteMap: c.draw, RouteActivity: c.activity, RouteCounts: c.counts, RouteHealth: c.health,
	} {
		method, path := cut(route)
		mux.Handle(method+" "+Prefix+path, c.route(answer))
	}
	mux.Handle("/", c.route(func(*call) (any, error) {
		return nil, identity.Errorf(identity.NotFound, "The console's API has no such path or method.")
	}))
	return mux
}
