package console

import (
	"context"
	"sync"
	"time"

	"github.com/podid/podid/internal/identity"
)

const (
	// verifyAfter is how old a state may be when a list shows it.
	verifyAfter = 5 * time.Second
	// verifyTimeout bounds one try.
	verifyTimeout = 5 * time.Second
	// verifyQueue bounds those that wait for their turn, verifiers how many are
	// tried at once.
	verifyQueue = 5000
	verifiers   = 2
)

// verifier tries the chains of associations that somebody looks at.
type verifier struct {
	config Config
	queue  chan string // of association ids

	mu   sync.Mutex           // guards what follows
	when map[string]time.Time // by id and version: when it was tried last, or put in the queue
}

func newVerifier(c Config) *verifier {
	return &verifier{config: c, queue: make(chan string, verifyQueue), when: map[string]time.Time{}}
}

// look has an association tried, unless that was done lately or there is too
// much to do.
func (v *verifier) look(r Record) {
	if v.config.Verify == nil {
		return
	}
	now, key := v.config.Now(), r.ID+r.Version()
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Sub(v.when[key]) < verifyAfter {
		return
	}
	if len(v.when) >= 2*verifyQueue {
		clear(v.when)
	}
	select {
	case v.queue <- r.ID:
		v.when[key] = now
	default:
	}
}

func (v *verifier) run(ctx context.Context) error {
	var all sync.WaitGroup
	for range verifiers {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case id := <-v.queue:
					v.try(ctx, id)
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (v *verifier) try(ctx context.Context, id string) {
	r, ok := v.config.Index.Get(id)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	state, reason := Working, ""
	hop, err := v.config.Verify(ctx, r.Association)
	if err == nil {
		hop = 0
	} else {
		switch identity.KindOf(err) {
		case identity.AccessDenied, identity.InvalidParameter, identity.InvalidRequest, identity.NotFound:
			state, reason = Failing, identity.SafeMessage(err)
		default: // AWS has not said
			return
		}
	}
	v.config.Index.Update(id, r.Version(), func(r *Record) { r.State, r.StateReason, r.FailedHop = state, reason, hop })
}
