package promise

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// other is another replica.
type other struct {
	member Member // guarded by Replica.mu, as all of it
	end    context.CancelFunc

	sent     time.Time // the poll that brought its newest promise; zero, which is long ago: it gave none
	instance string
	last     uint64 // its newest announcement
}

// Current tells whether memory has the association of a key if there is one whose
// creation was acknowledged before the call. Whoever asks has to look into memory
// after it.
func (r *Replica) Current(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.settled.Before(r.need) || between(r.list, now) >= listAge {
		return false
	}
	for _, o := range r.others {
		if between(o.sent, now) >= held {
			return false
		}
	}
	_, pending := r.pending[key]
	return !pending
}

// doubtLocked keeps memory from answering until all that may have passed unheard
// up to now is stored, and in memory.
func (r *Replica) doubtLocked() { r.need = time.Now().Add(r.config.Settle) }

func (r *Replica) pendLocked(key string) {
	if _, ok := r.pending[key]; !ok && len(r.pending) >= maxPending {
		clear(r.pending)
		r.doubtLocked()
	}
	r.pending[key] = time.Now()
}

// watchMembers lists the members again and again, and listens to each in group.
func (r *Replica) watchMembers(ctx context.Context, group *errgroup.Group) {
	said := ""
	for {
		next, problem := listEvery, ""
		began := time.Now()
		members, err := r.members(ctx)
		switch {
		case err != nil:
			next, problem = againAfter, err.Error()
		case !slices.ContainsFunc(members, r.isSelf):
			problem = "its pod is none of the server's pods: do they run as another service account?"
		}
		if err == nil {
			for _, o := range r.took(began, members) {
				listening, end := context.WithCancel(ctx)
				o.end = end
				group.Go(func() error { r.listen(listening, o); return nil })
			}
		}
		if problem != "" && problem != said && ctx.Err() == nil {
			r.config.Logger.WarnContext(ctx, "no association can be created through this replica", "error", problem)
		}
		said = problem
		if !sleep(ctx, next) {
			return
		}
	}
}

func (r *Replica) isSelf(m Member) bool { return m.ID == r.config.Self }

func (r *Replica) members(ctx context.Context) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, listAge)
	defer cancel()
	return r.config.Members(ctx)
}

// took takes a list of members that began then and has just ended, and is as of
// some moment between. It returns those that are new.
func (r *Replica) took(began time.Time, members []Member) (added []*other) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if between(r.list, time.Now()) > listGap { // one may have come and gone
		r.doubtLocked()
	}
	r.list, r.isListed = began, slices.ContainsFunc(members, r.isSelf)
	r.listed.send()
	for id, o := range r.others {
		if !slices.ContainsFunc(members, func(m Member) bool { return m.ID == id }) {
			o.end()
			delete(r.others, id)
			r.doubtLocked() // what it let pass last, nobody may have heard of
		}
	}
	for _, m := range members {
		if r.isSelf(m) {
			continue
		}
		if o := r.others[m.ID]; o != nil {
			o.member = m
			continue
		}
		o := &other{member: m}
		r.others[m.ID] = o
		added = append(added, o)
	}
	return added
}

// listen keeps the promise of another replica until ctx ends.
func (r *Replica) listen(ctx context.Context, o *other) {
	for ctx.Err() == nil {
		if !r.poll(ctx, o) && !sleep(ctx, againAfter) {
			return
		}
	}
}

func (r *Replica) poll(ctx context.Context, o *other) bool {
	r.mu.Lock()
	member, q := o.member, Poll{From: r.instance, To: o.member.ID, Instance: o.instance, Last: o.last}
	r.mu.Unlock()
	if member.Address == "" {
		return false
	}
	sent := time.Now()
	ctx, cancel := context.WithTimeout(ctx, held) // a later answer is worth nothing
	defer cancel()
	a, err := r.config.Poll(ctx, member, q)
	if err != nil { // an earlier version, or one that starts or ends: then memory does not answer
		return false
	}
	r.heardOf(o, sent, a)
	return true
}

// heardOf takes an answer to the poll sent then.
func (r *Replica) heardOf(o *other, sent time.Time, a Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range a.Keys {
		r.pendLocked(key)
	}
	// Another process, whose predecessor may have let something pass last; or more
	// announcements than it tells again.
	if a.Instance != o.instance || a.Last != o.last+uint64(len(a.Keys)) {
		r.doubtLocked()
	}
	o.sent, o.instance, o.last = sent, a.Instance, a.Last
}

// settle moves settled on whenever something waits for that, until ctx ends.
func (r *Replica) settle(ctx context.Context) {
	var began time.Time // of the reading of version; zero: nothing is awaited
	var version uint64
	for sleep(ctx, settleEvery) {
		if began.IsZero() && r.isDue() {
			now := time.Now()
			reading, cancel := context.WithTimeout(ctx, listAge)
			read, err := r.config.Version(reading)
			cancel()
			if err != nil {
				continue // as if it had not been asked; the next may succeed
			}
			began, version = now, read
		}
		if !began.IsZero() && r.config.Reached() >= version {
			r.settledAt(began)
			began = time.Time{}
		}
	}
}

// isDue tells whether something could be settled now.
func (r *Replica) isDue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.settled.Before(r.need) && !now.Before(r.need) {
		return true
	}
	for _, heard := range r.pending {
		if now.Sub(heard) >= r.config.Settle {
			return true
		}
	}
	return false
}

func (r *Replica) settledAt(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = t
	for key, heard := range r.pending {
		if t.Sub(heard) >= r.config.Settle {
			delete(r.pending, key)
		}
	}
}
