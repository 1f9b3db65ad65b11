// Package promise lets a replica say from memory that a service account has no
// association. Every creation of one is judged by the validating webhook of some
// replica before it is stored. So the replicas promise each other, for seconds at
// a time, that they let no creation pass without having announced it: leases, as
// in Gray and Cheriton, 1989 (https://doi.org/10.1145/74850.74870). Why that is
// enough: docs/decisions/0061-promises.md.
package promise

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what a Replica works with. All but Settle and Logger are required.
type Config struct {
	// Self is the id of this replica's pod.
	Self string
	// Members returns every pod of the server that may run, this one too, as of the
	// call or later.
	Members func(context.Context) ([]Member, error)
	// Poll has a member's Answer.
	Poll func(context.Context, Member, Poll) (Answer, error)
	// Version returns how far the associations are at the API server, as of the call
	// or later; Reached returns how far those in memory are.
	Version func(context.Context) (uint64, error)
	Reached func() uint64
	// Settle is how long after its announcement an association may still be stored.
	// 0: 2 min. The API server gives up on any creation after 34 s
	// (k8s.io/apiserver/pkg/endpoints/handlers, requestTimeoutUpperBound).
	Settle time.Duration
	// Logger takes what keeps a replica from promising. Nil: nowhere.
	Logger *slog.Logger
}

// Member is a pod of the server.
type Member struct {
	ID      string // the pod's uid
	Address string // HOST:PORT; "": it has none yet
}

// The times of the protocol. What holds a promise counts it from before it asked,
// and shorter than what gave it, by what clocks may differ within it.
const (
	given = 3 * time.Second // counted by the one that gives it
	held  = 2 * time.Second // counted by the one that holds it
	// hold is how long after its start a replica lets nothing pass: the promises of an
	// earlier process in the same pod, and the lists without this pod, are over then.
	hold = 4 * time.Second
	// listAge is how old the newest list of members may be.
	listAge = 2 * time.Second
	// listGap is how long it may be from the beginning of a list to the end of the next
	// for no pod to have passed anything unseen between them: less than hold.
	listGap = 3 * time.Second

	listEvery   = time.Second
	pollFor     = 500 * time.Millisecond // how long a poll waits for news
	againAfter  = 250 * time.Millisecond // what has failed
	settleEvery = 200 * time.Millisecond

	// announceTimeout is less than what the API server waits
	// (charts/podid, webhook-validating.yaml), and more than hold and given.
	announceTimeout = 8 * time.Second
)

const (
	maxKept      = 1000   // announcements that are told to who missed them
	maxPending   = 10_000 // announcements that are not settled
	maxListeners = 64
	// maxKey is more than a namespace and a name have together in Kubernetes, whose
	// webhook anybody may call who reaches it.
	maxKey = 400
)

// Replica is one of the server's replicas. It is safe for concurrent use.
type Replica struct {
	config   Config
	began    time.Time
	instance string // of this process

	mu sync.Mutex

	// As the one that lets creations pass.
	last      uint64   // number of the newest announcement
	kept      []string // the newest announcements, up to that
	listeners map[string]listener
	announced signal
	heard     signal // of listeners

	// As the one that answers from memory.
	list     time.Time // when the newest list of members began; zero, which is long ago: there is none
	isListed bool      // this replica, in it
	listed   signal
	others   map[string]*other
	pending  map[string]time.Time // announcements, by when they were heard of
	// settled: of all that was stored before it, what is in memory is newer. Memory may
	// answer once that has come to need.
	settled, need time.Time
}

// New makes a Replica. It has to be made after the process' start.
func New(c Config) (*Replica, error) {
	if c.Self == "" || c.Members == nil || c.Poll == nil || c.Version == nil || c.Reached == nil {
		return nil, errors.New("promise: all but Settle and Logger is required")
	}
	if c.Settle == 0 {
		c.Settle = 2 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replica{
		config: c, began: time.Now(), instance: rand.Text(), announced: newSignal(), heard: newSignal(), listed: newSignal(),
		listeners: map[string]listener{}, others: map[string]*other{}, pending: map[string]time.Time{},
	}
	r.doubtLocked() // what passed before may be on its way
	return r, nil
}

// Run keeps promises of the others until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { r.watchMembers(ctx, group); return nil })
	group.Go(func() error { r.settle(ctx); return nil })
	return group.Wait()
}

// between is the longer of what both clocks say: the monotonic one stands still
// while a machine is suspended.
func between(a, b time.Time) time.Duration { return max(b.Sub(a), b.Round(0).Sub(a.Round(0))) }

// signal wakes all who wait. Replica.mu guards it.
type signal struct{ c chan struct{} }

func newSignal() signal { return signal{make(chan struct{})} }

func (s *signal) send() {
	close(s.c)
	s.c = make(chan struct{})
}

// sleep returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
