// Package chain keeps the credentials at the end of role chains, so that a pod
// whose token was rotated, or whose node's agent was restarted, costs no role
// assumption; and it shares out what STS allows among those who need a new one.
package chain

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/trace"
)

// Config says how chains are made and kept. Roles is required.
type Config struct {
	// Roles makes single role assumptions. It should not retry throttled calls
	// on its own: the Cache does, at the rate that STS bears.
	Roles issue.RoleAssumer
	// MaxEntries bounds the chains kept; the one used longest ago goes first. 0: 100,000.
	MaxEntries int
	// MaxQueue bounds the chains being made or waiting to be. 0: 20,000.
	MaxQueue int
	// QueueTimeout is how long a chain may take to make, its wait included.
	// Whoever asked may be gone by then, and finds it ready when asking again. 0: 2 min.
	QueueTimeout time.Duration
	// Patience is how long a request waits for a chain before it is told to come
	// again. It must be less than what the agents wait. 0: 4 s.
	Patience time.Duration
	// Rate is the number of role assumptions a second that is never exceeded;
	// what STS bears below that is learned from its throttling. 0: 500, for a
	// quota of 600 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
	Rate float64
	// MaxInFlight bounds the role assumptions at once. 0: 256.
	MaxInFlight int
	// RefusalTime is how long a refusal by AWS is remembered. 0: 3 s.
	RefusalTime time.Duration
	// UnclaimedTime is how long credentials are kept for a pod that did not ask
	// for them. 0: 10 min.
	UnclaimedTime time.Duration
	// Fresh has every request answered by a chain made for it, or for others that
	// asked at the same moment: for where policies are tried out, and a chain of
	// before would hide what has changed.
	Fresh bool
	// Waited is told how long a role assumption for which a pod waits has waited
	// for its turn. Nil: nobody to tell.
	Waited func(time.Duration)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// NewSessionID makes the end of session names. Nil: random UUIDs.
	NewSessionID func() string
}

// Chains are renewed when this part of their life is left, which is before
// agents come for new credentials, at a third.
const renewAt = 0.4

// Cache has the sessions at the end of chains. It is safe for concurrent use.
type Cache struct {
	config Config
	budget *budget
	base   context.Context // of everything under way
	cancel context.CancelFunc

	mu      sync.Mutex
	entries map[string]map[string]*entry // by association id, and pod uid or sharedPod
	recent  list.List                    // of *entry, the one used last in front
	flights map[key]*flight
	stats   Stats
}

// Stats are counters since the start, and what there is now.
type Stats struct {
	Hits        uint64  // requests answered from memory
	Misses      uint64  // requests that waited for role assumptions
	Unfinished  uint64  // of these, those told to come again
	Assumptions uint64  // calls to STS
	Throttled   uint64  // of these, those that STS throttled
	Entries     int     // chains in memory
	Queue       int     // role assumptions that wait for their turn
	Flights     int     // chains being made, waiting included
	Rate        float64 // role assumptions a second that are tried at most, now
	MaxRate     float64 // and ever
}

// key names a chain: an association for a pod.
type key struct{ association, pod string }

// sharedPod stands for all pods: the first hop of an association without session tags is
// the same for each.
const sharedPod = ""

// made is what of an association goes into its chain. A chain made of anything
// else is no longer the association's.
type made struct {
	role, target, policy string
	tagless              bool
	revoked              time.Time
}

func madeOf(a identity.Association) made {
	return made{a.RoleARN, a.TargetRoleARN, a.Policy, a.DisableSessionTags, a.RevokedAt.UTC().Round(0)}
}

// entry is a chain in memory, or AWS's refusal of one.
type entry struct {
	key     key
	of      made
	version string
	steps   []issue.Step
	err     error     // the refusal
	renew   time.Time // after this it is made anew
	expires time.Time
	element *list.Element
}

// New makes a Cache. It starts nothing.
func New(c Config) (*Cache, error) {
	if c.Roles == nil {
		return nil, errors.New("chains need somebody to assume roles")
	}
	if c.Rate < 0 || c.MaxEntries < 0 || c.MaxQueue < 0 || c.MaxInFlight < 0 || c.Patience < 0 || c.QueueTimeout < 0 || c.RefusalTime < 0 || c.UnclaimedTime < 0 {
		return nil, errors.New("the limits of chains cannot be negative")
	}
	setDefault(&c.MaxEntries, 100_000)
	setDefault(&c.MaxQueue, 20_000)
	setDefault(&c.QueueTimeout, 2*time.Minute)
	setDefault(&c.Patience, 4*time.Second)
	setDefault(&c.Rate, 500)
	setDefault(&c.MaxInFlight, 256)
	setDefault(&c.RefusalTime, 3*time.Second)
	setDefault(&c.UnclaimedTime, 10*time.Minute)
	if c.Waited == nil {
		c.Waited = func(time.Duration) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewSessionID == nil {
		c.NewSessionID = uuid.NewString
	}
	base, cancel := context.WithCancel(context.Background())
	return &Cache{
		config: c, budget: newBudget(c.Rate, c.MaxInFlight, c.Now), base: base, cancel: cancel,
		entries: map[string]map[string]*entry{}, flights: map[key]*flight{},
	}, nil
}

func setDefault[T comparable](p *T, value T) {
	if *p == *new(T) {
		*p = value
	}
}

// sweepEvery is how often what has expired is dropped.
const sweepEvery = time.Minute

// Run drops what has expired, until ctx ends; then it ends all that is under way.
func (c *Cache) Run(ctx context.Context) error {
	defer c.budget.stop()
	defer c.cancel()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.sweep()
		}
	}
}

func (c *Cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.config.Now()
	for _, pods := range c.entries {
		for _, e := range pods {
			if !now.Before(e.expires) {
				c.drop(e)
			}
		}
	}
}

// Assume returns the hops that lead to the credentials of s, the last one's
// being the pod's. Its error is an *identity.Error: what the failing hop's was,
// or Throttled where it takes longer than the caller should wait.
func (c *Cache) Assume(ctx context.Context, a identity.Association, s identity.Subject) ([]issue.Step, error) {
	k := key{a.ID, s.PodUID}
	c.mu.Lock()
	old := c.find(k, madeOf(a))
	if old != nil && c.config.Now().Before(old.renew) {
		c.stats.Hits++
		c.mu.Unlock()
		return old.steps, old.err
	}
	c.stats.Misses++
	f, err := c.join(k, a, s, waiting, trace.Of(ctx))
	c.mu.Unlock()
	if err == nil {
		trace.Of(ctx).Link(f.span)
		err = c.wait(ctx, f)
	}
	switch kind := identity.KindOf(err); {
	case err == nil:
		return f.steps, nil
	case errors.Is(err, errChanged): // and what there is of old is of an association that is no more
		return nil, err
	case old != nil && old.err == nil && (kind == identity.Throttled || kind == identity.Unavailable):
		return old.steps, nil
	case f != nil:
		return f.stepsOfFailure(), err
	}
	return nil, err
}

// wait waits for a flight as long as the caller should.
func (c *Cache) wait(ctx context.Context, f *flight) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Patience)
	defer cancel()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.stats.Unfinished++
	c.mu.Unlock()
	return c.comeAgain("The credentials are being made ready.")
}

// comeAgain says how long the queue will take, as far as one can tell.
func (c *Cache) comeAgain(reason string) error {
	rate, queued := c.budget.state()
	e := identity.Errorf(identity.Throttled, "%s Ask again in a moment.", reason)
	e.RetryAfter = max(time.Second, min(30*time.Second, time.Duration(float64(queued)/rate*float64(time.Second)))).Round(time.Second)
	return e
}

// Prewarm makes the chain of s ready in the background, if there is room: only
// when nobody waits for STS.
func (c *Cache) Prewarm(a identity.Association, s identity.Subject) {
	k := key{a.ID, s.PodUID}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flights) >= c.config.MaxQueue/2 || c.peek(k, madeOf(a)) != nil {
		return
	}
	// The queue is full: then the pod will have to ask.
	_, _ = c.join(k, a, s, prewarm, trace.Span{})
}

// Try makes the chain that s would get, when nobody else needs STS, and keeps
// nothing of it: neither a chain in memory nor a remembered refusal answers.
// What it returns is what Assume does.
func (c *Cache) Try(ctx context.Context, a identity.Association, s identity.Subject) ([]issue.Step, error) {
	f := &flight{association: a, subject: s, priority: prewarm}
	return c.hops(ctx, f, issue.Chain(a, s, c.config.NewSessionID()), nil)
}

// Forget drops the chains of an association. Chains under way are not given out.
func (c *Cache) Forget(associationID string) { c.Changed(associationID, "") }

// Changed drops the chains of an association but for those of its present
// version, identity.Association.Version, which another request may have had
// made already. Chains of others that are under way are not given out.
func (c *Cache) Changed(associationID, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries[associationID] {
		if e.version != version {
			c.drop(e)
		}
	}
	for k, f := range c.flights {
		if k.association == associationID && f.version != version {
			c.abandon(f)
		}
	}
}

// ForgetPod drops the chains of a pod that is gone.
func (c *Cache) ForgetPod(associationID, podUID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{associationID, podUID}
	if e := c.entries[associationID][podUID]; e != nil {
		c.drop(e)
	}
	if f := c.flights[k]; f != nil {
		c.abandon(f)
	}
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	rate, queued := c.budget.state()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries, s.Flights, s.Rate, s.MaxRate, s.Queue = c.recent.Len(), len(c.flights), rate, c.config.Rate, queued
	return s
}

// find returns a chain that is still valid and of that making, and marks it
// used. c.mu is held, here and below.
func (c *Cache) find(k key, of made) *entry {
	e := c.peek(k, of)
	if e != nil {
		c.claim(e)
	}
	return e
}

func (c *Cache) peek(k key, of made) *entry {
	e := c.entries[k.association][k.pod]
	if e == nil {
		return nil
	}
	if e.of != of || !c.config.Now().Before(e.expires) {
		c.drop(e)
		return nil
	}
	return e
}

// claim notes that a pod has used a chain, so that it is kept to its end.
func (c *Cache) claim(e *entry) {
	if e.err == nil {
		e.expires = ends(e.steps)
	}
	c.recent.MoveToFront(e.element)
}

func (c *Cache) drop(e *entry) {
	pods := c.entries[e.key.association]
	delete(pods, e.key.pod)
	if len(pods) == 0 {
		delete(c.entries, e.key.association)
	}
	c.recent.Remove(e.element)
}

func (c *Cache) keep(e *entry) {
	if before := c.entries[e.key.association][e.key.pod]; before != nil {
		c.drop(before)
	}
	for c.recent.Len() >= c.config.MaxEntries {
		c.drop(c.recent.Back().Value.(*entry))
	}
	pods := c.entries[e.key.association]
	if pods == nil {
		pods = map[string]*entry{}
		c.entries[e.key.association] = pods
	}
	pods[e.key.pod] = e
	e.element = c.recent.PushFront(e)
}

// ends is when the credentials at the end of a chain expire.
func ends(steps []issue.Step) time.Time { return steps[len(steps)-1].Session.Credentials.Expires }
