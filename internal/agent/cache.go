package agent

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/trace"
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
	// The cache is looked through in slices of so many, with pauses between them.
	sweepSlice = 256
	sweepPause = time.Millisecond
)

// spanSource is what spans call where an answer came from, as the label of
// podid_agent_requests_total does.
const spanSource = "podid.source"

// cache answers from memory what it can, and fetches the rest once for all who
// ask for it. It keeps its own flights rather than x/sync/singleflight's: one
// lock then covers answers and flights, so nothing is fetched twice because one
// fetch ended between two looks; their number has a bound; and close can wait
// for them.
type cache struct {
	upstream     Upstream
	fetchTimeout time.Duration
	renewAfter   time.Duration
	maxRenewals  int
	ears         map[string]*ear // by cluster
	// What has been unheard of for longer than revalidateAfter is asked for first.
	revalidateAfter time.Duration
	refuseUnheard   bool
	tracer          *trace.Tracer
	logger          *slog.Logger

	ctx     context.Context // of the fetches, which outlive the requests that start them
	cancel  context.CancelFunc
	fetches sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	accepted *lru[*accepted]
	pods     map[podKey]*pod
	refusals *lru[*refusal] // apart, so that bad tokens push out nobody's credentials
	flights  map[tokenHash]*flight
	turns    *turns
	renewals int // flights begun as renewals

	contact contact
	counters
}

// accepted is a token that the upstream has accepted.
type accepted struct {
	validity
	pod *pod
}

// pod is what one pod has, whichever of its tokens it shows. Its fields are
// guarded by the cache's lock.
type pod struct {
	tokens int     // accepted ones in the cache
	answer *answer // nil: void
	// The token that lasts longest renews the answer.
	token  identity.Secret
	claims claims
}

func newCache(c Config) *cache {
	ctx, cancel := context.WithCancel(context.Background())
	made := &cache{
		upstream:     c.Upstream,
		fetchTimeout: c.FetchTimeout,
		renewAfter:   c.RenewAfter,
		maxRenewals:  max(c.MaxInFlight/4, 1), // pods without credentials come first
		ears:         make(map[string]*ear),
		tracer:       c.Tracer,
		logger:       c.Logger,

		revalidateAfter: c.RevalidateAfter,
		refuseUnheard:   c.RefuseUnheard,

		ctx:      ctx,
		cancel:   cancel,
		pods:     make(map[podKey]*pod),
		refusals: newLRU[*refusal](c.MaxEntries, nil),
		flights:  make(map[tokenHash]*flight),
		turns:    newTurns(c.MaxInFlight, c.MaxEntries),
	}
	for cluster, from := range c.Changes {
		made.ears[cluster] = &ear{cluster: cluster, from: from}
	}
	made.accepted = newLRU(c.MaxEntries, made.leaveLocked)
	return made
}

// get returns credentials for token, from memory if it can, and waits for them
// no longer than ctx. from is the address and port that asks.
func (c *cache) get(ctx context.Context, token, from string) (*body, *refusal) {
	key := hashOf(token)
	now := time.Now()
	have, a, state := c.recall(key, now)
	if have == nil {
		q, refused := newAsk(key, token, from)
		if refused != nil {
			return nil, refused
		}
		if err := q.claims.check(now); err != nil {
			return nil, badClaims(err)
		}
		return c.wait(ctx, q)
	}
	if err := a.check(now); err != nil {
		return nil, badClaims(err)
	}
	switch state {
	case ageing:
		c.renew(a.pod)
	case low, unproven:
		q, refused := newAsk(key, token, from)
		if refused != nil { // it was parsed when it was accepted
			return nil, refused
		}
		return c.better(ctx, q, have, state == unproven)
	}
	c.hits.Add(1)
	if c.tracer != nil {
		trace.Of(ctx).Set(spanSource, "hit")
	}
	return have.body(now), nil
}

// better returns something better than what there is, if that comes soon.
func (c *cache) better(ctx context.Context, q ask, have *answer, unproven bool) (*body, *refusal) {
	if unproven && !c.refuseUnheard && !c.contact.health().Failing.IsZero() {
		c.unheard.Add(1) // there is nobody to ask, and an ear notices when there is
		return have.body(time.Now()), nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, refused := c.fetch(ctx, q)
	now := time.Now()
	switch {
	case got != nil:
		return got.body(now), nil
	case refused.final:
		return nil, refused
	}
	c.mu.Lock()
	proven, ends := c.provenLocked(have, now), have.freshness(now) == low
	c.mu.Unlock()
	switch {
	case !proven && c.refuseUnheard:
		return nil, unconfirmed()
	case !proven:
		c.unheard.Add(1)
	}
	if ends {
		c.stale.Add(1)
	}
	return have.body(now), nil
}

// recall returns the answer for the token of that hash, if it is still good for
// anything, and what is known of the token.
func (c *cache) recall(key tokenHash, now time.Time) (*answer, *accepted, freshness) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.accepted.get(key)
	if !ok || a.pod.answer == nil || !now.Before(a.pod.answer.expires) {
		return nil, nil, low
	}
	have := a.pod.answer
	have.handedOut = true
	return have, a, c.freshnessLocked(have, now)
}

// freshnessLocked is the freshness of an answer by its age, and by what is heard.
func (c *cache) freshnessLocked(a *answer, now time.Time) freshness {
	if !c.provenLocked(a, now) {
		return unproven
	}
	return a.freshness(now)
}

// acceptLocked keeps what the upstream gave for a token, for all tokens of its
// pod that it has accepted.
func (c *cache) acceptLocked(q ask, answer *answer) {
	p := c.pods[q.claims.pod]
	if p == nil {
		p = &pod{}
		c.pods[q.claims.pod] = p
	}
	p.answer = answer
	if !q.claims.expires.Before(p.claims.expires) {
		p.token, p.claims = q.token, q.claims
	}
	if a, ok := c.accepted.get(q.key); ok && a.pod == p {
		return
	}
	p.tokens++
	c.accepted.put(q.key, &accepted{q.claims.validity, p})
}

// leaveLocked is told of each token that leaves the cache.
func (c *cache) leaveLocked(a *accepted) {
	if a.pod.tokens--; a.pod.tokens == 0 {
		delete(c.pods, a.pod.claims.pod)
	}
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
// It lets pods in between, so that they wait for no more than a slice of it.
func (c *cache) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	looked := 0
	next := func() {
		if looked++; looked%sweepSlice == 0 {
			c.mu.Unlock()
			time.Sleep(sweepPause)
			c.mu.Lock()
		}
	}
	for key, a := range c.accepted.all() {
		if a.pod.answer == nil || !now.Before(a.pod.answer.expires) || a.check(now) != nil {
			c.accepted.remove(key)
		}
		next()
	}
	for _, p := range c.pods {
		if p.answer != nil && p.answer.handedOut && !now.Before(p.answer.renewAt) && p.claims.check(now) == nil {
			c.renewLocked(p, now)
		}
		next()
	}
	for key, r := range c.refusals.all() {
		if !now.Before(r.until) {
			c.refusals.remove(key)
		}
		next()
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
