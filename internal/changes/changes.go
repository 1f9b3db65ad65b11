// Package changes tells who listens what becomes of associations, in order and
// without a gap. It keeps no history: whoever was away asks what of the things
// it holds is still so.
package changes

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/podid/podid/internal/identity"
)

// Change is what became of an association.
type Change struct {
	// Sequence orders the changes of a store: what a replica of the server says
	// at a sequence holds for all replicas that have reached it.
	Sequence       uint64
	Cluster        string // name
	Namespace      string
	ServiceAccount string
	AssociationID  string
	Version        string // identity.Association.Version; empty: it was deleted
	// Seen is when this process came to know of it.
	Seen time.Time
}

// Of is the change that made an association what it is.
func Of(a identity.Association) Change {
	return Change{
		Cluster: a.Cluster.Name, Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, AssociationID: a.ID, Version: a.Version(),
	}
}

// Deleted is the change that ended an association.
func Deleted(a identity.Association) Change {
	c := Of(a)
	c.Version = ""
	return c
}

// Config says how a Feed works. The zero value is good.
type Config struct {
	// First is told of each change before any listener is, so that what the
	// server itself remembers of the association is gone by then. Nil: nobody.
	First func(Change)
	// Begin is the sequence to begin with. Where changes are numbered by Announce it
	// must be above those of an earlier life: the microseconds since 1970 are.
	Begin uint64
	// Alone says that changes are made nowhere but in this process. Then nobody
	// can have heard of a later one, unless the store has been replaced.
	Alone bool
	// WaitFor waits until the view of the store has come to a sequence, where the
	// store itself knows better than its changes tell. Nil: these tell all there is.
	WaitFor func(ctx context.Context, to uint64) error
	// MaxListeners bounds those who listen. 0: 10,000.
	MaxListeners int
	// MaxBehind is how many changes may wait for a listener before it is cut off. 0: 4,096.
	MaxBehind int
}

// Feed passes changes on. It is safe for concurrent use.
type Feed struct {
	config Config

	mu        sync.Mutex
	announced uint64 // the highest sequence of a change
	reached   uint64 // what the view of the store has come to; at least announced
	moved     chan struct{}
	listeners map[*Listener]struct{}
	closed    bool
	published uint64
	cut       uint64
}

// New makes a Feed. It starts nothing.
func New(c Config) (*Feed, error) {
	if c.MaxListeners < 0 || c.MaxBehind < 0 {
		return nil, errors.New("changes: a negative bound")
	}
	if c.MaxListeners == 0 {
		c.MaxListeners = 10_000
	}
	if c.MaxBehind == 0 {
		c.MaxBehind = 4096
	}
	return &Feed{
		config: c, announced: c.Begin, reached: c.Begin,
		moved: make(chan struct{}), listeners: map[*Listener]struct{}{},
	}, nil
}

// Run ends all listening when ctx ends, so that listeners turn to another
// replica at once.
func (f *Feed) Run(ctx context.Context) error {
	<-ctx.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for l := range f.listeners {
		f.endLocked(l, ErrClosed)
	}
	return nil
}

// Publish passes on a change that the store has numbered: in Kubernetes, by the
// object's resource version. Lookups must show it already.
func (f *Feed) Publish(c Change) { f.publish(func(uint64) Change { return c }) }

// Announce numbers a change itself and passes it on.
func (f *Feed) Announce(c Change) {
	f.publish(func(last uint64) Change { c.Sequence = last + 1; return c })
}

func (f *Feed) publish(number func(last uint64) Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := number(f.announced)
	c.Seen = time.Now()
	f.published++
	if f.config.First != nil {
		f.config.First(c)
	}
	f.announced = max(f.announced, c.Sequence)
	f.advanceLocked(c.Sequence)
	for l := range f.listeners {
		if len(l.waiting) >= f.config.MaxBehind {
			f.cut++
			f.endLocked(l, ErrBehind)
			continue
		}
		l.waiting = append(l.waiting, c)
		l.wakeLocked()
	}
}

// Advance notes that the view of the store has come to a sequence, whether or
// not an association changed with it: what was listed at the start, for one.
func (f *Feed) Advance(to uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advanceLocked(to)
}

func (f *Feed) advanceLocked(to uint64) {
	if to <= f.reached {
		return
	}
	f.reached = to
	close(f.moved)
	f.moved = make(chan struct{})
}

// Sequence is that of the latest change. Whoever looks an association up after
// asking for it finds that change or a later one.
func (f *Feed) Sequence() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.announced
}

// CaughtUp waits until the view of the store has come to a sequence. Its error
// is of kind Unavailable where that takes longer than ctx, and InvalidRequest
// where it will never be.
func (f *Feed) CaughtUp(ctx context.Context, to uint64) error {
	if f.config.WaitFor != nil {
		return f.config.WaitFor(ctx, to)
	}
	for {
		f.mu.Lock()
		reached, moved := f.reached, f.moved
		f.mu.Unlock()
		switch {
		case to <= reached:
			return nil
		case f.config.Alone:
			return identity.Errorf(identity.InvalidRequest, "This server has not come to sequence %d, and will not: its store is another one now.", to)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return identity.Errorf(identity.Unavailable, "This replica has not come to sequence %d yet. Ask another one.", to).Because(ctx.Err())
		}
	}
}

// Stats are what there is now, and since the start.
type Stats struct {
	Listeners int
	Published uint64 // changes
	Cut       uint64 // listeners that were cut off, because they did not keep up
	Sequence  uint64
}

// Stats returns the counters.
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stats{Listeners: len(f.listeners), Published: f.published, Cut: f.cut, Sequence: f.announced}
}
