package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/podid/podid/internal/identity"
)

const (
	// freshFor is how long keys are used before they are fetched again, and so
	// how long a key that its issuer withdrew goes on being accepted.
	freshFor = 15 * time.Minute
	// staleFor is how long keys are used while their issuer cannot be reached.
	staleFor = 24 * time.Hour
	// unknownEvery bounds how often tokens with unknown keys cause a fetch:
	// anyone can make up a kid.
	unknownEvery = 10 * time.Second
	// retryEvery bounds how often a fetch is tried again after a failure.
	retryEvery = time.Second
	// fetchTimeout bounds one fetch.
	fetchTimeout = 5 * time.Second

	maxKeySet = 256 << 10 // bytes
	maxKeys   = 100
	// minRSA is the smallest RSA key accepted, in bits (RFC 7518 section 3.3).
	minRSA = 2048
)

// keySet holds the public keys of one issuer.
type keySet struct {
	url    string // empty: the keys are fixed
	client *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu        sync.Mutex // guards what follows
	keys      map[string]jose.JSONWebKey
	fetched   time.Time // when keys were; zero: never
	attempted time.Time // when the last fetch ended
	failure   error     // of the last fetch
}

func newKeySet(issuer Issuer, client *http.Client, now func() time.Time) (*keySet, error) {
	if issuer.JWKS != nil {
		keys, err := parseKeySet(issuer.JWKS)
		return &keySet{keys: keys}, err
	}
	u, err := url.Parse(issuer.JWKSURL)
	if err != nil {
		return nil, fmt.Errorf("the URL of the key set: %w", err)
	}
	if u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("the URL of the key set, %q, must be https, or http to this machine", issuer.JWKSURL)
	}
	direct := *client
	// A redirect could lead from https to http.
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{url: issuer.JWKSURL, client: &direct, now: now}, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// find returns the key named kid, or nil if the issuer has none of that name.
// Its error is of kind Unavailable.
func (s *keySet) find(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	if s.url != "" {
		if err := s.refresh(ctx, kid); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key, known := s.keys[kid]
	usable := s.url == "" || s.now().Sub(s.fetched) < staleFor
	switch {
	case known && usable:
		return &key, nil
	case s.failure != nil:
		return nil, away(s.failure)
	}
	return nil, nil
}

// refresh fetches the keys if kid calls for it, and waits for them unless old
// ones will do. Whether the fetch succeeds is for find to see.
func (s *keySet) refresh(ctx context.Context, kid string) error {
	due, wait := s.due(kid)
	if !due {
		return nil
	}
	// The fetch is everybody's: it outlives the caller who happened to start it.
	done := s.flight.DoChan("", func() (any, error) {
		if due, _ := s.due(kid); due {
			s.fetch()
		}
		return nil, nil
	})
	if !wait {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return away(ctx.Err())
	}
}

// due tells whether kid calls for a fetch, and whether to wait for it. While
// the issuer is known to be away, a known key is used without waiting.
func (s *keySet) due(kid string) (due, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	age := now.Sub(s.fetched)
	_, known := s.keys[kid]
	if known && age < freshFor {
		return false, false
	}
	pause := unknownEvery
	if s.failure != nil {
		pause = retryEvery
	}
	if now.Sub(s.attempted) < pause {
		return false, false
	}
	return true, !known || s.failure == nil || age >= staleFor
}

// fetch fetches the keys and keeps what came of it.
func (s *keySet) fetch() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, err := s.download(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempted, s.failure = s.now(), err
	if err == nil {
		s.keys, s.fetched = keys, s.attempted
	}
}

func (s *keySet) download(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", s.url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// parseKeySet returns the keys of a JWK set with which tokens can be verified.
// Keys of other types and uses are passed over, as RFC 7517 section 5 asks.
func parseKeySet(data []byte) (map[string]jose.JSONWebKey, error) {
	if len(data) > maxKeySet {
		return nil, fmt.Errorf("the key set is larger than %d bytes", maxKeySet)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("the key set is not a JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	keys := make(map[string]jose.JSONWebKey, len(set.Keys))
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err == nil && verifies(key) {
			keys[key.KeyID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that signatures can be verified with")
	}
	return keys, nil
}

// verifies tells whether signatures can be verified with key. Only public keys
// can: a symmetric one would let whoever reads the set sign.
func verifies(key jose.JSONWebKey) bool {
	if key.KeyID == "" || key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return true
	}
	return false
}

func away(err error) *identity.Error {
	return identity.Errorf(identity.Unavailable, "The keys of the cluster's token issuer cannot be fetched").Because(err)
}
