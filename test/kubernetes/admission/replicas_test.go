package admission_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/certificate"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/promise"
)

// settle is longer than the API servers of these tests take to store an
// association, on a machine that is busy.
const settle = 10 * time.Second

// replicas are those of one podid: they promise each other over HTTP, and the API
// server asks them in turn about pods and about associations.
type replicas struct {
	w     *world
	t     testing.TB
	front front
	timed timed         // what the API server waits for
	lag   time.Duration // of what replicas tell each other

	// memory counts the pods of service account "none" that needed no read, live the others.
	memory, live atomic.Int64

	mu      sync.Mutex
	made    int
	members []promise.Member
}

// one is a replica.
type one struct {
	http.Handler
	id       string
	promises *promise.Replica
	end      func()
}

// replicas starts one replica for each way to watch associations, has the API
// server call them, and returns when memory may answer. What they tell each other
// takes lag longer.
func (w *world) replicas(t testing.TB, lag time.Duration, watches ...*rest.Config) *replicas {
	t.Helper()
	g := &replicas{w: w, t: t, lag: lag}
	var all []*one
	for _, watch := range watches {
		all = append(all, g.start(watch))
	}
	g.timed.next = &g.front
	server := w.serve(t, &g.timed)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w.hookOf(t, "ValidatingWebhookConfiguration", server.URL+admission.ValidatePath, authority)
	t.Cleanup(func() {
		err := w.pods.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), "podid", metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	g.await(all...)
	return g
}

// start starts a replica, to which the API server goes at once.
func (g *replicas) start(watch *rest.Config) *one {
	g.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	g.mu.Lock()
	g.made++
	r := &one{id: fmt.Sprint("pod-", g.made)}
	g.members = append(g.members, promise.Member{ID: r.id, Address: server.Listener.Addr().String()})
	g.mu.Unlock()

	store := g.w.store(g.t, watch)
	// The certificate of httptest is the same for all.
	peers := certificate.Peers{Current: func() (*tls.Certificate, error) { return &server.TLS.Certificates[0], nil }}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: peers.Client()}}
	var err error
	r.promises, err = promise.New(promise.Config{
		Self: r.id, Settle: settle, Version: store.Version, Reached: store.Reached,
		Members: func(context.Context) ([]promise.Member, error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return slices.Clone(g.members), nil
		},
		Poll: func(ctx context.Context, to promise.Member, q promise.Poll) (promise.Answer, error) {
			a, err := promise.Ask(ctx, client, to, q)
			time.Sleep(g.lag)
			return a, err
		},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	server.Config.Handler = peers.Only(r.promises.Handler())
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	judge := admission.Judge{
		Cluster: exampleCluster, Announce: r.promises.Announce,
		Caller: func(string, string, []string, map[string][]string) identity.Caller { return anybody{} },
	}
	r.Handler = newWebhook(g.t, admission.Config{Associations: store, Count: store.Count, Validate: judge.Validate, Current: func(key string) bool {
		current := r.promises.Current(key)
		if strings.HasSuffix(key, "/none") {
			if current {
				g.memory.Add(1)
			} else {
				g.live.Add(1)
			}
		}
		return current
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.promises.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
		server.Close()
	})
	g.t.Cleanup(r.end)
	g.front.mu.Lock()
	defer g.front.mu.Unlock()
	g.front.replicas = append(g.front.replicas, r)
	return r
}

// all are the replicas that the API server goes to.
func (g *replicas) all() (all []*one) {
	g.front.mu.Lock()
	defer g.front.mu.Unlock()
	for _, h := range g.front.replicas {
		all = append(all, h.(*one))
	}
	return all
}

// remove takes a replica away as by force: to the others it is gone, while the
// API server still goes to it for a while.
func (g *replicas) remove(r *one) {
	g.mu.Lock()
	g.members = slices.DeleteFunc(g.members, func(m promise.Member) bool { return m.ID == r.id })
	g.mu.Unlock()
	time.Sleep(3 * time.Second)
	g.front.mu.Lock()
	g.front.replicas = slices.DeleteFunc(g.front.replicas, func(h http.Handler) bool { return h == http.Handler(r) })
	g.front.mu.Unlock()
	r.end()
}

// await returns when the memory of these may answer. Without a change of any
// association the API server says but once a minute how far they are.
func (g *replicas) await(all ...*one) {
	g.t.Helper()
	n := 0
	await(g.t, "memory answers", func() bool {
		if n++; n%50 == 0 {
			g.w.associate(g.t, "default", fmt.Sprint("news-", time.Now().UnixNano()))
		}
		return !slices.ContainsFunc(all, func(r *one) bool { return !r.promises.Current("default/any") })
	})
}

// anybody may do everything.
type anybody struct{}

func (anybody) ARN() string                                      { return "user/anybody" }
func (anybody) AccountID() string                                { return exampleCluster.AccountID }
func (anybody) Authorize(context.Context, identity.Access) error { return nil }
