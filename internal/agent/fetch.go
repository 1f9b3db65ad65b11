package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/trace"
)

// hold is how long a pod is kept waiting while the upstream has never been
// reached, as on a node that has just started: a little less than the
// JavaScript SDK waits for an answer, so that it gets one.
const hold = 900 * time.Millisecond

// holdAgain is how soon a fetch that failed then is tried again.
const holdAgain = 100 * time.Millisecond

// maxTries is how often something is fetched that is revoked on the way each time.
const maxTries = 3

// ask is a token for which credentials are wanted, and who brought it.
type ask struct {
	key    tokenHash
	token  identity.Secret
	claims claims
	source netip.Addr // zero: the agent itself
	span   trace.Span // of the request; none: the agent itself, or nobody traces
}

// newAsk reads a token. The refusal says that it is none.
func newAsk(key tokenHash, token, from string) (ask, *refusal) {
	claims, err := parseClaims(token)
	if err != nil {
		return ask{}, unparsable(err)
	}
	return ask{key: key, token: identity.Secret(token), claims: claims, source: sourceOf(from)}, nil
}

// sourceOf is the address of "192.0.2.1:1234"; zero, if it is none.
func sourceOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	return at.Addr().Unmap()
}

// flight is one fetch, waiting for its turn or under way, for all who wait for it.
type flight struct {
	ask
	renews  *pod              // nil: it was begun for a pod that waits
	wanted  bool              // a pod waits for it; guarded by cache.mu
	forgets []func(Held) bool // what was revoked since it began; guarded by cache.mu

	done    chan struct{} // closed when one of these is set
	answer  *answer
	refused *refusal
}

// wait is fetch for a pod that has nothing yet.
func (c *cache) wait(ctx context.Context, q ask) (*body, *refusal) {
	end := time.Now().Add(hold)
	for {
		starting := !c.contact.health().Reached
		got, refused := c.fetch(ctx, q)
		if got != nil {
			return got.body(time.Now()), nil
		}
		again := refused.until
		if !starting || !refused.away || again.After(end) {
			return nil, refused
		}
		select {
		case <-time.After(time.Until(again)):
		case <-ctx.Done():
			return nil, overdue()
		}
	}
}

// fetch waits for new credentials, as long as ctx lasts. The fetch itself goes
// on without whoever leaves: others wait for it, and an SDK that gave up will
// be back.
func (c *cache) fetch(ctx context.Context, q ask) (*answer, *refusal) {
	now := time.Now()
	if c.tracer != nil {
		q.span = trace.Of(ctx)
	}
	c.mu.Lock()
	have, f, refused := c.joinLocked(q, now)
	c.mu.Unlock()
	switch {
	case f != nil:
		q.span.Set(spanSource, "miss")
		q.span.Link(f.span)
	case refused != nil:
		q.span.Set(spanSource, "remembered")
		return nil, refused
	default:
		q.span.Set(spanSource, "hit")
		return have, nil
	}
	c.misses.Add(1)
	defer func() { c.waits.add(time.Since(now)) }()
	enough := time.NewTimer(2 * c.fetchTimeout) // a turn may not come
	defer enough.Stop()
	select {
	case <-f.done:
		return f.answer, f.refused
	case <-enough.C:
	case <-ctx.Done():
	}
	return nil, overdue()
}

// joinLocked returns the flight that fetches for q, begun now if need be; or,
// where there is no need, what another one has just brought.
func (c *cache) joinLocked(q ask, now time.Time) (*answer, *flight, *refusal) {
	if a, ok := c.accepted.get(q.key); ok && a.pod.answer != nil && c.freshnessLocked(a.pod.answer, now) == fresh {
		return a.pod.answer, nil, nil
	}
	if r, ok := c.refusals.get(q.key); ok && now.Before(r.until) {
		c.remembered.Add(1)
		return nil, nil, r
	}
	f := c.flights[q.key]
	if f == nil {
		if c.closed {
			return nil, nil, busy()
		}
		f = &flight{ask: q, done: make(chan struct{})}
		c.flights[q.key] = f
		if givesWay := c.turns.add(f); givesWay != nil {
			c.landLocked(givesWay, nil, busy(), now)
		}
		c.startLocked()
	}
	f.wanted = true
	return nil, f, nil
}

// startLocked begins the calls whose turn it is.
func (c *cache) startLocked() {
	for f := c.turns.next(); f != nil; f = c.turns.next() {
		c.fetches.Go(func() { c.fly(f) })
	}
}

// renew has the answer of p fetched anew in the background, unless that was
// just tried.
func (c *cache) renew(p *pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewLocked(p, time.Now())
}

func (c *cache) renewLocked(p *pod, now time.Time) {
	key := hashOf(p.token.Reveal())
	refused, ok := c.refusals.get(key)
	switch {
	case c.closed, c.flights[key] != nil, ok && now.Before(refused.until):
		return
	case p.answer == nil, p.answer.freshness(now) == fresh, c.renewals >= c.maxRenewals:
		return
	}
	f := &flight{ask: ask{key: key, token: p.token, claims: p.claims}, renews: p, done: make(chan struct{})}
	if !c.turns.begin(f) {
		return
	}
	c.flights[key] = f
	c.renewals++
	c.fetches.Go(func() { c.fly(f) })
}

// fly calls the upstream for f, and again if what it brings was revoked on the way.
func (c *cache) fly(f *flight) {
	for try := 1; ; try++ {
		got, refused := c.call(f)
		if c.land(f, got, refused, try == maxTries) {
			return
		}
	}
}

// land ends f with what came of it. If that was revoked since it was asked for,
// f is to be fetched again; after the last try it ends with nothing.
func (c *cache) land(f *flight, got *answer, refused *refusal, last bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := heldBy(f.claims, got)
	if slices.ContainsFunc(f.forgets, func(match func(Held) bool) bool { return match(h) }) {
		f.forgets = nil
		if !last {
			return false
		}
		got, refused = nil, overdue()
	}
	c.turns.done(f)
	c.landLocked(f, got, refused, time.Now())
	c.startLocked()
	return true
}

// landLocked ends f, and keeps what came of it.
func (c *cache) landLocked(f *flight, got *answer, refused *refusal, now time.Time) {
	f.answer, f.refused = got, refused
	close(f.done)
	delete(c.flights, f.key)
	p := f.renews
	if p != nil {
		c.renewals--
	} else if a, ok := c.accepted.get(f.key); ok {
		p = a.pod
	}
	if got != nil {
		got.handedOut = f.wanted
		if f.renews == nil || f.wanted || c.pods[f.claims.pod] == p { // nobody has use for the renewal of a pod that has left the cache
			c.acceptLocked(f.ask, got)
		}
		c.refusals.remove(f.key)
		return
	}
	if !refused.until.IsZero() {
		c.refusals.put(f.key, refused)
	}
	switch {
	case p == nil || p.answer == nil:
	case refused.final:
		p.answer, p.claims.validity = nil, validity{} // and another token renews
		c.accepted.remove(f.key)
	default:
		p.answer.postpone(now)
	}
}

// call asks the upstream, and counts and logs what it says.
func (c *cache) call(f *flight) (*answer, *refusal) {
	ctx, cancel := context.WithTimeout(f.span.In(c.ctx), c.fetchTimeout)
	defer cancel()
	if f.renews != nil {
		traced, span := c.tracer.Begin(ctx, "renew credentials")
		ctx = traced
		defer span.End(nil)
	}
	began, starting := time.Now(), !c.contact.health().Reached
	grant, err := c.upstream.AssumeRoleForPodIdentity(ctx, f.token)
	now := time.Now()
	var got *answer
	if err == nil {
		got, err = newAnswer(grant, now, c.renewAfter)
	}
	c.contact.note(err, now)
	c.countCall(err, f.renews != nil, now.Sub(began))
	c.report(f, grant, err, now.Sub(began))
	if err == nil {
		return got, nil
	}
	refused := refusalOf(err, now)
	refused.claims = f.claims
	if refused.away && starting {
		refused.until = now.Add(holdAgain)
	}
	return nil, refused
}

// report writes the line of a call.
func (c *cache) report(f *flight, g *eksauth.Grant, err error, took time.Duration) {
	attrs := []slog.Attr{slog.String("claimedPod", f.claims.claimed()), slog.Bool("renewal", f.renews != nil), slog.Duration("took", took)}
	if err != nil {
		c.logger.LogAttrs(context.Background(), slog.LevelWarn, "no credentials", append(attrs, slog.Any("error", err))...)
		return
	}
	c.logger.LogAttrs(context.Background(), slog.LevelInfo, "credentials", append(attrs,
		slog.String("namespace", g.Namespace), slog.String("serviceAccount", g.ServiceAccount),
		slog.String("association", g.AssociationID), slog.String("assumedRole", g.Session.AssumedRoleARN),
		slog.Any("credentials", g.Session.Credentials))...)
}
