// Package agent is the credential endpoint of a node: it answers the AWS SDKs
// in the node's pods as EKS's own agent does, from one cache filled by the EKS
// Auth API.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/trace"
)

// Upstream exchanges tokens for credentials; an *eksauth.Client does.
type Upstream interface {
	// AssumeRoleForPodIdentity fails with an *eksauth.Error where the service
	// refused, and with anything else where it did not answer. It keeps to ctx.
	AssumeRoleForPodIdentity(ctx context.Context, token identity.Secret) (*eksauth.Grant, error)
}

// Config says how an Agent serves. Listeners and Upstream are required.
type Config struct {
	// Listeners are what the agent serves on, and Run closes. Their addresses
	// are the values of Host that it accepts, whatever the port. They must be
	// loopback or link-local, or of AWS's fd00:ec2::/32: addresses at which
	// nobody outside the node can ask.
	Listeners []net.Listener
	// Upstream has the credentials.
	Upstream Upstream
	// Reach returns nil when the upstream answers anything at all; the agent
	// looks with it for an upstream that does not. Nil: it is not looked for.
	Reach func(context.Context) error
	// Callers are the networks that pods ask from. Connections from elsewhere
	// are closed, but for the node's own. Empty: whoever can connect may.
	Callers []netip.Prefix
	// MaxEntries bounds, each on its own, the tokens whose credentials are
	// kept, those whose refusal is, and those for which a fetch waits. 0: 2,000.
	MaxEntries int
	// MaxInFlight bounds the calls to Upstream at any time. One address of a pod
	// gets three quarters of them at most. 0: 160.
	MaxInFlight int
	// RenewAfter is when credentials are renewed at the latest; at three quarters
	// of their life they are at any rate. 0: 3 h.
	RenewAfter time.Duration
	// Changes tell what becomes of the associations of clusters, by the names of
	// these; "" stands for all others. What has changed is dropped at once. None:
	// what is in memory stays as long as it is valid.
	Changes map[string]Changes
	// Tell tells the servers how the agent is, which runs as Version, while it hears
	// of changes; an eksauth.Client's Tell does. Nil: nobody is told.
	Tell    func(context.Context, eksauth.AgentStatus) error
	Version string
	// RevalidateAfter is how long ago anything may have been heard from Changes
	// when credentials are handed out. Then they are asked for anew first; where
	// nobody answers within half a second, they are handed out all the same, or
	// refused if RefuseUnheard says so. 0: 30 s.
	RevalidateAfter time.Duration
	RefuseUnheard   bool
	// FetchTimeout bounds one call to Upstream; a pod waits twice as long at
	// most, since the call may have to wait for its turn. 0: 5 s.
	FetchTimeout time.Duration
	// Tracer follows requests. Nil: they are not followed.
	Tracer *trace.Tracer
	// Logger takes one line for each call to Upstream. Nil: nowhere.
	Logger *slog.Logger
}

// Agent answers pods.
type Agent struct {
	listeners   []net.Listener
	addresses   addresses
	connections *connections
	server      *httpd.Server
	cache       *cache
	reach       func(context.Context) error
	tell        func(context.Context, eksauth.AgentStatus) error
	version     string
	serving     atomic.Bool
	logger      *slog.Logger
}

// New checks c. It starts nothing.
func New(c Config) (*Agent, error) {
	switch {
	case c.Upstream == nil:
		return nil, errors.New("agent: no upstream")
	case c.MaxEntries < 0, c.MaxInFlight < 0, c.FetchTimeout < 0, c.RenewAfter < 0, c.RevalidateAfter < 0:
		return nil, errors.New("agent: a negative bound")
	case c.RefuseUnheard && len(c.Changes) == 0:
		return nil, errors.New("agent: to refuse what is unheard of, there must be something to hear")
	}
	addresses, err := addressesOf(c.Listeners)
	if err != nil {
		return nil, err
	}
	setDefault(&c.MaxEntries, 2000)
	setDefault(&c.MaxInFlight, 160)
	setDefault(&c.FetchTimeout, 5*time.Second)
	setDefault(&c.RenewAfter, 3*time.Hour)
	setDefault(&c.RevalidateAfter, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{
		addresses: addresses, cache: newCache(c), reach: c.Reach, tell: c.Tell, version: c.Version, logger: c.Logger,
		connections: &connections{callers: c.Callers, from: map[netip.Addr]int{}},
	}
	for _, l := range c.Listeners {
		a.listeners = append(a.listeners, countedListener{l, a.connections})
	}
	a.server, err = httpd.New(httpd.Config{
		Handler:        a.handler(),
		Logger:         c.Logger,
		MaxConnections: maxConnections,
		IdleTimeout:    30 * time.Second,
		ReadTimeout:    5 * time.Second, // there is no body to wait for
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func setDefault[T comparable](p *T, value T) {
	if *p == *new(T) {
		*p = value
	}
}

// Run serves until ctx ends, and returns when nothing of the agent runs any
// more. It can be called once.
func (a *Agent) Run(ctx context.Context) error {
	defer a.cache.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.server.Run(ctx, a.listeners...) })
	group.Go(func() error { a.cache.keepFresh(ctx); return nil })
	for _, e := range a.cache.ears {
		group.Go(func() error { a.cache.listen(ctx, e); return nil })
	}
	if a.reach != nil {
		group.Go(func() error { a.cache.contact.lookFor(ctx, a.reach); return nil })
	}
	if a.tell != nil {
		group.Go(func() error { a.keepTold(ctx); return nil })
	}
	a.serving.Store(true)
	defer a.serving.Store(false)
	return group.Wait()
}

// Ready tells whether the agent is serving. Whether the upstream answers does
// not count: pods whose credentials are cached need the agent all the same.
func (a *Agent) Ready() bool { return a.serving.Load() }
