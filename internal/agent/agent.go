// Package agent is the credential endpoint of a node: it answers the AWS SDKs
// in the node's pods as EKS's own agent does, from one cache filled by the EKS
// Auth API.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
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
	// MaxEntries bounds, each on its own, the tokens whose credentials are
	// kept, those whose refusal is, and those for which a fetch is under way. 0: 2,000.
	MaxEntries int
	// MaxInFlight bounds the calls to Upstream at any time. 0: 100.
	MaxInFlight int
	// FetchTimeout bounds one fetch, its wait for a turn included. 0: 5 s.
	FetchTimeout time.Duration
	// Logger takes one line for each call to Upstream. Nil: nowhere.
	Logger *slog.Logger
}

// Agent answers pods.
type Agent struct {
	listeners []net.Listener
	addresses addresses
	server    *httpd.Server
	cache     *cache
	serving   atomic.Bool
	logger    *slog.Logger
}

// maxConnections bounds the pods' connections, so that one that opens them
// without end costs the node some 40 MB and not all it has.
const maxConnections = 4096

// New checks c. It starts nothing.
func New(c Config) (*Agent, error) {
	switch {
	case c.Upstream == nil:
		return nil, errors.New("agent: no upstream")
	case c.MaxEntries < 0, c.MaxInFlight < 0, c.FetchTimeout < 0:
		return nil, errors.New("agent: a negative bound")
	}
	addresses, err := addressesOf(c.Listeners)
	if err != nil {
		return nil, err
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = 2000
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 100
	}
	if c.FetchTimeout == 0 {
		c.FetchTimeout = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Agent{listeners: c.Listeners, addresses: addresses, cache: newCache(c), logger: c.Logger}
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

// Run serves until ctx ends, and returns when nothing of the agent runs any
// more. It can be called once.
func (a *Agent) Run(ctx context.Context) error {
	defer a.cache.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.server.Run(ctx, a.listeners...) })
	group.Go(func() error { a.cache.keepFresh(ctx); return nil })
	a.serving.Store(true)
	defer a.serving.Store(false)
	return group.Wait()
}

// Ready tells whether the agent is serving. Whether the upstream answers does
// not count: pods whose credentials are cached need the agent all the same.
func (a *Agent) Ready() bool { return a.serving.Load() }

// Stats counts, since the agent was made.
type Stats struct {
	Hits       uint64 // requests answered from the cache
	Misses     uint64 // requests that waited for the upstream
	Remembered uint64 // requests that would have, had the upstream not just refused or failed
	Stale      uint64 // of the last two, those given credentials that end soon, for want of better
	Fetches    uint64 // calls to the upstream for requests that waited
	Renewals   uint64 // calls to the upstream ahead of need
	Failures   uint64 // of all these calls, those without credentials
	Entries    int    // credentials in the cache now
}

// Stats returns the counters.
func (a *Agent) Stats() Stats { return a.cache.stats() }

// addresses are the IP addresses that the agent is asked at.
type addresses []netip.Addr

// awsIPv6 holds the addresses of AWS's link-local services on IPv6 nodes
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
var awsIPv6 = netip.MustParsePrefix("fd00:ec2::/32")

func addressesOf(listeners []net.Listener) (addresses, error) {
	if len(listeners) == 0 {
		return nil, errors.New("agent: nothing to listen on")
	}
	var all addresses
	for _, listener := range listeners {
		tcp, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("agent: %s is not a TCP address", listener.Addr())
		}
		address := tcp.AddrPort().Addr().Unmap()
		if !address.IsLoopback() && !address.IsLinkLocalUnicast() && !awsIPv6.Contains(address) {
			return nil, fmt.Errorf("agent: %s can be reached from outside the node: want a loopback or link-local address", address)
		}
		all = append(all, address.WithZone(""))
	}
	return all, nil
}

// named tells whether host, the value of a Host header, is one of the
// addresses, with or without a port. Names never are: anybody can have one that
// points here (DNS rebinding).
func (all addresses) named(host string) bool {
	address, ok := hostAddress(host)
	return ok && slices.Contains(all, address)
}

// hostAddress reads "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]" and "[2001:db8::1]:80".
func hostAddress(host string) (address netip.Addr, ok bool) {
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		address, err := netip.ParseAddr(host[1 : n-1])
		return address, err == nil && address.Is6()
	}
	if withPort, err := netip.ParseAddrPort(host); err == nil {
		return withPort.Addr(), true
	}
	address, err := netip.ParseAddr(host)
	return address, err == nil && address.Is4()
}
