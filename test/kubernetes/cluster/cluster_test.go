package cluster_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// TestNewest is a control plane as clusters have it.
func TestNewest(t *testing.T) {
	began := time.Now()
	c := cluster.Start(t, cluster.Options{Controllers: true})
	t.Logf("started in %v", time.Since(began))
	tries(t, c, "v1.37.")
}

// TestOlder has the API server of an older release.
func TestOlder(t *testing.T) {
	began := time.Now()
	c := cluster.Start(t, cluster.Options{Release: cluster.Older})
	t.Logf("started in %v", time.Since(began))
	tries(t, c, "v1.34.")
}

func tries(t *testing.T, c *cluster.Cluster, version string) {
	v, err := c.Client(t).ServerVersion()
	if err != nil || !strings.HasPrefix(v.GitVersion, version) {
		t.Errorf("version %v: %v", v, err)
	}
	ns := c.Namespace(t, "shop")
	c.ServiceAccount(t, ns, "app")
	t.Run("tokens", func(t *testing.T) { triesTokens(t, c, ns) })
	t.Run("users", func(t *testing.T) { triesUsers(t, c, ns) })
	t.Run("webhooks", func(t *testing.T) { triesWebhooks(t, c, ns) })
	t.Run("custom resources", func(t *testing.T) { triesCustomResources(t, c) })
}

// triesTokens: a pod's token names the pod and its node, and dies with the pod.
func triesTokens(t *testing.T, c *cluster.Cluster, ns string) {
	c.Node(t, "node-1")
	pod := c.Pod(t, ns, "web", "app", "node-1")
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Projected != nil }) {
		t.Error("ServiceAccount admission is off: the pod has no token volume")
	}
	// An API server remembers for 10 s what it said of a token; hence two.
	first, second := c.Token(t, ns, "app", "web", identity.Audience), c.Token(t, ns, "app", "web", identity.Audience)
	review := func(raw string) authenticationv1.TokenReviewStatus {
		r, err := c.Client(t).AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: raw, Audiences: []string{identity.Audience}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	got := review(first)
	if !got.Authenticated || got.User.Username != "system:serviceaccount:shop:app" ||
		got.User.Extra["authentication.kubernetes.io/pod-uid"][0] != string(pod.UID) || got.User.Extra["authentication.kubernetes.io/node-name"][0] != "node-1" {
		t.Errorf("reviewed: %+v", got)
	}
	now := int64(0)
	if err := c.Client(t).CoreV1().Pods(ns).Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	if got := review(second); got.Authenticated {
		t.Error("the token outlives its pod")
	}
}

// triesUsers: RBAC judges whoever is not the administrator.
func triesUsers(t *testing.T, c *cluster.Cluster, ns string) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig(t, "alice", "developers"))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("without a role: %v", err)
	}
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: see-pods, namespace: `+ns+`}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developers, namespace: `+ns+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: see-pods}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers}]
`)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // RBAC's own informers
		_, err := alice.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// triesWebhooks: the API server calls a webhook on loopback.
func triesWebhooks(t *testing.T, c *cluster.Cluster, ns string) {
	asked := make(chan string, 10)
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&review); err != nil {
			t.Error(err)
		}
		asked <- review.Request.Name
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: false, Result: &metav1.Status{Message: "not by me"}}
		json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(hook.Close)
	c.Apply(t, webhook(t, hook))
	defer c.Client(t).AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), "hook", metav1.DeleteOptions{})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, err := c.Client(t).CoreV1().ConfigMaps(ns).Create(t.Context(), configMap("refused"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), "not by me") {
			if name := <-asked; name != "refused" {
				t.Errorf("asked about %q", name)
			}
			return
		}
	}
	t.Error("the webhook was never asked")
}

// triesCustomResources: as soon as Apply returns.
func triesCustomResources(t *testing.T, c *cluster.Cluster) {
	c.Apply(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.test}
spec:
  group: example.test
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-validations: [{rule: "self.size > 0"}], properties: {size: {type: integer}}}}}}
---
apiVersion: example.test/v1
kind: Thing
metadata: {name: one, namespace: default}
spec: {size: 1}
`)
}

// TestKilled kills a process that has started a control plane: nothing of it
// goes on, and the next one removes what it left.
func TestKilled(t *testing.T) {
	if os.Getenv("PODID_TEST_TO_BE_KILLED") != "" {
		c := cluster.Start(t, cluster.Options{})
		os.Stdout.WriteString("folder " + c.Folder + "\n")
		select {}
	}
	self := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
	self.Env = append(os.Environ(), "PODID_TEST_TO_BE_KILLED=1")
	out, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	folder := readFolder(t, out)
	if len(running(t, folder)) != 2 {
		t.Fatalf("etcd and the API server should run: %v", running(t, folder))
	}
	self.Process.Kill()
	self.Wait()
	for end := time.Now().Add(10 * time.Second); len(running(t, folder)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still running: %v", running(t, folder))
		}
	}
	cluster.Start(t, cluster.Options{})
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", folder, err)
	}
}
