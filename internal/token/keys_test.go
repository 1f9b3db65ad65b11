package token

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/podid/podid/internal/identity"
)

// issuerServer publishes a key set that tests change.
type issuerServer struct {
	*httptest.Server
	fetches atomic.Int64

	mu      sync.Mutex
	handler http.HandlerFunc
}

func newIssuerServer(t *testing.T, keys ...jose.JSONWebKey) *issuerServer {
	s := &issuerServer{}
	s.publish(t, keys...)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		handler := s.handler
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *issuerServer) serve(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

func (s *issuerServer) publish(t *testing.T, keys ...jose.JSONWebKey) {
	data := keySetOf(t, keys...)
	s.serve(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
}

func (s *issuerServer) breakDown() {
	s.serve(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) })
}

// wanted checks how often the key set has been fetched in all.
func (s *issuerServer) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if got := s.fetches.Load(); got != want {
		t.Errorf("%d fetches, want %d", got, want)
	}
}

func public(kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: kid}
}

// mover is a clock that tests move.
type mover struct{ offset atomic.Int64 }

func (m *mover) now() time.Time          { return now.Add(time.Duration(m.offset.Load())) }
func (m *mover) advance(d time.Duration) { m.offset.Add(int64(d)) }

func newRemoteSet(t *testing.T, url string) (*keySet, *mover) {
	t.Helper()
	m := &mover{}
	set, err := newKeySet(Issuer{JWKSURL: url}, &http.Client{}, m.now)
	if err != nil {
		t.Fatal(err)
	}
	return set, m
}

// wantKey, wantNoKey and wantAway check what find says about kid.
func wantKey(t *testing.T, s *keySet, kid string) {
	t.Helper()
	if key, err := s.find(t.Context(), kid); err != nil || key == nil || key.KeyID != kid {
		t.Errorf("%s: got %v, %v; want the key", kid, key, err)
	}
}

func wantNoKey(t *testing.T, s *keySet, kid string) {
	t.Helper()
	if key, err := s.find(t.Context(), kid); err != nil || key != nil {
		t.Errorf("%s: got %v, %v; want none", kid, key, err)
	}
}

func wantAway(t *testing.T, s *keySet, kid string) {
	t.Helper()
	if key, err := s.find(t.Context(), kid); identity.KindOf(err) != identity.Unavailable {
		t.Errorf("%s: got %v, %v; want unavailable", kid, key, err)
	}
}

func TestKeysAreFetchedOnce(t *testing.T) {
	server := newIssuerServer(t, public("k1"))
	set, clock := newRemoteSet(t, server.URL)
	server.wantFetches(t, 0)
	wantKey(t, set, "k1")
	clock.advance(freshFor - time.Second)
	wantKey(t, set, "k1")
	server.wantFetches(t, 1)
	clock.advance(2 * time.Second)
	wantKey(t, set, "k1")
	server.wantFetches(t, 2)
}

func TestNewKeyIsFetchedAndWithdrawnKeyForgotten(t *testing.T) {
	server := newIssuerServer(t, public("k1"))
	set, clock := newRemoteSet(t, server.URL)
	wantKey(t, set, "k1")
	server.publish(t, public("k2"))
	clock.advance(unknownEvery)
	wantKey(t, set, "k2")
	wantNoKey(t, set, "k1")
	server.wantFetches(t, 2)
}

func TestWithdrawnKeyIsForgottenWithoutANewOne(t *testing.T) {
	server := newIssuerServer(t, public("k1"), public("k2"))
	set, clock := newRemoteSet(t, server.URL)
	wantKey(t, set, "k1")
	server.publish(t, public("k2"))
	clock.advance(freshFor)
	wantNoKey(t, set, "k1")
}

func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	server := newIssuerServer(t, public("k1"))
	set, clock := newRemoteSet(t, server.URL)
	for range 50 {
		wantNoKey(t, set, "made-up")
	}
	server.wantFetches(t, 1)
	clock.advance(unknownEvery)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { wantNoKey(t, set, "made-up") })
	}
	all.Wait()
	server.wantFetches(t, 2)
}

func TestStaleKeysServeWhileTheIssuerIsAway(t *testing.T) {
	server := newIssuerServer(t, public("k1"))
	set, clock := newRemoteSet(t, server.URL)
	wantKey(t, set, "k1")
	server.breakDown()
	clock.advance(freshFor)
	wantKey(t, set, "k1")
	wantAway(t, set, "k2") // it may well exist by now
	clock.advance(staleFor - freshFor)
	wantAway(t, set, "k1")
	server.publish(t, public("k1"))
	clock.advance(retryEvery)
	wantKey(t, set, "k1")
}

func TestNobodyWaitsForAnIssuerKnownToBeAway(t *testing.T) {
	server := newIssuerServer(t, public("k1"))
	set, clock := newRemoteSet(t, server.URL)
	wantKey(t, set, "k1")
	server.breakDown()
	clock.advance(freshFor)
	wantKey(t, set, "k1") // finds out
	hang, reached := make(chan struct{}), make(chan struct{})
	server.serve(func(http.ResponseWriter, *http.Request) { close(reached); <-hang })
	defer close(hang)
	clock.advance(retryEvery)
	wantKey(t, set, "k1") // returns though the fetch it starts hangs
	<-reached
}

func TestFirstCallerHangingUpFailsNobodyElse(t *testing.T) {
	server := newIssuerServer(t)
	release, reached := make(chan struct{}), make(chan struct{})
	data := keySetOf(t, public("k1"))
	server.serve(func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-release
		w.Write(data)
	})
	set, _ := newRemoteSet(t, server.URL)
	ctx, hangUp := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := set.find(ctx, "k1")
		first <- err
	}()
	<-reached
	hangUp()
	if err := <-first; identity.KindOf(err) != identity.Unavailable {
		t.Errorf("the first caller: %v", err)
	}
	var others sync.WaitGroup
	for range 5 {
		others.Go(func() { wantKey(t, set, "k1") })
	}
	close(release)
	others.Wait()
	server.wantFetches(t, 1)
}

func TestHostileIssuers(t *testing.T) {
	elsewhere := newIssuerServer(t, public("k1"))
	for name, handler := range map[string]http.HandlerFunc{
		"redirects":        http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP,
		"answers an error": http.NotFound,
		"hangs up":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"sends HTML":       func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"sends too much": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[` + strings.Repeat(" ", maxKeySet) + `]}`))
		},
		"sends too many keys": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[{}` + strings.Repeat(",{}", maxKeys) + `]}`))
		},
	} {
		server := newIssuerServer(t)
		server.serve(handler)
		set, _ := newRemoteSet(t, server.URL)
		t.Run(name, func(t *testing.T) { wantAway(t, set, "k1") })
	}
	elsewhere.wantFetches(t, 0)
}
