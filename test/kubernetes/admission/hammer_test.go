package admission_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/test/kubernetes/cluster"
)

// TestHammer makes an association and, the moment that is acknowledged, a pod,
// thousands of times, with two replicas who are asked in turn. Not one pod may
// lack anything. No policy stands in: what a webhook misses shows. That pods
// without an association need no read shows that it is memory which is tried.
func TestHammer(t *testing.T) {
	w := start(t, cluster.Options{})
	w.ServiceAccount(t, "default", "default")
	late := rest.CopyConfig(w.Config)
	late.Wrap(func(next http.RoundTripper) http.RoundTripper { return &lateWatch{next, 2 * time.Second} })
	for _, arm := range []struct {
		name    string
		lag     time.Duration
		watches []*rest.Config
		times   int
	}{
		{"prompt", 0, []*rest.Config{w.Config, w.Config}, 2000},
		{"late", 0, []*rest.Config{late, late}, 1000},
		{"mixed", 200 * time.Millisecond, []*rest.Config{late, w.Config}, 500},
	} {
		t.Run(arm.name, func(t *testing.T) {
			g := w.replicas(t, arm.lag, arm.watches...)
			w.hammer(t, w.Namespace(t, arm.name), arm.times, nil)
			g.wantMemory()
		})
	}
	t.Run("without promises", func(t *testing.T) {
		w.serve(t, &front{replicas: []http.Handler{w.replica(t, late), w.replica(t, w.Config)}})
		w.hammer(t, w.Namespace(t, "alone"), 500, nil)
	})
	t.Run("one is replaced", func(t *testing.T) {
		g := w.replicas(t, 0, w.Config)
		first := g.start(late)
		g.await(first)
		w.hammer(t, w.Namespace(t, "replaced"), 800, func() {
			g.start(late)
			g.remove(first)
		})
		g.await(g.all()...)
		g.memory.Store(0)
		g.live.Store(0)
		w.hammer(t, w.Namespace(t, "afterwards"), 300, nil)
		g.wantMemory()
	})
}

// wantMemory wants most pods without an association to have needed no read.
func (g *replicas) wantMemory() {
	g.t.Helper()
	memory, live := g.memory.Load(), g.live.Load()
	g.t.Logf("%d pods without an association needed no read, %d one", memory, live)
	if memory < 4*live {
		g.t.Error("it is not memory that was tried")
	}
}

// hammer counts the pods that were missed. While each association is made, a
// pod that comes too early has a lookup begin that may not see it. Meanwhile may
// be nil.
func (w *world) hammer(t *testing.T, namespace string, times int, meanwhile func()) {
	t.Helper()
	began := time.Now()
	w.ServiceAccount(t, namespace, "none")
	var missed, early atomic.Int64
	workers, ctx := errgroup.WithContext(t.Context())
	workers.SetLimit(8)
	pod := func(account string) (ok bool, err error) {
		made, err := w.pods.CoreV1().Pods(namespace).Create(ctx, podOf(account, nil), metav1.CreateOptions{})
		return err == nil && complete(made), err
	}
	all := make(chan error, 1)
	go func() {
		for i := range times {
			workers.Go(func() error {
				account := fmt.Sprintf("app-%d", i)
				w.ServiceAccount(t, namespace, account)
				tooEarly := make(chan error, 1)
				go func() {
					ok, err := pod(account)
					if err == nil && !ok {
						early.Add(1)
					}
					tooEarly <- err
				}()
				err := w.create(ctx, namespace, account)
				for apierrors.IsServiceUnavailable(err) { // one that is replaced refuses it
					err = w.create(ctx, namespace, account)
				}
				if err != nil {
					return err
				}
				ok, err := pod(account)
				if err == nil && !ok {
					missed.Add(1)
				}
				_, err2 := pod("none")
				return errors.Join(err, err2, <-tooEarly)
			})
		}
		all <- workers.Wait()
	}()
	if meanwhile != nil {
		meanwhile()
	}
	if err := <-all; err != nil {
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
