package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/podid/podid/internal/eksauth"
)

// Health says how the agent fares with its upstream.
type Health struct {
	// Reached: the upstream has answered at least once.
	Reached bool
	// Answered is when it last did; zero: never.
	Answered time.Time
	// Failing is since when it has not answered; zero: it answered the last call.
	Failing time.Time
	// Failure is what is in the way.
	Failure error
	// Listening: whatever changes is told at once.
	Listening bool
	// Heard is when anything was last heard of changes; zero: never, or there is
	// nothing to hear.
	Heard time.Time
	// Deaf is why the agent is not listening, where there is something to hear.
	Deaf error
}

// Health returns how the agent fares with its upstream.
func (a *Agent) Health() Health {
	h := a.cache.contact.health()
	h.Listening, h.Heard, h.Deaf = a.cache.listeningState()
	return h
}

// contact keeps a Health.
type contact struct {
	mu sync.Mutex
	is Health
}

func (c *contact) health() Health { c.mu.Lock(); defer c.mu.Unlock(); return c.is }

// note takes in how a call ended. A refusal is an answer too.
func (c *contact) note(err error, now time.Time) {
	if _, refused := errors.AsType[*eksauth.Error](err); refused {
		err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.is = Health{Reached: true, Answered: now}
	case c.is.Failing.IsZero():
		c.is.Failing = now
		fallthrough
	default:
		c.is.Failure = err
	}
}

// How often the upstream is looked for while it does not answer: soon at first,
// since pods may be waiting.
const (
	lookFirst = 50 * time.Millisecond
	lookLater = 5 * time.Second
)

// lookFor calls reach until it succeeds, at the start and whenever the upstream
// does not answer, until ctx ends. Without it a node whose pods ask nothing
// would not know that the upstream is back.
func (c *contact) lookFor(ctx context.Context, reach func(context.Context) error) {
	wait := lookFirst
	for {
		if h := c.health(); !h.Reached || !h.Failing.IsZero() {
			err := reach(ctx)
			if ctx.Err() != nil {
				return
			}
			c.note(err, time.Now())
			wait = min(2*wait, lookLater)
		} else {
			wait = lookLater
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
