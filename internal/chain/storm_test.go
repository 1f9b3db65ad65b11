package chain

import (
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

// TestStorm: 5,000 pods start at once, and STS bears 100 calls a second. Two
// calls for each make 100 seconds; a pod's SDK gives up, and its container
// comes back a few seconds later, as a crash loop does.
func TestStorm(t *testing.T) {
	const pods, limit = 5000, 100
	s := &sts{latency: 30 * time.Millisecond, limit: limit}
	within(t, s, func(c *Config) { c.QueueTimeout = 5 * time.Minute }, func(t *testing.T, c *Cache) {
		start := time.Now()
		var wg sync.WaitGroup
		for i := range pods {
			wg.Go(func() {
				for {
					if _, err := c.Assume(t.Context(), association(), pod(i)); err == nil {
						return
					} else if identity.KindOf(err) != identity.Throttled {
						t.Error(err)
						return
					}
					time.Sleep(5 * time.Second)
				}
			})
		}
		wg.Wait()
		took := time.Since(start)
		if s.made(first) != pods || s.made(target) != pods {
			t.Errorf("%d and %d role assumptions, want %d of each: none wasted, none repeated", s.made(first), s.made(target), pods)
		}
		least := 2 * pods / limit * time.Second
		if took > least*125/100 {
			t.Errorf("took %v; arithmetic gives %v", took, least)
		}
		t.Logf("%v for what takes %v at least; %d calls throttled", took.Round(time.Second), least, s.throttled)
	})
}

// TestWaitingPodsGoFirst: prewarming a thousand pods delays nobody who asks.
func TestWaitingPodsGoFirst(t *testing.T) {
	s := &sts{latency: 10 * time.Millisecond}
	within(t, s, func(c *Config) { c.Rate = 10 }, func(t *testing.T, c *Cache) {
		for i := range 1000 {
			c.Prewarm(association(), pod(i))
		}
		time.Sleep(time.Second)
		start := time.Now()
		keyOf(t, c, association(), pod(5000))
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a new pod waited %v for pods that had not asked", took)
		}
		start = time.Now()
		keyOf(t, c, association(), pod(900))
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("a pod that was being prewarmed, and asked, waited %v", took)
		}
	})
}
