package eksauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// replica is one address at which the service answers.
type replica struct {
	url  *url.URL // with the address in the place of the name
	host string   // the name, for the Host header
	http *http.Client
	rank uint64 // of the replicas that answer, the least is asked first

	mu         sync.Mutex
	failures   int       // in a row
	avoidUntil time.Time // others are asked first until then
}

// How long a replica that failed is asked last: twice as long after each
// failure in a row. One call then pays for finding out, and not all.
const (
	avoidFor    = 2 * time.Second
	avoidAtMost = time.Minute
)

func (r *replica) failed(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	avoid := min(avoidFor<<min(r.failures, 10), avoidAtMost)
	r.failures++
	r.avoidUntil = now.Add(avoid/2 + rand.N(avoid/2+1))
	r.http.CloseIdleConnections() // behind one address there may be several servers, and another connection reaches another
}

func (r *replica) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures, r.avoidUntil = 0, time.Time{}
}

// avoided returns until when others are asked first; zero: they need not be.
func (r *replica) avoided(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.avoidUntil) {
		return r.avoidUntil
	}
	return time.Time{}
}

// tried is told before r is asked first. If r failed the last time, one call
// finds out whether it still does, and the others go on avoiding it meanwhile.
func (r *replica) tried(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures > 0 && !now.Before(r.avoidUntil) {
		r.avoidUntil = now.Add(avoidFor)
	}
}

// replicas returns what can be asked, in the order in which to ask it. An agent
// keeps to one replica while that answers, so that it finds there what it has
// fetched before; which one differs from agent to agent. While it hears changes
// from one, that is asked first: what it says and what it tells of are then in
// one order.
func (c *Client) replicas(ctx context.Context) ([]*replica, error) {
	all, err := c.known(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	until := make(map[*replica]time.Time, len(all))
	for _, r := range all {
		until[r] = r.avoided(now)
	}
	heard := c.listens.Load()
	rank := func(r *replica) uint64 {
		if r == heard {
			return 0
		}
		return r.rank
	}
	slices.SortFunc(all, func(a, b *replica) int {
		return cmp.Or(until[a].Compare(until[b]), cmp.Compare(rank(a), rank(b)))
	})
	all[0].tried(now)
	return all, nil
}

// doubt has all names looked up again, since a replica failed.
func (c *Client) doubt() {
	for _, e := range c.endpoints {
		e.doubt()
	}
}

// another returns a replica that is known by now and not among those given; nil,
// if there is none.
func (c *Client) another(than []*replica) *replica {
	for _, e := range c.endpoints {
		known, err := e.replicas()
		if err != nil {
			continue
		}
		for _, r := range known {
			if !slices.Contains(than, r) {
				return r
			}
		}
	}
	return nil
}

// known returns the replicas whose addresses are known. It waits for lookups
// only if there are none, and only until there are some.
func (c *Client) known(ctx context.Context) ([]*replica, error) {
	ended := make(chan struct{}, len(c.endpoints))
	for _, e := range c.endpoints {
		e.refresh(func() { ended <- struct{}{} })
	}
	for left := len(c.endpoints); ; left-- {
		var all []*replica
		var missing error
		for _, e := range c.endpoints {
			known, err := e.replicas()
			all, missing = append(all, known...), errors.Join(missing, err)
		}
		if len(all) > 0 || left == 0 {
			return all, missing
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("looking up the endpoints: %w", ctx.Err())
		}
	}
}
