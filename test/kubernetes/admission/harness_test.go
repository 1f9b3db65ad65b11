// Package admission_test tries the webhook, and the policy that stands in for
// it, on a real API server.
package admission_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/api/v1alpha1"
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
	w.Apply(t, read(t, "crds/podid.dev_podidentityassociations.yaml"))
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

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../../charts/podid/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	clientConfig = regexp.MustCompile(`(?m)^ *\{\{- include "podid.clientConfig".*\n`)
	annotations  = regexp.MustCompile(`(?m)^ *\{\{- with(.|\n)*?\{\{- end \}\}\n`)
	labels       = regexp.MustCompile(`(?m)^ *labels:\n *\{\{.*\n`)
)

// template fills in one of the chart's templates, as far as it says what the API
// server does; the chart's own tests render it with Helm.
func template(t testing.TB, file, hook string) string {
	t.Helper()
	text := annotations.ReplaceAllString(labels.ReplaceAllString(read(t, "templates/"+file), ""), "")
	text = clientConfig.ReplaceAllLiteralString(text, hook)
	text = strings.NewReplacer("{{ .Release.Namespace }}", "podid", "{{ .Values.agent.namespace }}", "podid-agent").Replace(text)
	if strings.Contains(text, "{{") {
		t.Fatalf("%s has more in it than this test fills in:\n%s", file, text)
	}
	return text
}

// replica is a webhook as each replica of podid has it, with an informer of its own.
func (w *world) replica(t testing.TB, watch *rest.Config) http.Handler {
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
	webhook, err := admission.New(admission.Config{Associations: store, Settings: admission.Settings{Region: "us-west-2", RegionalSTS: true}})
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Handler()
}

// front hands requests to replicas in turn, as a Service does with connections.
type front struct {
	replicas []http.Handler
	n        atomic.Uint64
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.replicas[f.n.Add(1)%uint64(len(f.replicas))].ServeHTTP(w, r)
}

// serve serves h over TLS and has the API server call it, as the chart says. It
// returns once that happens.
func (w *world) serve(t testing.TB, h http.Handler) {
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
}

// hook has the API server call a URL.
func (w *world) hook(t testing.TB, url string, authority []byte) {
	t.Helper()
	w.Apply(t, template(t, "webhook-mutating.yaml", fmt.Sprintf("      url: %s/mutate-pods\n      caBundle: %s\n", url, base64.StdEncoding.EncodeToString(authority))))
	t.Cleanup(func() {
		if err := w.pods.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), "podid", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
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
