package admission

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/podid/podid/internal/identity"
)

// reads looks up associations at the API server, one at a time for each service
// account. Whoever asks while a lookup is under way shares the one that follows
// it, with all others who do: one begun before they asked may not have seen an
// association that was there when they did.
type reads struct {
	timeout time.Duration
	lookup  func(ctx context.Context, namespace, serviceAccount string) (identity.Association, error)
	counted prometheus.Counter

	mu       sync.Mutex
	underWay map[account]*read
}

type account struct{ namespace, name string }

func (a account) String() string { return a.namespace + "/" + a.name }

// read is one lookup.
type read struct {
	next *read // begins when this one ends; guarded by reads.mu

	done  chan struct{} // closed when the rest is set
	found identity.Association
	err   error
}

func newReads(timeout time.Duration, lookup func(context.Context, string, string) (identity.Association, error), counted prometheus.Counter) *reads {
	return &reads{timeout: timeout, lookup: lookup, counted: counted, underWay: map[account]*read{}}
}

// find looks a up, with a lookup that begins no earlier than the call.
func (r *reads) find(ctx context.Context, a account) (identity.Association, error) {
	rd := r.join(a)
	select {
	case <-rd.done:
		return rd.found, rd.err
	case <-ctx.Done():
		return identity.Association{}, identity.Errorf(identity.Unavailable, "The API server no longer waits.").Because(ctx.Err())
	}
}

func (r *reads) join(a account) *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.underWay[a]
	switch {
	case first == nil:
		first = &read{done: make(chan struct{})}
		r.underWay[a] = first
		go r.run(a, first)
		return first
	case first.next == nil:
		first.next = &read{done: make(chan struct{})}
	}
	return first.next
}

// run does one lookup after the other for as long as somebody waits for the
// next. They are nobody's own, so that none fails because another one has left.
func (r *reads) run(a account, rd *read) {
	for rd != nil {
		rd.found, rd.err = r.look(a)
		close(rd.done)
		r.mu.Lock()
		rd = rd.next
		if rd == nil {
			delete(r.underWay, a)
		} else {
			r.underWay[a] = rd
		}
		r.mu.Unlock()
	}
}

func (r *reads) look(a account) (identity.Association, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	r.counted.Inc()
	return r.lookup(ctx, a.namespace, a.name)
}
