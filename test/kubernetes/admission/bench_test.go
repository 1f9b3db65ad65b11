package admission_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/test/kubernetes/cluster"
)

// BenchmarkPods has a real API server admit pods, 50 a second, in a cluster with
// 5,000 associations: 4,900 in one namespace and 100 in another. The first is
// without podid; what the others take more is podid's part, and the last what any
// webhook takes more. Two replicas promise each other. Nothing is stored, so that
// etcd's disk is not what is measured.
func BenchmarkPods(b *testing.B) {
	w := start(b, cluster.Options{})
	w.ServiceAccount(b, "default", "default")
	for _, namespace := range []string{"podid-system", "few", "many", "empty"} {
		w.Namespace(b, namespace)
		w.ServiceAccount(b, namespace, "app-0")
		w.ServiceAccount(b, namespace, "none")
	}
	w.fill(b, "few", 100)
	w.fill(b, "many", 4900)
	w.applyPolicy(b)
	g := w.replicas(b, 0, w.Config, w.Config)
	await(b, "all is in force", func() bool {
		pod, err := w.try(b, "many", podOf("app-0", nil))
		return err == nil && complete(pod)
	})
	for _, arm := range []struct{ name, namespace, account string }{
		{"without podid", "podid-system", "app-0"},
		{"with an association, among 4900", "many", "app-0"},
		{"without one, among none", "empty", "none"},
		{"without one, among 100", "few", "none"},
		{"without one, among 4900", "many", "none"},
		{"without podid again", "podid-system", "app-0"},
	} {
		b.Run(arm.name, func(b *testing.B) {
			w.timed(b, &g.timed, arm.namespace, arm.account)
			if n := g.live.Swap(0); n > 0 {
				b.Errorf("%d pods cost a read", n)
			}
		})
	}
	yes := &timed{next: http.HandlerFunc(sayYes)}
	w.serve(b, yes)
	b.Run("a webhook that only says yes", func(b *testing.B) { w.timed(b, yes, "empty", "none") })
}

// sayYes is the least that a webhook can do.
func sayYes(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the API server says if it got none
}

// timed makes pods, and reports the time of the webhook by itself too.
func (w *world) timed(b *testing.B, webhook *timed, namespace, account string) {
	webhook.reset()
	w.steadily(b, namespace, account)
	if took := webhook.reset(); len(took) > 0 {
		b.ReportMetric(quantile(took, .5), "ms/webhook-p50")
		b.ReportMetric(quantile(took, .99), "ms/webhook-p99")
	}
}

// BenchmarkLiveRead is what a live read takes by itself, at the rate of
// BenchmarkPods: the least that the API server takes to say that there is no
// association, on this machine.
func BenchmarkLiveRead(b *testing.B) {
	w := start(b, cluster.Options{})
	w.Namespace(b, "many")
	w.fill(b, "many", 4900)
	single := rest.CopyConfig(w.Config)
	single.TLSClientConfig.NextProtos = []string{"http/1.1"}
	for name, c := range map[string]client.Client{"HTTP2": w.client, "HTTP1": newClient(b, single)} {
		b.Run(name, func(b *testing.B) {
			var mu sync.Mutex
			var took []time.Duration
			var waiting errgroup.Group
			tick := time.NewTicker(time.Second / 50)
			defer tick.Stop()
			for b.Loop() {
				<-tick.C
				waiting.Go(func() error {
					began := time.Now()
					err := c.Get(b.Context(), client.ObjectKey{Namespace: "many", Name: "none"}, &v1alpha1.PodIdentityAssociation{})
					if apierrors.IsNotFound(err) {
						err = nil
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, time.Since(began))
					return err
				})
			}
			if err := waiting.Wait(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(quantile(took, .5), "ms/p50")
			b.ReportMetric(quantile(took, .99), "ms/p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkPolicy is one pod after the other, none of which has an association,
// so that the policy looks at all that its namespace has. No webhook is asked.
func BenchmarkPolicy(b *testing.B) {
	w := start(b, cluster.Options{})
	w.applyPolicy(b)
	for _, n := range []int{0, 10, 100, 1000} {
		namespace := w.Namespace(b, fmt.Sprintf("with-%d", n))
		w.ServiceAccount(b, namespace, "none")
		w.ServiceAccount(b, namespace, "app-0")
		w.fill(b, namespace, n)
		if n > 0 {
			await(b, "the policy is in force", func() bool { return w.dryRun(b, namespace, "app-0") != nil })
		}
		b.Run(fmt.Sprintf("%d associations", n), func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := w.try(b, namespace, benchPod("none")); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			b.ReportMetric(quantile(took, .5), "ms/p50")
			b.ReportMetric(quantile(took, .99), "ms/p99")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// steadily makes 50 pods a second, whether or not those before are answered.
func (w *world) steadily(b *testing.B, namespace, account string) {
	var mu sync.Mutex
	var took []time.Duration
	var waiting errgroup.Group
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		waiting.Go(func() error {
			began := time.Now()
			_, err := w.pods.CoreV1().Pods(namespace).Create(b.Context(), benchPod(account), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
			return err
		})
	}
	if err := waiting.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(quantile(took, .5), "ms/p50")
	b.ReportMetric(quantile(took, .99), "ms/p99")
	b.ReportMetric(0, "ns/op") // mostly waiting
}

// benchPod has three containers and 50 variables.
func benchPod(account string) *corev1.Pod {
	return podOf(account, func(p *corev1.Pod) {
		p.Spec.Containers = nil
		for i := range 3 {
			c := corev1.Container{Name: fmt.Sprintf("app-%d", i), Image: "registry.example.test/shop/app:1.2.3"}
			for j := range 17 {
				c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SHOP_SETTING_%d", j), Value: "some value of ordinary length"})
			}
			p.Spec.Containers = append(p.Spec.Containers, c)
		}
	})
}

func (w *world) fill(b *testing.B, namespace string, n int) {
	b.Helper()
	var workers errgroup.Group
	workers.SetLimit(16)
	for i := range n {
		workers.Go(func() error { return w.create(b.Context(), namespace, fmt.Sprintf("app-%d", i)) })
	}
	if err := workers.Wait(); err != nil {
		b.Fatal(err)
	}
}

func quantile(took []time.Duration, q float64) float64 {
	slices.Sort(took)
	return took[int(float64(len(took)-1)*q)].Seconds() * 1000
}

// timed remembers how long each answer took.
type timed struct {
	next http.Handler

	mu   sync.Mutex
	took []time.Duration
}

func (h *timed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	h.next.ServeHTTP(w, r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.took = append(h.took, time.Since(began))
}

func (h *timed) reset() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	took := h.took
	h.took = nil
	return took
}
