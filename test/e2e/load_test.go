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
				err := s.fresh(ctx, &pods[i])
				if ctx.Err() == nil {
					l.note(&pods[i], time.Since(began), err)
				}
			}
		})
	}
	t.Cleanup(cancel)
	return l
}

func (l *load) note(p *corev1.Pod, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	l.slowest = max(l.slowest, took)
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

// unharmed ends the load, every request of which has to have been answered,
// and before an SDK would have asked again: botocore does after two seconds.
func (l *load) unharmed(t *testing.T) {
	t.Helper()
	l.cancel()
	l.all.Wait()
	t.Logf("%d requests, the slowest took %v", l.asked, l.slowest.Round(time.Millisecond))
	if l.asked == 0 || len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed:\n%s", len(l.failed), l.asked, firstOf(l.failed, 10))
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
