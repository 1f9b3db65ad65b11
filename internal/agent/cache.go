package agent

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podid/podid/internal/identity"
)

// tokenHash is the SHA-256 of a token, under which everything is kept. Only
// one token has it, so whoever brings that token brings what the upstream
// verified.
type tokenHash = [sha256.Size]byte

func hashOf(token string) tokenHash {
	var room [2 << 10]byte // on the stack, and enough for Kubernetes' own tokens
	return sha256.Sum256(append(room[:0], token...))
}

const (
	// patience is how long a pod waits for better credentials while there are
	// valid ones: less than the second after which the JavaScript SDK gives up
	// (https://github.com/aws/aws-sdk-js-v3/tree/main/packages/credential-provider-http).
	patience = 500 * time.Millisecond
	// sweepEvery is how often the cache is looked through for what is due.
	sweepEvery = 5 * time.Second
)

// cache answers from memory what it can, and fetches the rest once for all who
// ask for it. It keeps its own flights rather than x/sync/singleflight's: one
// lock then covers answers and flights, so nothing is fetched twice because one
// fetch ended between two looks; their number has a bound; and close can wait
// for them.
type cache struct {
	upstream     Upstream
	fetchTimeout time.Duration
	maxFlights   int
	maxRenewals  int
	turns        chan struct{} // held during a call to the upstream
	logger       *slog.Logger

	ctx     context.Context // of the fetches, which outlive the requests that start them
	cancel  context.CancelFunc
	fetches sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	answers  *lru[*answer]
	refusals *lru[*refusal] // apart, so that bad tokens push out nobody's credentials
	flights  map[tokenHash]*flight
	renewals int // flights begun as renewals

	hits, stale, misses, remembered, fetched, renewed, failures atomic.Uint64
}

func newCache(c Config) *cache {
	ctx, cancel := context.WithCancel(context.Background())
	return &cache{
		upstream:     c.Upstream,
		fetchTimeout: c.FetchTimeout,
		maxFlights:   c.MaxEntries,
		maxRenewals:  max(c.MaxInFlight/4, 1), // pods without credentials come first
		turns:        make(chan struct{}, c.MaxInFlight),
		logger:       c.Logger,
		ctx:          ctx,
		cancel:       cancel,
		answers:      newLRU[*answer](c.MaxEntries),
		refusals:     newLRU[*refusal](c.MaxEntries),
		flights:      make(map[tokenHash]*flight),
	}
}

// get returns credentials for token, from memory if it can, and waits for them
// no longer than ctx.
func (c *cache) get(ctx context.Context, token string) (*answer, *refusal) {
	key := hashOf(token)
	now := time.Now()
	have, state := c.recall(key, now)
	if have == nil {
		claims, err := parseClaims(token)
		if err != nil {
			return nil, unparsable(err)
		}
		if err := claims.check(now); err != nil {
			return nil, badClaims(err)
		}
		return c.fetch(ctx, key, identity.Secret(token), claims)
	}
	if err := have.claims.check(now); err != nil {
		return nil, badClaims(err)
	}
	switch state {
	case ageing:
		c.renew(key, have)
	case low:
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		better, refused := c.fetch(ctx, key, have.token, have.claims)
		if better != nil || refused.final {
			return better, refused
		}
		c.stale.Add(1)
		return have, nil
	}
	c.hits.Add(1)
	return have, nil
}

// recall returns the answer kept under key, if it is still good for anything.
func (c *cache) recall(key tokenHash, now time.Time) (*answer, freshness) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, ok := c.answers.get(key)
	if !ok || !now.Before(have.expires) {
		return nil, low
	}
	have.handedOut = true
	return have, have.freshness(now)
}

// keepFresh renews what is due and drops what has expired, until ctx ends.
func (c *cache) keepFresh(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			c.sweep(now)
		}
	}
}

// sweep renews only what has been handed out since it was fetched: a pod that
// is gone costs one renewal more, and not one for as long as its token lasts.
func (c *cache) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, a := range c.answers.all() {
		switch {
		case !now.Before(a.expires), a.claims.check(now) != nil:
			c.answers.remove(key)
		case a.handedOut && !now.Before(a.renewAt):
			c.joinLocked(key, a.token, a.claims, true, now)
		}
	}
	for key, r := range c.refusals.all() {
		if !now.Before(r.until) {
			c.refusals.remove(key)
		}
	}
}

// close ends the fetches under way and waits for them. None begins after it.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.fetches.Wait()
}

func (c *cache) stats() Stats {
	c.mu.Lock()
	entries := len(c.answers.entries)
	c.mu.Unlock()
	return Stats{
		Hits: c.hits.Load(), Stale: c.stale.Load(), Misses: c.misses.Load(), Remembered: c.remembered.Load(),
		Fetches: c.fetched.Load(), Renewals: c.renewed.Load(), Failures: c.failures.Load(), Entries: entries,
	}
}
