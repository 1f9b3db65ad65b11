package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/identity"
)

// world is what a webhook may know: associations in memory, others that only
// the API server has, and an API server that may not answer.
type world struct {
	memory, stored map[string]string // "namespace/service account" to id
	err            error
	lookups        int
}

func (w *world) Known(namespace, serviceAccount string) (identity.Association, bool) {
	id, ok := w.memory[namespace+"/"+serviceAccount]
	return identity.Association{ID: id, Namespace: namespace, ServiceAccount: serviceAccount}, ok
}

func (w *world) Lookup(_ context.Context, namespace, serviceAccount string) (identity.Association, error) {
	w.lookups++
	if w.err != nil {
		return identity.Association{}, w.err
	}
	if id, ok := w.stored[namespace+"/"+serviceAccount]; ok {
		return identity.Association{ID: id}, nil
	}
	return identity.Association{}, identity.Errorf(identity.NotFound, "none")
}

func podOf(serviceAccount string) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"},
		Spec: corev1.PodSpec{ServiceAccountName: serviceAccount, Containers: []corev1.Container{{Name: "app", Image: "x"}}},
	}
}

func reviewOf(t testing.TB, pod *corev1.Pod) *admissionv1.AdmissionReview {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "u-1", Operation: admissionv1.Create, Namespace: "ns", Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object: runtime.RawExtension{Raw: raw},
		},
	}
}

// ask sends a review and returns the answer to it.
func ask(t testing.TB, h http.Handler, review *admissionv1.AdmissionReview) *admissionv1.AdmissionResponse {
	t.Helper()
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	recorder := post(h, "application/json", bytes.NewReader(body))
	answer := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(recorder.Body.Bytes(), answer); err != nil || recorder.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", recorder.Code, err, recorder.Body)
	}
	if answer.APIVersion != "admission.k8s.io/v1" || answer.Kind != "AdmissionReview" || answer.Response == nil || answer.Response.UID != review.Request.UID {
		t.Fatalf("not the answer to the review: %s", recorder.Body)
	}
	return answer.Response
}

func post(h http.Handler, contentType string, body io.Reader) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, admission.MutatePath, body)
	request.Header.Set("Content-Type", contentType)
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder
}

func newWebhook(t testing.TB, c admission.Config) *admission.Webhook {
	t.Helper()
	w, err := admission.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPods(t *testing.T) {
	labelled := podOf("known")
	labelled.Labels = map[string]string{admission.SkipLabel: "true"}
	elsewhere := reviewOf(t, podOf("known"))
	elsewhere.Request.Namespace = "other"
	update := reviewOf(t, podOf("known"))
	update.Request.Operation = admissionv1.Update
	status := reviewOf(t, podOf("known"))
	status.Request.SubResource = "status"
	down := identity.Errorf(identity.Unavailable, "down")

	for name, test := range map[string]struct {
		review   *admissionv1.AdmissionReview
		err      error // of the API server
		patched  bool
		outcome  string
		lookups  int
		warnings string
	}{
		"in memory":                           {reviewOf(t, podOf("known")), nil, true, "mutated", 0, ""},
		"in memory, and the API server fails": {reviewOf(t, podOf("known")), down, true, "mutated", 0, ""},
		"made a moment ago":                   {reviewOf(t, podOf("new")), nil, true, "mutated", 1, ""},
		"none":                                {reviewOf(t, podOf("none")), nil, false, "no_association", 1, ""},
		"nobody can say":                      {reviewOf(t, podOf("new")), down, false, "undetermined", 1, "could not find out whether service account new"},
		"an unforeseen failure":               {reviewOf(t, podOf("new")), errors.New("secret"), false, "undetermined", 1, "could not find out"},
		"of another namespace":                {elsewhere, nil, false, "no_association", 1, ""},
		"no service account":                  {reviewOf(t, podOf("")), nil, false, "skipped", 0, ""},
		"labelled":                            {reviewOf(t, labelled), nil, false, "skipped", 0, ""},
		"an update":                           {update, nil, false, "", 0, ""},
		"a subresource":                       {status, nil, false, "", 0, ""},
		"broken":                              {reviewOf(t, podOf("broken")), nil, true, "mutated", 0, "AWS refuses the credentials of association a-broken: hop 2"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := &world{
				memory: map[string]string{"ns/known": "a-known", "ns/broken": "a-broken"},
				stored: map[string]string{"ns/known": "a-known", "ns/broken": "a-broken", "ns/new": "a-new"},
				err:    test.err,
			}
			w := newWebhook(t, admission.Config{Associations: facts, Broken: func(a identity.Association) (string, bool) {
				return "hop 2" + strings.Repeat("ä", 500), a.ID == "a-broken"
			}})
			answer := ask(t, w.Handler(), test.review)
			if !answer.Allowed || (answer.Patch != nil) != test.patched || answer.AuditAnnotations["outcome"] != test.outcome || facts.lookups != test.lookups {
				t.Errorf("allowed %v, patch %s, annotations %v, %d lookups", answer.Allowed, answer.Patch, answer.AuditAnnotations, facts.lookups)
			}
			warnings := strings.Join(answer.Warnings, "\n")
			if (test.warnings == "") != (warnings == "") || !strings.Contains(warnings, test.warnings) || strings.Contains(warnings, "secret") {
				t.Errorf("warnings %q, want %q", warnings, test.warnings)
			}
			for _, warning := range answer.Warnings {
				if len(warning) > 256 || strings.ContainsRune(warning, '\uFFFD') {
					t.Errorf("a warning that clients cut off: %q", warning)
				}
			}
			if test.outcome != "" {
				pods := w.Metrics()[0].(*prometheus.CounterVec)
				if n := testutil.ToFloat64(pods.WithLabelValues(test.outcome)); n != 1 {
					t.Errorf("the outcome was counted %v times", n)
				}
			}
		})
	}
}

func TestAnnotationsOfTheServiceAccount(t *testing.T) {
	w := newWebhook(t, admission.Config{
		Associations: &world{memory: map[string]string{"ns/known": "a-1"}},
		Annotations: func(namespace, name string) map[string]string {
			return map[string]string{"eks.amazonaws.com/token-expiration": map[string]string{"ns/known": "1234"}[namespace+"/"+name]}
		},
	})
	if answer := ask(t, w.Handler(), reviewOf(t, podOf("known"))); !strings.Contains(string(answer.Patch), `"expirationSeconds":1234`) {
		t.Errorf("patch %s", answer.Patch)
	}
}

// TestCurrentMemoryNeedsNoRead: and it is found out before memory is looked into.
func TestCurrentMemoryNeedsNoRead(t *testing.T) {
	facts := &world{memory: map[string]string{}, stored: map[string]string{"ns/made": "a-1"}}
	current := true
	w := newWebhook(t, admission.Config{Associations: facts, Current: func(key string) bool {
		if key == "ns/late" { // its association reaches memory now
			facts.memory[key] = "a-2"
		}
		return current
	}})
	outcome := func(name string) string {
		return ask(t, w.Handler(), reviewOf(t, podOf(name))).AuditAnnotations["outcome"]
	}
	if got := outcome("none"); got != "no_association" || facts.lookups != 0 {
		t.Errorf("%s with %d reads", got, facts.lookups)
	}
	if got := outcome("late"); got != "mutated" {
		t.Errorf("one that came while it was asked: %s", got)
	}
	current = false
	if got := outcome("made"); got != "mutated" || facts.lookups != 1 {
		t.Errorf("where memory is not current: %s with %d reads", got, facts.lookups)
	}
}

// TestMarks: pods without an association are marked where there are many, so
// that the policy need not look, and never where nobody could say.
func TestMarks(t *testing.T) {
	counts := map[string]int{"ns": 15, "other": 16}
	facts := &world{}
	handler := newWebhook(t, admission.Config{Associations: facts, Count: func(namespace string) int { return counts[namespace] }}).Handler()
	few, many := reviewOf(t, podOf("app")), reviewOf(t, podOf("app"))
	many.Request.Namespace = "other"
	if answer := ask(t, handler, few); answer.Patch != nil {
		t.Errorf("among few: %s", answer.Patch)
	}
	if answer := ask(t, handler, many); string(answer.Patch) != `[{"op":"add","path":"/metadata/labels","value":{"podid.dev/no-association":"true"}}]` {
		t.Errorf("among many: %s", answer.Patch)
	}
	facts.err = errors.New("down")
	if answer := ask(t, handler, many); answer.Patch != nil {
		t.Errorf("nobody could say: %s", answer.Patch)
	}
}

// TestHostileReviews: what is no review is no answer, so that the API server
// goes by the failure policy instead of refusing pods.
func TestHostileReviews(t *testing.T) {
	handler := newWebhook(t, admission.Config{Associations: &world{}}).Handler()
	noPod := reviewOf(t, podOf("x"))
	noPod.Request.Object.Raw = []byte(`{"spec":{"containers":7}}`)
	noPodText, _ := json.Marshal(noPod)
	beta := strings.Replace(string(noPodText), "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1)
	for name, test := range map[string]struct {
		contentType, body string
		want              int
	}{
		"empty":             {"application/json", "", http.StatusBadRequest},
		"not JSON":          {"application/json", "{", http.StatusBadRequest},
		"two values":        {"application/json", "{}{}", http.StatusBadRequest},
		"of another kind":   {"application/json", `{"apiVersion":"v1","kind":"Pod"}`, http.StatusBadRequest},
		"v1beta1":           {"application/json", beta, http.StatusBadRequest},
		"no request":        {"application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, http.StatusBadRequest},
		"no uid":            {"application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`, http.StatusBadRequest},
		"no pod":            {"application/json", string(noPodText), http.StatusBadRequest},
		"protobuf":          {"application/vnd.kubernetes.protobuf", string(noPodText), http.StatusBadRequest},
		"no content type":   {"", string(noPodText), http.StatusBadRequest},
		"more than allowed": {"application/json; charset=utf-8", `{"a":"` + strings.Repeat("a", 7<<20) + `"}`, http.StatusRequestEntityTooLarge},
		"deep":              {"application/json", strings.Repeat(`{"request":`, 20000), http.StatusBadRequest},
	} {
		recorder := post(handler, test.contentType, strings.NewReader(test.body))
		status := metav1.Status{}
		if err := json.Unmarshal(recorder.Body.Bytes(), &status); err != nil || recorder.Code != test.want {
			t.Errorf("%s: %d %s", name, recorder.Code, recorder.Body)
		} else if status.Kind != "Status" || status.Status != metav1.StatusFailure || int(status.Code) != test.want || status.Message == "" {
			t.Errorf("%s: not the Status of a failure: %s", name, recorder.Body)
		}
	}
	request := httptest.NewRequest(http.MethodGet, admission.MutatePath, nil)
	recorder := httptest.NewRecorder()
	if handler.ServeHTTP(recorder, request); recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", recorder.Code)
	}
}

func TestOneEventForEachPod(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	facts := &world{memory: map[string]string{"ns/known": "a-known"}}
	handler := newWebhook(t, admission.Config{Associations: facts, Logger: logger}).Handler()
	ask(t, handler, reviewOf(t, podOf("known")))
	ask(t, handler, reviewOf(t, podOf("none"))) // nothing to tell
	facts.err = fmt.Errorf("no route to host")
	ask(t, handler, reviewOf(t, podOf("none")))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), log.String())
	}
	for i, want := range []string{"level=INFO msg=pod outcome=mutated namespace=ns serviceAccount=known pod=app- association=a-known live=false", "level=WARN msg=pod outcome=undetermined"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("%s\nwant %s", lines[i], want)
		}
	}
	if !strings.Contains(lines[1], "no route to host") {
		t.Errorf("the cause is not in the log: %s", lines[1])
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := admission.New(admission.Config{}); err == nil {
		t.Error("a webhook without associations was made")
	}
}

func FuzzReview(f *testing.F) {
	text, err := json.Marshal(reviewOf(f, podOf("known")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","resource":{"version":"v1","resource":"pods"},"object":null}}`))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u"}}`))
	handler := newWebhook(f, admission.Config{Associations: &world{memory: map[string]string{"ns/known": "a-known"}}}).Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		recorder := post(handler, "application/json", bytes.NewReader(body))
		switch recorder.Code {
		case http.StatusOK:
			answer := &admissionv1.AdmissionReview{}
			if err := json.Unmarshal(recorder.Body.Bytes(), answer); err != nil || answer.Response == nil || answer.Response.UID == "" || !answer.Response.Allowed {
				t.Errorf("%v: %s", err, recorder.Body)
			}
		case http.StatusBadRequest:
		default:
			t.Errorf("%d: %s", recorder.Code, recorder.Body)
		}
	})
}
