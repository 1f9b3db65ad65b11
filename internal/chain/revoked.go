package chain

import (
	"context"
	"time"

	"github.com/podid/podid/internal/identity"
)

const (
	// settled is how long after a revocation clocks may still disagree about it.
	settled = time.Minute
	// maxPause bounds one wait for a revocation to be over by all clocks.
	maxPause = 5 * time.Second
	// maxAgain is how often a session that AWS dates before the revocation is made anew.
	maxAgain = 3
)

// assumeAfter makes the last hop of an association that was revoked. The
// statement that ends older sessions asks aws:TokenIssueTime, which is AWS's
// clock in whole seconds: a session that this dates before the revocation would
// be refused everywhere for all its life, and is made anew.
func (c *Cache) assumeAfter(ctx context.Context, f *flight, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	revoked := f.association.RevokedAt
	if err := c.pause(ctx, revoked.Sub(c.config.Now())); err != nil {
		return identity.Session{}, err
	}
	for again := 0; ; again++ {
		session, err := c.assume(ctx, f, with, hop)
		early := revoked.Sub(session.Issued)
		if err != nil || session.Issued.IsZero() || early <= 0 || early > settled || again == maxAgain {
			return session, err
		}
		if err := c.pause(ctx, early); err != nil {
			return identity.Session{}, err
		}
	}
}

// pause waits; what is longer than clocks disagree is no matter of clocks, and
// not waited for.
func (c *Cache) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 || d > settled {
		return nil
	}
	select {
	case <-time.After(min(d, maxPause)):
		return nil
	case <-ctx.Done():
		return timedOut(ctx)
	}
}
