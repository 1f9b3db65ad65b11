package chain

import (
	"context"
	"errors"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/trace"
)

// flight is a chain being made. It goes on when those who wait have left.
type flight struct {
	key         key
	association identity.Association
	subject     identity.Subject
	of          made
	version     string
	span        trace.Span // of whoever asked first
	turn        turn

	// Guarded by Cache.mu.
	priority priority // the most urgent of those who wait
	claimed  bool     // by a pod, which prewarming is not
	shared   *flight  // the first hop that this one waits for
	gone     bool     // its association or pod is

	done  chan struct{} // closed when the rest is set
	steps []issue.Step
	err   error
}

// stepsOfFailure returns the hops of a flight that has ended; while it goes on
// there are none to speak of.
func (f *flight) stepsOfFailure() []issue.Step {
	select {
	case <-f.done:
		return f.steps
	default:
		return nil
	}
}

// join returns the flight that makes a chain, and starts it if there is none.
// Its error says that there is no room. c.mu is held.
func (c *Cache) join(k key, a identity.Association, s identity.Subject, p priority, span trace.Span) (*flight, error) {
	f := c.flights[k]
	if f != nil && f.of != madeOf(a) {
		c.abandon(f)
		f = nil
	}
	if f == nil {
		if len(c.flights) >= c.config.MaxQueue {
			return nil, c.comeAgain("Too many pods wait for credentials.")
		}
		f = &flight{key: k, association: a, subject: s, of: madeOf(a), version: a.Version(), span: span, priority: p, done: make(chan struct{})}
		c.flights[k] = f
		go c.fly(f)
	}
	c.hasten(f, p)
	return f, nil
}

// hasten moves a flight ahead for somebody more urgent. c.mu is held.
func (c *Cache) hasten(f *flight, p priority) {
	f.claimed = f.claimed || p != prewarm
	if p < f.priority {
		f.priority = p
		c.budget.promote(&f.turn, p)
		if f.shared != nil {
			c.hasten(f.shared, p)
		}
	}
}

// abandon lets a flight end without anybody getting its credentials. c.mu is held.
func (c *Cache) abandon(f *flight) {
	f.gone = true
	delete(c.flights, f.key)
}

// fly makes a chain and keeps it.
func (c *Cache) fly(f *flight) {
	ctx, cancel := context.WithTimeout(f.span.In(c.base), c.config.QueueTimeout)
	defer cancel()
	steps, err := c.make(ctx, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	f.steps, f.err = steps, err
	if f.gone {
		f.steps, f.err = nil, identity.Errorf(identity.Unavailable, "The association has just changed. Ask again.").Because(errChanged)
		return
	}
	delete(c.flights, f.key)
	e := &entry{key: f.key, of: f.of, version: f.version, steps: remembered(steps), err: err}
	now := c.config.Now()
	switch {
	case c.config.Fresh:
		return
	case err == nil:
		e.expires = ends(steps)
		e.renew = e.expires.Add(-time.Duration(renewAt * float64(e.expires.Sub(now))))
		if !f.claimed {
			e.expires = now.Add(min(c.config.UnclaimedTime, e.expires.Sub(now)))
		}
	case identity.KindOf(err) == identity.AccessDenied || identity.KindOf(err) == identity.InvalidRequest:
		e.renew = now.Add(c.config.RefusalTime)
		e.expires = e.renew
	default:
		return
	}
	c.keep(e)
}

// errChanged is why a flight has nothing to give: nothing of it is to be used.
var errChanged = errors.New("its association was changed, revoked or deleted, or its pod is gone")

// remembered marks steps as known from before, and forgets the secrets of all
// but the last, which have served.
func remembered(steps []issue.Step) []issue.Step {
	out := make([]issue.Step, len(steps))
	for i, s := range steps {
		s.Cached = true
		if i < len(steps)-1 {
			s.Session.Credentials.SecretAccessKey, s.Session.Credentials.SessionToken = "", ""
		}
		out[i] = s
	}
	return out
}

// make makes the role assumptions of a chain.
func (c *Cache) make(ctx context.Context, f *flight) ([]issue.Step, error) {
	hops := issue.Chain(f.association, f.subject, c.config.NewSessionID())
	var steps []issue.Step
	switch {
	case f.key.pod == sharedPod:
		hops = hops[:1]
	case len(hops) == 2 && f.association.DisableSessionTags:
		first, err := c.sharedHop(ctx, f)
		steps = append(steps, first...)
		if err != nil {
			return steps, err
		}
		hops = hops[1:]
	}
	return c.hops(ctx, f, hops, steps)
}

// hops makes role assumptions one after the other, the first with the session
// that steps end with.
func (c *Cache) hops(ctx context.Context, f *flight, hops []identity.Hop, steps []issue.Step) ([]issue.Step, error) {
	for i, hop := range hops {
		var with *identity.Credentials
		if len(steps) > 0 {
			with = &steps[len(steps)-1].Session.Credentials
		}
		assume := c.assume
		if i == len(hops)-1 && !f.association.RevokedAt.IsZero() {
			assume = c.assumeAfter
		}
		traced, span := trace.Start(ctx, "role assumption", trace.Internal)
		span.SetInt("podid.hop", len(steps)+1)
		span.Set("podid.role.arn", hop.RoleARN)
		session, err := assume(traced, f, with, hop)
		span.End(err)
		steps = append(steps, issue.Step{Hop: hop, Session: session, Err: err})
		if err != nil {
			return steps, err
		}
	}
	return steps, nil
}

// sharedHop returns the first hop that all pods of an association share, as
// nothing in it tells them apart.
func (c *Cache) sharedHop(ctx context.Context, f *flight) ([]issue.Step, error) {
	k := key{f.key.association, sharedPod}
	c.mu.Lock()
	if e := c.find(k, f.of); e != nil && c.config.Now().Before(e.renew) {
		c.mu.Unlock()
		return e.steps, e.err
	}
	all := f.subject
	all.PodName, all.PodUID = "", sharedPod
	shared, err := c.join(k, f.association, all, f.priority, f.span)
	f.shared = shared
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-shared.done:
		return shared.steps, shared.err
	case <-ctx.Done():
		return nil, timedOut(ctx)
	}
}

// assume makes one role assumption when it is its turn, and again if STS throttles it.
func (c *Cache) assume(ctx context.Context, f *flight, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	for {
		c.mu.Lock()
		p := f.priority
		c.mu.Unlock()
		if with != nil {
			p = begun
		}
		asked := c.config.Now()
		_, waits := trace.Start(ctx, "wait for a turn at STS", trace.Internal)
		err := c.budget.acquire(ctx, &f.turn, p)
		waits.End(err)
		if err != nil {
			return identity.Session{}, timedOut(ctx)
		}
		if p != prewarm {
			c.config.Waited(c.config.Now().Sub(asked))
		}
		session, err := c.config.Roles.AssumeRole(ctx, with, hop)
		throttled := identity.KindOf(err) == identity.Throttled && err != nil
		c.budget.release(throttled)
		c.mu.Lock()
		c.stats.Assumptions++
		if throttled {
			c.stats.Throttled++
		}
		c.mu.Unlock()
		if !throttled {
			return session, err
		}
	}
}

func timedOut(ctx context.Context) error {
	return identity.Errorf(identity.Throttled, "STS allows too few role assumptions for all pods that wait. Ask again in a moment.").
		Because(ctx.Err())
}
