package audit

import (
	"context"
	"slices"
	"sync"
)

// Ring keeps the latest events in memory, for development mode.
type Ring struct {
	mu     sync.Mutex // guards what follows
	events []Event    // once full, the oldest is at next
	next   int
}

// NewRing makes a Ring that holds size events.
func NewRing(size int) *Ring { return &Ring{events: make([]Event, 0, max(size, 1))} }

// Write keeps the event, in place of the oldest if the ring is full.
func (r *Ring) Write(_ context.Context, e *Event) error {
	kept := *e
	kept.Hops = slices.Clone(e.Hops)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) < cap(r.events) {
		r.events = append(r.events, kept)
		return nil
	}
	r.events[r.next] = kept
	r.next = (r.next + 1) % len(r.events)
	return nil
}

// Events returns the events kept, oldest first.
func (r *Ring) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.events[r.next:], r.events[:r.next])
}
