package eksauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

// endpoint is one base URL, and the replicas behind its name.
type endpoint struct {
	base *url.URL
	name string // to be looked up; empty: the URL is asked as it is
	port string
	http *http.Client
	seed maphash.Seed
	find func(ctx context.Context, name string) ([]netip.Addr, error)

	mu       sync.Mutex
	known    []*replica
	lookedUp time.Time
	lookup   chan struct{} // closed when the lookup under way has ended; nil: none is
	failure  error         // of the last lookup
}

// lookupEvery is how often a name is looked up again, and lookupTimeout how
// long that may take. The addresses known meanwhile stay in use.
const (
	lookupEvery   = 10 * time.Second
	lookupTimeout = 2 * time.Second
)

// doubtEvery is how often a name is looked up again at most because a replica
// failed: others may have come that nobody has looked for yet.
const doubtEvery = 500 * time.Millisecond

// replicas returns those that are known, or why there are none.
func (e *endpoint) replicas() ([]*replica, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.known) > 0 {
		return e.known, nil
	}
	return nil, e.failure
}

// refresh looks e's name up if that is due, and calls ended when no lookup is
// under way any more.
func (e *endpoint) refresh(ended func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	due := e.name != "" && (len(e.known) == 0 || time.Since(e.lookedUp) >= lookupEvery)
	if !due && e.lookup == nil {
		ended()
		return
	}
	if e.lookup == nil {
		e.lookup = make(chan struct{})
		go e.lookUp()
	}
	if len(e.known) == 0 { // or else nobody waits
		lookup := e.lookup
		go func() { <-lookup; ended() }()
	}
}

// doubt looks e's name up again, since a replica of it failed.
func (e *endpoint) doubt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.name == "" || e.lookup != nil || time.Since(e.lookedUp) < doubtEvery {
		return
	}
	e.lookup = make(chan struct{})
	go e.lookUp()
}

func (e *endpoint) lookUp() {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addresses, err := e.find(ctx, e.name)
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("%s has no address", e.name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.lookup)
	e.lookup, e.lookedUp, e.failure = nil, time.Now(), err
	if err != nil {
		return
	}
	var known []*replica
	for _, address := range addresses {
		r := e.at(net.JoinHostPort(address.Unmap().String(), e.port))
		if i := slices.IndexFunc(e.known, func(k *replica) bool { return k.url.Host == r.url.Host }); i >= 0 {
			r = e.known[i]
		}
		known = append(known, r)
	}
	e.known = known
}

// at makes the replica of e at an address.
func (e *endpoint) at(hostPort string) *replica {
	u := *e.base
	u.Host = hostPort
	return &replica{url: &u, host: e.base.Host, http: e.http, rank: maphash.String(e.seed, hostPort)}
}

// newEndpoint makes the endpoint of a base URL. It is looked up if byAddress
// says so, and no proxy is in the way.
func newEndpoint(base string, c ClientConfig, byAddress bool) (*endpoint, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("eksauth: %q is not the URL of an endpoint", base)
	}
	address, err := netip.ParseAddr(u.Hostname())
	isAddress := err == nil
	if c.Token != nil && u.Scheme != "https" && !(isAddress && address.IsLoopback()) {
		return nil, fmt.Errorf("eksauth: %q would carry the agent's token unencrypted: want https", base)
	}
	if c.CAFile != "" {
		if _, err := rootsIn(c.CAFile); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialer.Timeout,
		TLSClientConfig:        &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12},
		MaxConnsPerHost:        c.MaxConnections,
		MaxIdleConnsPerHost:    c.MaxConnections,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        time.Minute,
	}
	proxied := false
	if c.CAFile == "" {
		transport.Proxy = http.ProxyFromEnvironment
		proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
		proxied = err != nil || proxy != nil
	} else {
		transport.DialTLSContext = trusting(c.CAFile, u.Hostname())
	}
	e := &endpoint{base: u, port: u.Port(), seed: maphash.MakeSeed(), find: c.LookUp, http: &http.Client{
		Transport: transport,
		// A redirect would carry the pod's token to a place of the sender's choosing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if e.port == "" {
		e.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if byAddress && !isAddress && !proxied {
		e.name = u.Hostname()
	} else {
		e.known = []*replica{e.at(u.Host)}
	}
	return e, nil
}

// dialer gives up on an address long before a call ends.
var dialer = &net.Dialer{Timeout: 2 * time.Second}

// trusting dials a server that proves to be name by the certificates in file,
// as they are at that moment.
func trusting(file, name string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		roots, err := rootsIn(file)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, dialer.Timeout)
		defer cancel()
		d := tls.Dialer{NetDialer: dialer, Config: &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}}
		return d.DialContext(ctx, network, address)
	}
}

func rootsIn(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificates: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no CA certificates in PEM", file)
	}
	return roots, nil
}
