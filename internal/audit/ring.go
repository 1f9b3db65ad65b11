package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Ring keeps the latest events in memory, for whoever asks a running podid.
type Ring struct {
	mu      sync.Mutex // guards what follows
	events  []*Event   // once full, the oldest is at written % cap; none is changed once it is in
	written uint64     // events ever written: the number of the newest
	since   time.Time  // all events from then on are here, but for those overwritten since
}

// NewRing makes a Ring that holds size events.
func NewRing(size int) *Ring {
	return &Ring{events: make([]*Event, 0, max(size, 1)), since: time.Now()}
}

// Write keeps the event, in place of the oldest if the ring is full.
func (r *Ring) Write(_ context.Context, e *Event) error {
	kept := e.clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) < cap(r.events) {
		r.events = append(r.events, kept)
	} else {
		r.events[r.written%uint64(cap(r.events))] = kept
	}
	r.written++
	return nil
}

// clone copies whatever the writer of e could still change.
func (e *Event) clone() *Event {
	c := *e
	c.Hops, c.CallerGroups = slices.Clone(e.Hops), slices.Clone(e.CallerGroups)
	if e.Subject != nil {
		subject := *e.Subject
		c.Subject = &subject
	}
	c.Association, c.Before = e.Association.clone(), e.Before.clone()
	return &c
}

func (a *Association) clone() *Association {
	if a == nil {
		return nil
	}
	c := *a
	c.Tags = maps.Clone(a.Tags)
	return &c
}

// Events returns the events kept, oldest first.
func (r *Ring) Events() []Event {
	newest, events := r.snapshot()
	all := make([]Event, 0, len(events))
	for i := newest - uint64(len(events)); i < newest; i++ {
		all = append(all, *events[i%uint64(len(events))])
	}
	return all
}

// snapshot returns the events as they are now, of which the one numbered n, from
// 1, is at (n-1) % len, and the number of the newest.
func (r *Ring) snapshot() (newest uint64, events []*Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written, slices.Clone(r.events)
}

// MaxPage is the most events that one Query returns.
const MaxPage = 1000

// Query asks for one page of the events kept, newest first.
type Query struct {
	Filter Filter
	Limit  int    // at most this many events; 0: 100, and never more than MaxPage
	Before string // cursor: only older events than those of the page that gave it; "": from the newest
	After  string // cursor: only events that came later than it; "": all that are kept
	// Also is what the events have to satisfy besides Filter. Nil: nothing.
	Also func(*Event) bool
}

// Page is what a Query finds.
type Page struct {
	Events []*Event // not to be changed
	// Cursors are those of the events, for Query.Before: where a page of which
	// only some were taken is to go on.
	Cursors []string
	Older   string // cursor for Query.Before; "": there are no older events that match
	Newest  string // cursor for Query.After: whatever comes after this page was made
}

// Query returns a page of events. Its error is one of a cursor that Query never gave.
func (r *Ring) Query(q Query) (Page, error) {
	before, err := cursor(q.Before)
	if err != nil {
		return Page{}, err
	}
	after, err := cursor(q.After)
	if err != nil {
		return Page{}, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, MaxPage)
	newest, events := r.snapshot()
	page := Page{Newest: strconv.FormatUint(newest, 10)}
	from, oldest := newest, newest-uint64(len(events))
	if q.Before != "" {
		from = min(from, max(before, 1)-1)
	}
	last := uint64(0)
	for n := from; n > max(oldest, after); n-- {
		e := events[(n-1)%uint64(len(events))]
		if !q.Filter.Match(e) || q.Also != nil && !q.Also(e) {
			continue
		}
		if len(page.Events) == limit {
			page.Older = strconv.FormatUint(last, 10)
			break
		}
		page.Events, page.Cursors, last = append(page.Events, e), append(page.Cursors, strconv.FormatUint(n, 10)), n
	}
	return page, nil
}

func cursor(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the cursor %.20q is not one of podid's", text)
	}
	return n, nil
}
