package promise

import (
	"context"
	"errors"
	"time"

	"github.com/podid/podid/internal/identity"
)

// Poll is what a replica asks another.
type Poll struct {
	From     string `json:"from"`     // the instance that asks
	To       string `json:"to"`       // the pod that is asked
	Instance string `json:"instance"` // of that pod, as known; "": not yet
	Last     uint64 `json:"last"`     // the newest announcement of that instance that was heard
}

// Answer is a promise, and what was announced since.
type Answer struct {
	Instance string   `json:"instance"`
	Last     uint64   `json:"last"`
	Keys     []string `json:"keys"` // up to Last; of another instance than the poll's: none
}

// listener is a replica that has a promise.
type listener struct {
	until time.Time
	heard uint64 // the announcements that it has
}

// Announce returns nil once every replica that may answer from memory knows that
// an association is about to be there. Its error is an *identity.Error:
// Unavailable, if that could not be found out in time; the association must not pass.
func (r *Replica) Announce(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	if len(key) > maxKey {
		return untold(nil)
	}
	number := r.announce(key)
	if !sleep(ctx, hold-time.Since(r.began)) || !r.waitForListeners(ctx, number) || !r.waitForList(ctx) {
		return untold(ctx.Err())
	}
	return nil
}

func untold(err error) error {
	return identity.Errorf(identity.Unavailable, "podid's replicas could not be told of the association in time. Nothing was created; try again.").Because(err)
}

func (r *Replica) announce(key string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.kept = append(r.kept, key)
	if len(r.kept) > maxKept {
		r.kept = append([]string(nil), r.kept[maxKept/2:]...)
	}
	r.pendLocked(key)
	r.announced.send()
	return r.last
}

// waitForListeners waits until each has heard of an announcement, or its promise
// is over.
func (r *Replica) waitForListeners(ctx context.Context, number uint64) bool {
	for {
		wait, heard := r.unheard(number)
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-heard:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// unheard returns how long the promises last of those who have not heard of an
// announcement.
func (r *Replica) unheard(number uint64) (wait time.Duration, heard <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		if l.heard < number {
			wait = max(wait, time.Until(l.until))
		}
	}
	return wait, r.heard.c
}

// waitForList waits until a list of now has this replica in it: those to whom it
// is no member any more do not wait for its promises.
func (r *Replica) waitForList(ctx context.Context) bool {
	for {
		r.mu.Lock()
		is, listed := r.isListed && between(r.list, time.Now()) < listAge, r.listed.c
		r.mu.Unlock()
		if is {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-listed:
		}
	}
}

var (
	errAnother = errors.New("this is another replica")
	errCrowd   = errors.New("too many replicas listen")
)

// Answer answers a poll as soon as there is news, or after a while.
func (r *Replica) Answer(ctx context.Context, q Poll) (Answer, error) {
	if q.To != r.config.Self {
		return Answer{}, errAnother
	}
	if news := r.hear(q); news != nil {
		timer := time.NewTimer(pollFor)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-news:
		case <-timer.C:
		}
	}
	return r.promise(q)
}

// hear notes what a listener has; and returns what to wait for, if there is nothing new.
func (r *Replica) hear(q Poll) (news <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Instance != r.instance {
		return nil
	}
	if l, ok := r.listeners[q.From]; ok && l.heard < q.Last {
		l.heard = q.Last
		r.listeners[q.From] = l
		r.heard.send()
	}
	if q.Last == r.last {
		return r.announced.c
	}
	return nil
}

func (r *Replica) promise(q Poll) (Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for from, l := range r.listeners {
		if !now.Before(l.until) {
			delete(r.listeners, from)
		}
	}
	a := Answer{Instance: r.instance, Last: r.last}
	heard := r.last // of one that did not know this instance: it begins with this answer
	if q.Instance == r.instance && q.Last <= r.last {
		heard = q.Last
		a.Keys = append(a.Keys, r.kept[len(r.kept)-int(min(r.last-q.Last, uint64(len(r.kept)))):]...)
	}
	// A promise that is running is not taken back: this poll may have been long under
	// way, and its answer be for nobody.
	l, ok := r.listeners[q.From]
	if !ok {
		if len(r.listeners) >= maxListeners {
			return Answer{}, errCrowd
		}
		l.heard = heard
	}
	l.until = now.Add(given)
	r.listeners[q.From] = l
	return a, nil
}
