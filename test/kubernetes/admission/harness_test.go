// Package admission_test tries the webhook, and the policy that stands in for
// it, on a real API server.
package admission_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/deploy"
	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

var exampleCluster = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}

// world is a cluster with podid's custom resource, and clients of it.
type world struct {
	*cluster.Cluster
	pods   *kubernetes.Clientset
	client client.Client
}

func start(t testing.TB, o cluster.Options) *world {
	t.Helper()
	log.SetLogger(logr.Discard()) // controller-runtime's, which else complains
	c := cluster.Start(t, o)
	w := &world{Cluster: c, pods: c.Client(t), client: newClient(t, c.Config)}
	w.apply(t, manifest(t, "CustomResourceDefinition"))
	return w
}

func newClient(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// manifest returns what podid installs of a kind of object.
func manifest(t testing.TB, kind string) *unstructured.Unstructured {
	t.Helper()
	documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(deploy.Manifests()), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := documents.Decode(&u.Object); err != nil {
			t.Fatalf("looking for a %s: %v", kind, err)
		}
		if u.GetKind() == kind {
			return u
		}
	}
}

// apply applies an object, and waits until it can be used.
func (w *world) apply(t testing.TB, u *unstructured.Unstructured) {
	t.Helper()
	text, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	w.Apply(t, string(text))
}

func (w *world) applyPolicy(t testing.TB) {
	t.Helper()
	w.apply(t, manifest(t, "ValidatingAdmissionPolicy"))
	w.apply(t, manifest(t, "ValidatingAdmissionPolicyBinding"))
}

// replica is a webhook of a replica that is in no pod, with an informer of its own.
func (w *world) replica(t testing.TB, watch *rest.Config) http.Handler {
	t.Helper()
	store := w.store(t, watch)
	return newWebhook(t, admission.Config{Associations: store, Count: store.Count})
}

func newWebhook(t testing.TB, c admission.Config) http.Handler {
	t.Helper()
	c.Settings = admission.Settings{Region: "us-west-2", RegionalSTS: true}
	webhook, err := admission.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Handler()
}

func (w *world) store(t testing.TB, watch *rest.Config) *kube.Store {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	informers, err := cache.New(watch, cache.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := kube.New(ctx, kube.Config{Cluster: exampleCluster, Cache: informers, Live: newClient(t, w.Config)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- informers.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if !informers.WaitForCacheSync(ctx) {
		t.Fatal("the informer did not sync")
	}
	return store
}

// front hands requests to replicas in turn, as a Service does with connections.
type front struct {
	mu       sync.Mutex
	replicas []http.Handler
	n        int
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.n++
	next := f.replicas[f.n%len(f.replicas)]
	f.mu.Unlock()
	next.ServeHTTP(w, r)
}

// serve serves h over TLS and has the API server call it, as the chart says. It
// returns once that happens.
func (w *world) serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	asked := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		h.ServeHTTP(rw, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	w.hook(t, server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	await(t, "the API server calls the webhook", func() bool {
		_ = w.dryRun(t, "default", "default") // only that it asks counts
		select {
		case <-asked:
			return true
		default:
			return false
		}
	})
	return server
}

// hook has the API server call a URL.
func (w *world) hook(t testing.TB, url string, authority []byte) {
	t.Helper()
	w.hookOf(t, "MutatingWebhookConfiguration", url+admission.MutatePath, authority)
	t.Cleanup(func() { w.forget(t, "podid") })
}

// hookOf applies what podid installs of a kind of configuration, with another URL.
func (w *world) hookOf(t testing.TB, kind, url string, authority []byte) {
	t.Helper()
	u := manifest(t, kind)
	webhooks, found, err := unstructured.NestedSlice(u.Object, "webhooks")
	if err != nil || !found {
		t.Fatalf("%s has no webhooks: %v", kind, err)
	}
	for _, hook := range webhooks {
		hook.(map[string]any)["clientConfig"] = map[string]any{"url": url, "caBundle": base64.StdEncoding.EncodeToString(authority)}
	}
	if err := unstructured.SetNestedSlice(u.Object, webhooks, "webhooks"); err != nil {
		t.Fatal(err)
	}
	w.apply(t, u)
}

// forget takes away the configuration of a webhook, if it is there.
func (w *world) forget(t testing.TB, name string) {
	t.Helper()
	err := w.pods.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func (w *world) associate(t testing.TB, namespace, serviceAccount string) {
	t.Helper()
	if err := w.create(t.Context(), namespace, serviceAccount); err != nil {
		t.Fatal(err)
	}
}

func (w *world) create(ctx context.Context, namespace, serviceAccount string) error {
	return w.client.Create(ctx, &v1alpha1.PodIdentityAssociation{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: serviceAccount},
		Spec:       v1alpha1.PodIdentityAssociationSpec{RoleARN: "arn:aws:iam::111122223333:role/app"},
	})
}

// podOf is a pod with two containers. edit may be nil.
func podOf(serviceAccount string, edit func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"},
		Spec: corev1.PodSpec{ServiceAccountName: serviceAccount,
			InitContainers: []corev1.Container{{Name: "init", Image: "app.invalid/app:1"}},
			Containers:     []corev1.Container{{Name: "app", Image: "app.invalid/app:1"}}},
	}
	if edit != nil {
		edit(pod)
	}
	return pod
}

// dryRun makes a pod that is not kept.
func (w *world) dryRun(t testing.TB, namespace, serviceAccount string) error {
	_, err := w.try(t, namespace, podOf(serviceAccount, nil))
	return err
}

func (w *world) try(t testing.TB, namespace string, pod *corev1.Pod) (*corev1.Pod, error) {
	return w.pods.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// complete tells whether every container of a pod has what AWS SDKs need.
func complete(pod *corev1.Pod) bool {
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "eks-pod-identity-token" }) {
		return false
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, name := range []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_REGION"} {
			if !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name }) {
				return false
			}
		}
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "eks-pod-identity-token" && m.ReadOnly }) {
			return false
		}
	}
	return true
}

// await polls until it is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
