package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/podid/podid/internal/eksauth"
)

// Changes tells what becomes of associations; an *eksauth.Client does.
type Changes interface {
	// Listen tells heard what of held is no longer so, then that the rest is
	// (eksauth.Current), and then of each change as it comes. It returns when the
	// stream has ended, with the reason; eksauth.ErrNoChanges, if there is none.
	Listen(ctx context.Context, held []eksauth.Held, heard func(eksauth.Change)) error
}

// ear listens to the changes of a cluster. Its state is guarded by cache.mu.
type ear struct {
	cluster string // name; empty: of whichever the pods are
	from    Changes

	listening bool      // whatever changes is told now
	heard     time.Time // when anything was; zero: never
	none      bool      // the upstream does not tell
	failure   error     // why it is not listening
}

// How long an ear waits until it listens again, up to twice as long at random:
// soon at first, as a server that ends is mostly one of several.
const (
	listenFirst = 25 * time.Millisecond
	listenLater = 2 * time.Second
	listenNone  = time.Minute // to an upstream that does not tell
)

// earOf returns the ear for the pods of a cluster; nil, if there is none.
func (c *cache) earOf(cluster string) *ear {
	if e := c.ears[cluster]; e != nil {
		return e
	}
	return c.ears[""]
}

// listen keeps e listening until ctx ends.
func (c *cache) listen(ctx context.Context, e *ear) {
	wait := listenFirst
	for {
		held, asked := c.heldFor(e)
		err := e.from.Listen(ctx, held, func(said eksauth.Change) { c.hear(e, asked, said) })
		if ctx.Err() != nil {
			return
		}
		if c.deafened(e, err) {
			wait = listenFirst
		}
		pause := wait
		if errors.Is(err, eksauth.ErrNoChanges) {
			pause = listenNone
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause + rand.N(pause)):
		}
		wait = min(2*wait, listenLater)
	}
}

// deafened notes why e does not listen any more, and tells whether it did.
func (c *cache) deafened(e *ear, why error) bool {
	c.mu.Lock()
	was, known := e.listening, e.failure != nil
	e.listening, e.failure, e.none = false, why, errors.Is(why, eksauth.ErrNoChanges)
	c.mu.Unlock()
	if was || !known {
		c.logger.LogAttrs(context.Background(), slog.LevelInfo, "not listening to changes", slog.String("cluster", e.cluster), slog.Any("error", why))
	}
	return was
}

// heldFor returns the associations of what the agent has, each once, as a list
// and as a set. What does not fit is not asked about, and so not proved.
func (c *cache) heldFor(e *ear) (list []eksauth.Held, asked map[eksauth.Held]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked = make(map[eksauth.Held]bool)
	for _, p := range c.pods {
		if p.answer == nil || c.earOf(p.answer.cluster) != e {
			continue
		}
		h := heldBy(p.claims, p.answer).association()
		if len(list) < eksauth.MaxHeld && !asked[h] {
			asked[h] = true
			list = append(list, h)
		}
	}
	return list, asked
}

// hear takes in what a stream says that was asked about what is in asked.
func (c *cache) hear(e *ear, asked map[eksauth.Held]bool, said eksauth.Change) {
	switch said.Kind {
	case eksauth.Changed:
		c.changes.Add(1)
		c.drop(e, func(h Held) bool { return h.outdatedBy(said) })
	case eksauth.Current:
		// Whatever came while the stream was being made may be of before it; so may
		// a refusal.
		c.drop(e, func(h Held) bool { return !asked[h.association()] })
		c.contact.note(nil, time.Now())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.heard, e.failure, e.none = time.Now(), nil, false
	e.listening = e.listening || said.Kind == eksauth.Current
}

// drop forgets what of e's cluster match is true for.
func (c *cache) drop(e *ear, match func(Held) bool) {
	dropped := c.forget(func(h Held) bool {
		return match(h) && (h.AssociationID == "" || c.earOf(h.Cluster) == e)
	})
	c.dropped.Add(uint64(dropped))
}

// outdatedBy tells whether h is not what a change has made of its association.
// A replica may tell late what another has taken into account before.
func (h Held) outdatedBy(said eksauth.Change) bool {
	if h.ServiceAccount != said.ServiceAccount || h.Namespace != said.Namespace {
		return false
	}
	return h.AssociationID == "" || h.Version != said.Version && h.Sequence <= said.Sequence
}

// association is what a stream can be asked of h.
func (h Held) association() eksauth.Held {
	return eksauth.Held{Namespace: h.Namespace, ServiceAccount: h.ServiceAccount, AssociationID: h.AssociationID, Version: h.Version}
}

// provenLocked tells whether a was so as lately as it has to be.
func (c *cache) provenLocked(a *answer, now time.Time) bool {
	e := c.earOf(a.cluster)
	if e == nil || e.none && !c.refuseUnheard {
		return true
	}
	last := a.arrived
	if e.heard.After(last) {
		last = e.heard
	}
	return now.Sub(last) <= c.revalidateAfter
}

// listeningState is the worst of all ears: since when nothing was heard, and why.
func (c *cache) listeningState() (all bool, heard time.Time, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all = len(c.ears) > 0
	for _, e := range c.ears {
		if heard.IsZero() || e.heard.Before(heard) {
			heard = e.heard
		}
		if !e.listening {
			all = false
		}
		if !e.listening && !e.none {
			failure = e.failure
		}
	}
	return all, heard, failure
}
