// Package console is podid's web console: its JSON API (api.go) and the page in
// console/, which is embedded as it was built. What a user may see and do is the
// judgement of whoever runs it, through User.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

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
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger takes what goes wrong. Nil: nothing.
	Logger *slog.Logger
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
	// Scope says which associations the user may list.
	Scope(ctx context.Context) (Scope, error)
	// May says what to offer the user, in a namespace, or anywhere: "".
	May(ctx context.Context, namespace string) (May, error)
}

// Console answers. It is safe for concurrent use.
type Console struct {
	config  Config
	clients http.Handler
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
	k := &Console{config: c}
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle(Prefix+"/", k.api())
	k.clients = secured(mux)
	return k, nil
}

// ServeHTTP serves what is at Path and below.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.clients.ServeHTTP(w, r) }

// api are the routes of api.go.
func (c *Console) api() http.Handler {
	mux := http.NewServeMux()
	for route, answer := range map[string]func(*call) (any, error){
		RouteSession:      c.session,
		RouteAssociations: c.list,
		RouteFacets:       c.facets,
		RouteAssociation:  c.describe,
	} {
		method, path := cut(route)
		mux.Handle(method+" "+Prefix+path, c.route(answer))
	}
	mux.Handle("/", c.route(func(*call) (any, error) {
		return nil, identity.Errorf(identity.NotFound, "The console's API has no such path or method.")
	}))
	return mux
}
