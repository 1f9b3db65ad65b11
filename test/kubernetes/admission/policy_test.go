package admission_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/test/kubernetes/cluster"
)

func TestFailClosedOnNewest(t *testing.T) { failsClosed(t, cluster.Newest) }
func TestFailClosedOnOlder(t *testing.T)  { failsClosed(t, cluster.Older) }

// failsClosed takes the webhook away: service accounts with an association get
// no pods that lack it, and everything else starts.
func failsClosed(t *testing.T, release cluster.Release) {
	w := start(t, cluster.Options{Release: release})
	for _, namespace := range []string{"shop", "podid-system", "podid-agent"} {
		w.Namespace(t, namespace)
	}
	w.ServiceAccount(t, "default", "default")
	for _, namespace := range []string{"shop", "podid-system", "podid-agent", "kube-system"} {
		w.ServiceAccount(t, namespace, "app")
		w.ServiceAccount(t, namespace, "none")
		w.associate(t, namespace, "app")
	}
	w.associate(t, "shop", "other") // the policy has more than one to look at
	w.ServiceAccount(t, "default", "app")
	w.applyPolicy(t)
	w.hook(t, "https://127.0.0.1:1", nil) // where nothing listens
	await(t, "the policy is in force", func() bool { return w.dryRun(t, "shop", "app") != nil })

	for name, test := range map[string]struct {
		namespace, account string
		edit               func(*corev1.Pod)
		refused            bool
	}{
		"with an association":              {"shop", "app", nil, true},
		"without one":                      {"shop", "none", nil, false},
		"in a namespace without any":       {"default", "app", nil, false},
		"in kube-system":                   {"kube-system", "app", nil, false},
		"in podid's namespace":             {"podid-system", "app", nil, false},
		"in the agents' namespace":         {"podid-agent", "app", nil, false},
		"labelled":                         {"shop", "app", func(p *corev1.Pod) { p.Labels = map[string]string{"eks.amazonaws.com/skip-pod-identity-webhook": ""} }, false},
		"another label":                    {"shop", "app", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "app"} }, true},
		"marked by hand, as it would be":   {"shop", "app", func(p *corev1.Pod) { p.Labels = map[string]string{"podid.dev/no-association": "true"} }, false},
		"all containers skipped":           {"shop", "app", skip(`"app", init`), false},
		"one container skipped":            {"shop", "app", skip("app"), true},
		"with variables of its own":        {"shop", "app", setURI(true), false},
		"with variables of its own in one": {"shop", "app", setURI(false), true},
	} {
		_, err := w.try(t, test.namespace, podOf(test.account, test.edit))
		if (err != nil) != test.refused {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "service account app has a pod identity association")) {
			t.Errorf("%s: refused with %v", name, err)
		}
	}

	t.Run("the webhook is back", func(t *testing.T) {
		w.serve(t, w.replica(t, w.Config))
		pod, err := w.try(t, "shop", podOf("app", nil))
		if err != nil || !complete(pod) {
			t.Errorf("%v: %+v", err, pod)
		}
	})
	t.Run("marks where there are many associations", func(t *testing.T) {
		w.serve(t, w.replica(t, w.Config))
		w.ServiceAccount(t, w.Namespace(t, "crowd"), "none")
		marked := func(namespace string) bool {
			pod, err := w.try(t, namespace, podOf("none", nil))
			return err == nil && pod.Labels[admission.UnassociatedLabel] != "" && !complete(pod)
		}
		for i := range 16 {
			if marked("crowd") {
				t.Errorf("marked among %d", i)
			}
			w.associate(t, "crowd", fmt.Sprintf("app-%d", i))
		}
		await(t, "pods without an association are marked", func() bool { return marked("crowd") })
		if marked("shop") {
			t.Error("marked among few")
		}
	})
	t.Run("an association that is being deleted", func(t *testing.T) {
		w.ServiceAccount(t, "shop", "other")
		patch(t, w, "other", `{"metadata":{"finalizers":["example.test/wait"]}}`)
		if err := w.client.Delete(t.Context(), association("other")); err != nil {
			t.Fatal(err)
		}
		await(t, "its pods start", func() bool { return w.dryRun(t, "shop", "other") == nil })
		patch(t, w, "other", `{"metadata":{"finalizers":null}}`)
	})
	t.Run("the kind is gone", func(t *testing.T) {
		await(t, "the policy is in force without the webhook", func() bool { return w.dryRun(t, "shop", "app") != nil })
		crd := &unstructured.Unstructured{}
		crd.SetAPIVersion("apiextensions.k8s.io/v1")
		crd.SetKind("CustomResourceDefinition")
		crd.SetName("podidentityassociations.podid.dev")
		if err := w.client.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		await(t, "pods start", func() bool { return w.dryRun(t, "shop", "app") == nil })
	})
}

func association(name string) *v1alpha1.PodIdentityAssociation {
	return &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
}

func patch(t *testing.T, w *world, name, text string) {
	t.Helper()
	if err := w.client.Patch(t.Context(), association(name), client.RawPatch("application/merge-patch+json", []byte(text))); err != nil {
		t.Fatal(err)
	}
}

func skip(names string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Annotations = map[string]string{"eks.amazonaws.com/skip-containers": names}
	}
}

// setURI sets the agent's address in all containers, or in the first alone.
func setURI(all bool) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		uri := []corev1.EnvVar{{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: "http://127.0.0.1/"}}
		p.Spec.Containers[0].Env = uri
		if all {
			p.Spec.InitContainers[0].Env = uri
		}
	}
}
