//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// load has pods ask for credentials all the time, each time with a new token,
// so that every request goes through agent and server.
type load struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex
	asked   int
	again   int // of these, how many were asked again
	failed  []string
	slowest time.Duration
}

func (s *shop) load(t *testing.T, pods ...corev1.Pod) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	for i := range pods {
		l.all.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				asked, err := s.fresh(ctx, &pods[i])
				if ctx.Err() == nil {
					l.note(&pods[i], time.Since(began), asked, err)
				}
			}
		})
	}
	t.Cleanup(cancel)
	return l
}

func (l *load) note(p *corev1.Pod, took time.Duration, asked int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.slowest = max(l.slowest, took)
	if asked > 1 {
		l.again++
	}
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("%s %s: %v", time.Now().Format("05.000"), p.Name, err))
	}
}

// requests returns how many there were.
func (l *load) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// unharmed ends the load, every request of which has to have been answered. A
// few may have been asked again: on a machine that does too much at a time, two
// seconds pass by themselves.
func (l *load) unharmed(t *testing.T) {
	t.Helper()
	l.cancel()
	l.all.Wait()
	t.Logf("%d requests, %d asked again, the slowest took %v", l.asked, l.again, l.slowest.Round(time.Millisecond))
	if l.asked == 0 || len(l.failed) > 0 || l.again > l.asked/50 {
		t.Errorf("%d of %d requests failed, %d were asked again:\n%s", len(l.failed), l.asked, l.again, firstOf(l.failed, 10))
	}
}

func firstOf(all []string, n int) (text string) {
	for _, s := range all[:min(n, len(all))] {
		text += s + "\n"
	}
	return text
}

// more waits until the load has gone on for so many requests.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	before := l.requests()
	eventually(t, 60*time.Second, fmt.Sprintf("%d more requests", n), func() (bool, string) {
		now := l.requests() - before
		return now >= n, fmt.Sprintf("%d", now)
	})
}
