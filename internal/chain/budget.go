package chain

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"
)

// priority orders those who wait for a turn at STS, most urgent first.
type priority int

const (
	// begun: the first hop is made, and would be wasted.
	begun priority = iota
	// waiting: a pod has no credentials, and waits.
	waiting
	// prewarm: a pod that has not asked yet.
	prewarm
	priorities
)

// The rate follows CUBIC, as the SDK's adaptive retry mode does: after a
// throttled call it falls to beta of what it was, climbs back fast, lingers
// where it was throttled, and then looks for more
// (https://github.com/aws/aws-sdk-go-v2/blob/main/aws/retry/adaptive_ratelimit.go,
// RFC 9438 section 4).
const (
	beta      = 0.7
	scale     = 0.4
	leastRate = 1 // a second
)

// A budget is what podid may ask of STS: calls a second, learned from being
// throttled, and calls at once. Turns go by priority, and first come first
// served within one.
type budget struct {
	most        float64 // calls a second
	maxInFlight int
	now         func() time.Time

	mu       sync.Mutex
	rate     float64 // calls a second, now
	turns    float64 // that may be taken at once
	filled   time.Time
	inFlight int
	queues   [priorities]list.List // of *turn
	timer    *time.Timer

	throttledRate float64 // the rate at which the last call was throttled; 0: none was
	throttledAt   time.Time
}

// turn is a place in the queue.
type turn struct {
	priority priority
	element  *list.Element // nil: not in a queue
	granted  chan struct{}
}

func newBudget(most float64, maxInFlight int, now func() time.Time) *budget {
	b := &budget{most: most, maxInFlight: maxInFlight, now: now, rate: most, filled: now()}
	b.turns = b.burst()
	return b
}

// burst is how many turns may be saved up: a tenth of a second's.
func (b *budget) burst() float64 { return max(1, b.rate/10) }

// acquire waits for a turn, which release ends.
func (b *budget) acquire(ctx context.Context, t *turn, p priority) error {
	b.mu.Lock()
	t.granted = make(chan struct{})
	t.priority, t.element = p, b.queues[p].PushBack(t)
	b.grant()
	b.mu.Unlock()
	select {
	case <-t.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.element == nil { // granted just now: somebody else's turn instead
		b.inFlight--
		b.turns++
		b.grant()
	} else {
		b.queues[t.priority].Remove(t.element)
		t.element = nil
	}
	return ctx.Err()
}

// promote moves t ahead, if it waits behind p.
func (b *budget) promote(t *turn, p priority) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.element == nil || t.priority <= p {
		return
	}
	b.queues[t.priority].Remove(t.element)
	t.priority, t.element = p, b.queues[p].PushBack(t)
}

// release ends a turn and learns from it.
func (b *budget) release(throttled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	now := b.now()
	b.fill(now)
	if throttled {
		// All calls of one volley are throttled together: that is one event.
		if b.throttledRate == 0 || now.Sub(b.throttledAt) > time.Second/4 {
			b.throttledRate, b.throttledAt = b.rate, now
			b.rate = max(leastRate, b.rate*beta)
			b.turns = min(b.turns, 0)
		}
	} else if b.throttledRate > 0 {
		b.rate = max(b.rate, b.cubic(now.Sub(b.throttledAt)))
		if b.rate >= b.most {
			b.rate, b.throttledRate = b.most, 0
		}
	}
	b.grant()
}

// cubic returns the rate a while after the last throttled call.
func (b *budget) cubic(since time.Duration) float64 {
	plateau := math.Cbrt(b.throttledRate * (1 - beta) / scale) // in seconds
	return scale*math.Pow(since.Seconds()-plateau, 3) + b.throttledRate
}

func (b *budget) fill(now time.Time) {
	if d := now.Sub(b.filled); d > 0 {
		b.turns = min(b.burst(), b.turns+d.Seconds()*b.rate)
		b.filled = now
	}
}

// grant gives out the turns there are, and sees to it that it is called when
// there is another. b.mu is held.
func (b *budget) grant() {
	b.fill(b.now())
	for b.inFlight < b.maxInFlight {
		next := b.next()
		if next == nil {
			return
		}
		// A hair less than one is one: what the timer waited for, rounded.
		if b.turns < 1-1e-6 {
			b.wake(time.Duration((1 - b.turns) / b.rate * float64(time.Second)))
			return
		}
		b.turns--
		b.inFlight++
		b.queues[next.priority].Remove(next.element)
		next.element = nil
		close(next.granted)
	}
}

func (b *budget) next() *turn {
	for p := range b.queues {
		if front := b.queues[p].Front(); front != nil {
			return front.Value.(*turn)
		}
	}
	return nil
}

func (b *budget) wake(in time.Duration) {
	if b.timer == nil {
		b.timer = time.AfterFunc(in, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.grant()
		})
		return
	}
	b.timer.Reset(in)
}

// stop ends the timer.
func (b *budget) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
}

// state returns the rate and how many wait.
func (b *budget) state() (rate float64, queued int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.queues {
		queued += b.queues[p].Len()
	}
	return b.rate, queued
}
