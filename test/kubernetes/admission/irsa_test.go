package admission_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/podid/podid/test/kubernetes/cluster"
)

// TestIRSAGivesWay has another webhook inject for IRSA, after podid's and before
// it: the association wins, and whoever makes the pod is told.
func TestIRSAGivesWay(t *testing.T) {
	w := start(t, cluster.Options{})
	w.ServiceAccount(t, "default", "default")
	w.ServiceAccount(t, w.Namespace(t, "shop"), "app")
	w.ServiceAccount(t, "shop", "irsa")
	w.associate(t, "shop", "app")
	w.serve(t, w.replica(t, w.Config))
	told := &warnings{}
	config := rest.CopyConfig(w.Config)
	config.WarningHandler = told
	var err error
	if w.pods, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zz-after-podid", "aa-before-podid"} { // they are asked in the order of their names
		t.Run(name, func(t *testing.T) {
			w.injectIRSA(t, name)
			await(t, "the other webhook is asked", func() bool {
				pod, err := w.try(t, "shop", podOf("irsa", nil))
				return err == nil && hasIRSA(pod)
			})
			told.take()
			pod, err := w.try(t, "shop", podOf("app", nil))
			if err != nil || !complete(pod) || hasIRSA(pod) {
				t.Errorf("%v: %+v", err, pod.Spec)
			}
			if all := told.take(); !strings.Contains(all, "IRSA annotation is not used") {
				t.Errorf("warnings: %q", all)
			}
		})
	}
}

// injectIRSA has the API server ask a webhook that does what the one for IRSA does.
func (w *world) injectIRSA(t *testing.T, name string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		if json.NewDecoder(r.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &pod) != nil {
			http.Error(rw, "no review of a pod", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if !hasIRSA(&pod) {
			kind := admissionv1.PatchTypeJSONPatch
			review.Response.PatchType, review.Response.Patch = &kind, irsaPatch(&pod)
		}
		json.NewEncoder(rw).Encode(review)
	}))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w.Apply(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %s}
webhooks:
- name: irsa.example.test
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {url: %q, caBundle: %s}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`, name, server.URL, base64.StdEncoding.EncodeToString(authority)))
	t.Cleanup(func() { w.forget(t, name) })
}

// irsaPatch writes containers and volumes anew, as that webhook does.
func irsaPatch(pod *corev1.Pod) []byte {
	const path = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
	c := &pod.Spec.Containers[0]
	c.Env = append(c.Env, corev1.EnvVar{Name: "AWS_ROLE_ARN", Value: "arn:aws:iam::111122223333:role/irsa"},
		corev1.EnvVar{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: path + "/token"})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "aws-iam-token", ReadOnly: true, MountPath: path})
	volumes := append([]corev1.Volume{{Name: "aws-iam-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "sts.amazonaws.com", Path: "token"}}},
	}}}}, pod.Spec.Volumes...)
	patch, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/spec/containers", "value": pod.Spec.Containers}, {"op": "add", "path": "/spec/volumes", "value": volumes}})
	if err != nil {
		return nil // then nothing is injected, which the test waits for
	}
	return patch
}

func hasIRSA(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "aws-iam-token" }) ||
		slices.ContainsFunc(pod.Spec.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == "AWS_WEB_IDENTITY_TOKEN_FILE" })
}

// warnings gathers what kubectl would print.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Join(w.all, "\n")
	w.all = nil
	return all
}
