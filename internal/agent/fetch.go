package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

// flight is one fetch under way, for all who wait for it.
type flight struct {
	wanted bool // a pod waits for it; guarded by cache.mu

	done    chan struct{} // closed when one of these is set
	answer  *answer
	refused *refusal
}

// fetch waits for new credentials, as long as ctx lasts. The fetch itself goes
// on without whoever leaves: others wait for it, and an SDK that gave up will
// be back.
func (c *cache) fetch(ctx context.Context, key tokenHash, token identity.Secret, claims claims) (*answer, *refusal) {
	c.mu.Lock()
	have, f, refused := c.joinLocked(key, token, claims, false, time.Now())
	c.mu.Unlock()
	if f == nil {
		return have, refused
	}
	c.misses.Add(1)
	select {
	case <-f.done:
		return f.answer, f.refused
	case <-ctx.Done():
		return nil, overdue()
	}
}

// renew has a fetched in the background, unless that was just tried.
func (c *cache) renew(key tokenHash, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joinLocked(key, a.token, a.claims, true, time.Now())
}

// joinLocked returns the flight that fetches for key, begun now if need be; or,
// where there is no need, what another one has just brought.
func (c *cache) joinLocked(key tokenHash, token identity.Secret, claims claims, renewal bool, now time.Time) (*answer, *flight, *refusal) {
	if have, ok := c.answers.get(key); ok && have.freshness(now) == fresh {
		return have, nil, nil
	}
	if r, ok := c.refusals.get(key); ok && now.Before(r.until) {
		if !renewal {
			c.remembered.Add(1)
		}
		return nil, nil, r
	}
	f := c.flights[key]
	if f == nil {
		if c.closed || len(c.flights) >= c.maxFlights || renewal && c.renewals >= c.maxRenewals {
			return nil, nil, busy()
		}
		f = &flight{done: make(chan struct{})}
		c.flights[key] = f
		if renewal {
			c.renewals++
		}
		c.fetches.Go(func() { c.fly(f, key, token, claims, renewal) })
	}
	f.wanted = f.wanted || !renewal
	return nil, f, nil
}

// fly fetches, and keeps what came of it.
func (c *cache) fly(f *flight, key tokenHash, token identity.Secret, claims claims, renewal bool) {
	began := time.Now()
	grant, err := c.call(token)
	now := time.Now()
	if err == nil {
		f.answer, err = newAnswer(grant, token, claims, now)
	}
	c.report(grant, err, claims, renewal, now.Sub(began))

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	delete(c.flights, key)
	if renewal {
		c.renewals--
	}
	if err == nil {
		f.answer.handedOut = f.wanted
		c.answers.put(key, f.answer)
		c.refusals.remove(key)
		return
	}
	f.refused = refusalOf(err, now)
	c.refusals.put(key, f.refused)
	if f.refused.final {
		c.answers.remove(key)
	} else if have, ok := c.answers.get(key); ok {
		have.postpone(now)
	}
}

// call asks the upstream when it is this call's turn.
func (c *cache) call(token identity.Secret) (*eksauth.Grant, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.fetchTimeout)
	defer cancel()
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return nil, errors.New("the turn to call the upstream did not come in time")
	}
	return c.upstream.AssumeRoleForPodIdentity(ctx, token)
}

// report counts a call and writes its line.
func (c *cache) report(g *eksauth.Grant, err error, claims claims, renewal bool, took time.Duration) {
	count := &c.fetched
	if renewal {
		count = &c.renewed
	}
	count.Add(1)
	attrs := []slog.Attr{slog.String("claimedPod", claims.pod), slog.Bool("renewal", renewal), slog.Duration("took", took)}
	if err != nil {
		c.failures.Add(1)
		attrs = append(attrs, slog.Any("error", err))
		c.logger.LogAttrs(context.Background(), slog.LevelWarn, "no credentials", attrs...)
		return
	}
	c.logger.LogAttrs(context.Background(), slog.LevelInfo, "credentials", append(attrs,
		slog.String("namespace", g.Namespace), slog.String("serviceAccount", g.ServiceAccount),
		slog.String("association", g.AssociationID), slog.String("assumedRole", g.Session.AssumedRoleARN),
		slog.Any("credentials", g.Session.Credentials))...)
}
