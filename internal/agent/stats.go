package agent

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podid/podid/internal/eksauth"
)

// Stats counts, since the agent was made.
type Stats struct {
	Hits       uint64 // requests answered from the cache
	Misses     uint64 // requests that waited for the upstream
	Remembered uint64 // requests that would have, had the upstream not just refused or failed
	Stale      uint64 // of the last two, those given credentials that end soon, for want of better

	Unheard uint64 // requests answered though nothing was heard of changes for longer than RevalidateAfter

	Changes uint64 // heard of
	Dropped uint64 // pods whose credentials were dropped for them

	Fetches  uint64 // calls to the upstream for requests that waited
	Renewals uint64 // calls to the upstream ahead of need
	// Of all these calls, those that ended without credentials.
	Failures  uint64
	Refused   uint64 // of those, by the upstream
	Throttled uint64 // of those, because there were too many

	Entries  int // tokens in the cache now
	Pods     int // pods that have credentials now
	InFlight int // calls to the upstream under way
	Waiting  int // fetches that wait for their turn

	Connections int    // of pods, open now
	TurnedAway  uint64 // connections closed at once: too many, or not of this node

	// Responses by status.
	Responses map[int]uint64
	// Upstream are the durations of calls to the upstream, and Waited those of
	// requests that waited for one.
	Upstream, Waited Durations
}

// Durations counts by how long something took: the Nth, what took at most
// Bounds[N] and is in none before it; the last, the rest.
type Durations struct {
	Counts [len(Bounds) + 1]uint64
	Sum    time.Duration
}

// Bounds are those of Durations, in seconds.
var Bounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// durations are Durations that are still counted.
type durations struct {
	mu sync.Mutex
	is Durations
}

func (d *durations) add(took time.Duration) {
	n := 0
	for n < len(Bounds) && took.Seconds() > Bounds[n] {
		n++
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is.Counts[n]++
	d.is.Sum += took
}

func (d *durations) counted() Durations { d.mu.Lock(); defer d.mu.Unlock(); return d.is }

// Stats returns the counters.
func (a *Agent) Stats() Stats {
	s := a.cache.stats()
	s.Connections, s.TurnedAway = a.connections.counted()
	return s
}

// counters are the part of Stats that needs no lock, or one of its own.
type counters struct {
	hits, stale, misses, remembered          atomic.Uint64
	unheard, changes, dropped                atomic.Uint64
	fetched, renewed                         atomic.Uint64
	failures, refusedUpstream, throttled, ok atomic.Uint64

	muResponses sync.Mutex
	responses   map[int]uint64 // but for 200, which is ok

	calls, waits durations
}

// countCall counts a call to the upstream.
func (c *counters) countCall(err error, renewal bool, took time.Duration) {
	if renewal {
		c.renewed.Add(1)
	} else {
		c.fetched.Add(1)
	}
	if err != nil {
		c.failures.Add(1)
		if e, ok := errors.AsType[*eksauth.Error](err); ok {
			c.refusedUpstream.Add(1)
			if e.Status == http.StatusTooManyRequests {
				c.throttled.Add(1)
			}
		}
	}
	c.calls.add(took)
}

// countResponse counts an answer to a pod, but for 200.
func (c *counters) countResponse(status int) {
	c.muResponses.Lock()
	defer c.muResponses.Unlock()
	if c.responses == nil {
		c.responses = make(map[int]uint64)
	}
	c.responses[status]++
}

func (c *cache) stats() Stats {
	s := Stats{
		Hits: c.hits.Load(), Stale: c.stale.Load(), Misses: c.misses.Load(), Remembered: c.remembered.Load(),
		Unheard: c.unheard.Load(), Changes: c.changes.Load(), Dropped: c.dropped.Load(),
		Fetches: c.fetched.Load(), Renewals: c.renewed.Load(),
		Failures: c.failures.Load(), Refused: c.refusedUpstream.Load(), Throttled: c.throttled.Load(),
		Responses: map[int]uint64{http.StatusOK: c.ok.Load()},
	}
	c.muResponses.Lock()
	for status, n := range c.responses {
		s.Responses[status] = n
	}
	c.muResponses.Unlock()
	s.Upstream, s.Waited = c.calls.counted(), c.waits.counted()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Entries, s.Pods = len(c.accepted.entries), len(c.pods)
	s.InFlight, s.Waiting = c.turns.calls-c.turns.free, c.turns.waiting
	return s
}
