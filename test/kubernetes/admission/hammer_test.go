package admission_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/test/kubernetes/cluster"
)

// TestHammer makes an association and, the moment that is acknowledged, a pod,
// thousands of times, with two replicas who are asked in turn. Not one pod may
// lack anything. No policy stands in: what a webhook misses shows.
func TestHammer(t *testing.T) {
	w := start(t, cluster.Options{})
	w.ServiceAccount(t, "default", "default")
	t.Run("informers as they are", func(t *testing.T) {
		w.serve(t, &front{replicas: []http.Handler{w.replica(t, w.Config), w.replica(t, w.Config)}})
		w.hammer(t, w.Namespace(t, "prompt"), 2000)
	})
	t.Run("informers seconds late", func(t *testing.T) {
		late := rest.CopyConfig(w.Config)
		late.Wrap(func(next http.RoundTripper) http.RoundTripper { return &lateWatch{next, 2 * time.Second} })
		w.serve(t, &front{replicas: []http.Handler{w.replica(t, late), w.replica(t, late)}})
		w.hammer(t, w.Namespace(t, "late"), 1000)
	})
	t.Run("one informer is late", func(t *testing.T) {
		late := rest.CopyConfig(w.Config)
		late.Wrap(func(next http.RoundTripper) http.RoundTripper { return &lateWatch{next, 2 * time.Second} })
		w.serve(t, &front{replicas: []http.Handler{w.replica(t, late), w.replica(t, w.Config)}})
		w.hammer(t, w.Namespace(t, "mixed"), 500)
	})
}

// hammer counts the pods that were missed. While each association is made, a
// pod that comes too early has a lookup begin that may not see it.
func (w *world) hammer(t *testing.T, namespace string, times int) {
	t.Helper()
	began := time.Now()
	var missed, early atomic.Int64
	workers, ctx := errgroup.WithContext(t.Context())
	workers.SetLimit(8)
	for i := range times {
		workers.Go(func() error {
			account := fmt.Sprintf("app-%d", i)
			w.ServiceAccount(t, namespace, account)
			tooEarly := make(chan error, 1)
			go func() {
				pod, err := w.pods.CoreV1().Pods(namespace).Create(ctx, podOf(account, nil), metav1.CreateOptions{})
				if err == nil && !complete(pod) {
					early.Add(1)
				}
				tooEarly <- err
			}()
			if err := w.create(ctx, namespace, account); err != nil {
				return err
			}
			pod, err := w.pods.CoreV1().Pods(namespace).Create(ctx, podOf(account, nil), metav1.CreateOptions{})
			if err != nil {
				return err
			}
			if !complete(pod) {
				missed.Add(1)
			}
			return <-tooEarly
		})
	}
	if err := workers.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d associations, each with a pod right after it, in %v; %d of the pods made at the same time came before it", times, time.Since(began).Round(time.Millisecond), early.Load())
	if missed.Load() > 0 {
		t.Errorf("%d of %d pods were missed", missed.Load(), times)
	}
	if early.Load() == 0 {
		t.Error("no pod came too early: lookups that begin before an association were not tried")
	}
}

// lateWatch lets all that a watch says arrive late.
type lateWatch struct {
	next  http.RoundTripper
	delay time.Duration
}

func (l *lateWatch) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err == nil && r.URL.Query().Has("watch") {
		b := &lateBody{ReadCloser: response.Body, ctx: r.Context(), chunks: make(chan chunk, 100_000)}
		go b.gather(l.delay)
		response.Body = b
	}
	return response, err
}

// lateBody is a body whose bytes come a while after they came.
type lateBody struct {
	io.ReadCloser
	ctx    context.Context
	chunks chan chunk
	rest   []byte
}

type chunk struct {
	due  time.Time
	data []byte
}

func (b *lateBody) gather(delay time.Duration) {
	defer close(b.chunks)
	for {
		data := make([]byte, 32<<10)
		n, err := b.ReadCloser.Read(data)
		select {
		case b.chunks <- chunk{time.Now().Add(delay), data[:n]}:
		case <-b.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (b *lateBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		c, more := <-b.chunks
		if !more {
			return 0, io.EOF
		}
		select {
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		case <-time.After(time.Until(c.due)):
		}
		b.rest = c.data
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
