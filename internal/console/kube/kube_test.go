package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/certificate"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// judge is an API server as far as reviews go: a token is its user's name, and
// allowed has what they may, as "USER VERB RESOURCE NAMESPACE".
type judge struct {
	mu      sync.Mutex
	allowed map[string]bool
	away    bool
	tokens  int
	asked   []string
}

type tokens struct{ *judge }

func (j tokens) Create(_ context.Context, r *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tokens++
	if j.away {
		return nil, errors.New("connection refused")
	}
	if name, ok := strings.CutPrefix(r.Spec.Token, "of-"); ok && len(r.Spec.Audiences) == 0 {
		r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: name, Groups: []string{"people"}}}
	}
	return r, nil
}

type access struct{ *judge }

func (j access) Create(_ context.Context, r *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.away {
		return nil, errors.New("connection refused")
	}
	a := r.Spec.ResourceAttributes
	question := strings.TrimSpace(strings.Join([]string{r.Spec.User, a.Verb, a.Resource, a.Namespace}, " "))
	j.asked = append(j.asked, question)
	r.Status.Allowed = j.allowed[question] && (a.Group == "podid.dev") == (a.Resource != "pods")
	return r, nil
}

func users(t *testing.T, j *judge) *Users {
	t.Helper()
	u, err := New(Config{
		Cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"}, API: &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "podid's own"},
		Scheme: runtime.NewScheme(), Live: struct{ client.Client }{}, Tokens: tokens{j}, Access: access{j},
		Object:     func(string, string) *v1alpha1.PodIdentityAssociation { return nil },
		Namespaces: func() []string { return []string{"bank", "shop"} },
		Pods:       func(context.Context, string, string) ([]console.Pod, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func as(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", token)
	return r
}

func TestWhoAsks(t *testing.T) {
	j := &judge{}
	u := users(t, j)
	for _, header := range []string{"", "Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "bearer of-alice", "Bearer " + strings.Repeat("x", maxToken+1)} {
		if _, err := u.User(as(header)); identity.KindOf(err) != identity.Unauthenticated {
			t.Errorf("%.30q: %v", header, err)
		}
	}
	if j.tokens != 0 {
		t.Errorf("the API server was asked %d times about what is no token", j.tokens)
	}
	if _, err := u.User(as("Bearer nonsense")); identity.KindOf(err) != identity.Unauthenticated {
		t.Errorf("%v", err)
	}
	who, err := u.User(as("Bearer of-alice"))
	if err != nil || who.Name() != "alice" || who.ARN() != "arn:aws:eks:us-west-2:111122223333:user/c/alice" {
		t.Errorf("%v, %v", who, err)
	}
	j.away = true
	if _, err := u.User(as("Bearer of-bob")); identity.KindOf(err) != identity.Unavailable {
		t.Errorf("%v", err)
	}
}

// TestRemembered: for ten seconds, neither the token nor what its user may is
// asked about again; what could not be asked is.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &judge{allowed: map[string]bool{"alice list podidentityassociations": true}}
		u := users(t, j)
		scope := func() console.Scope {
			t.Helper()
			who, err := u.User(as("Bearer of-alice"))
			if err != nil {
				t.Fatal(err)
			}
			s, err := who.Scope(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		for range 3 {
			if !scope().All {
				t.Error("not all")
			}
		}
		if j.tokens != 1 || len(j.asked) != 1 {
			t.Errorf("%d tokens, asked %v", j.tokens, j.asked)
		}
		j.allowed = nil
		time.Sleep(rememberFor)
		if s := scope(); s.All || len(s.Namespaces) != 0 || j.tokens != 2 {
			t.Errorf("%+v after ten seconds, %d tokens", s, j.tokens)
		}
		time.Sleep(rememberFor)
		who, err := u.User(as("Bearer of-alice"))
		if err != nil {
			t.Fatal(err)
		}
		j.away = true
		if _, err := who.Scope(t.Context()); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("%v", err)
		}
		j.away = false
		if _, err := who.Scope(t.Context()); err != nil {
			t.Errorf("a failure is remembered: %v", err)
		}
	})
}

func TestWhatUsersMay(t *testing.T) {
	j := &judge{allowed: map[string]bool{}}
	for _, what := range []string{
		"alice list podidentityassociations shop", "alice create podidentityassociations shop", "alice patch podidentityassociations shop",
		"carol list podidentityassociations", "carol list auditevents", "carol get health",
	} {
		j.allowed[what] = true
	}
	u := users(t, j)
	for name, want := range map[string]struct {
		scope    string
		may      console.May
		activity bool
	}{
		"alice":  {"shop", console.May{Create: true, Update: true, Explain: true}, false},
		"carol":  {"all", console.May{Activity: true, Health: true, Explain: true}, true},
		"nobody": {"", console.May{Explain: true}, false},
	} {
		who, err := u.User(as("Bearer of-" + name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := who.Scope(t.Context())
		got := ""
		if s.All {
			got = "all"
		}
		for namespace := range s.Namespaces {
			got += namespace
		}
		may, err2 := who.May(t.Context(), "")
		_, err3 := who.Activity(t.Context())
		if err != nil || got != want.scope || err2 != nil || may != want.may || (err3 == nil) != want.activity {
			t.Errorf("%s sees %s, may %+v: %v, %v, %v", name, got, may, err, err2, err3)
		}
	}
}

func TestRecordOf(t *testing.T) {
	of := func(conditions ...v1alpha1.Condition) *v1alpha1.PodIdentityAssociation {
		o := &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", UID: "1", Generation: 2}}
		o.Status.Conditions = conditions
		return o
	}
	ready := func(s metav1.ConditionStatus) v1alpha1.Condition {
		return v1alpha1.Condition{Type: v1alpha1.ConditionReady, Status: s, ObservedGeneration: 2, Message: "a rule"}
	}
	verified := func(s metav1.ConditionStatus, generation int64) v1alpha1.Condition {
		return v1alpha1.Condition{Type: v1alpha1.ConditionChainVerified, Status: s, ObservedGeneration: generation, Message: "Hop 2, arn: no"}
	}
	for name, c := range map[string]struct {
		o      *v1alpha1.PodIdentityAssociation
		state  console.State
		reason string
		hop    int
	}{
		"nothing is known": {of(), console.Unknown, "", 0},
		"it works":         {of(ready("True"), verified("True", 2)), console.Working, "", 0},
		"refused":          {of(ready("True"), verified("False", 2)), console.Failing, "Hop 2, arn: no", 2},
		"of what it was":   {of(verified("False", 1)), console.Unknown, "", 0},
		"a rule, first":    {of(ready("False"), verified("True", 2)), console.NotReady, "a rule", 0},
		"a rule, last":     {of(verified("False", 2), ready("False")), console.NotReady, "a rule", 2},
	} {
		if r := RecordOf(identity.Cluster{}, c.o); r.State != c.state || r.StateReason != c.reason || r.FailedHop != c.hop {
			t.Errorf("%s: %s %q %d", name, r.State, r.StateReason, r.FailedHop)
		}
	}
	flux := of()
	flux.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps", "app.kubernetes.io/managed-by": "Helm"}
	if m := RecordOf(identity.Cluster{}, flux).ManagedBy; m != "Flux" {
		t.Errorf("managed by %q", m)
	}
}

func TestFailures(t *testing.T) {
	kind := schema.GroupResource{Group: "podid.dev", Resource: "podidentityassociations"}
	webhook := apierrors.NewForbidden(kind, "app", errors.New("x"))
	webhook.ErrStatus.Message = `admission webhook "associations.podid.dev" denied the request: you may not pass it`
	for name, c := range map[string]struct {
		err  error
		kind identity.Kind
		text string
	}{
		"RBAC":       {apierrors.NewForbidden(kind, "app", errors.New("no")), identity.AccessDenied, "forbidden"},
		"a webhook":  {webhook, identity.AccessDenied, "you may not pass it"},
		"a schema":   {apierrors.NewInvalid(schema.GroupKind{Group: "podid.dev", Kind: "X"}, "app", nil), identity.InvalidParameter, "invalid"},
		"a conflict": {apierrors.NewConflict(kind, "app", errors.New("x")), identity.InUse, "somebody else"},
		"gone":       {apierrors.NewNotFound(kind, "app"), identity.NotFound, "not found"},
		"expired":    {apierrors.NewUnauthorized("x"), identity.Unauthenticated, "token"},
		"busy":       {apierrors.NewTooManyRequests("x", 3), identity.Throttled, "busy"},
		"away":       {errors.New("dial tcp 10.0.0.1:443: connect"), identity.Unavailable, "does not answer"},
		"ours":       {identity.Errorf(identity.InUse, "as it is"), identity.InUse, "as it is"},
	} {
		err := failure(c.err)
		if identity.KindOf(err) != c.kind || !strings.Contains(identity.SafeMessage(err), c.text) || strings.Contains(identity.SafeMessage(err), "10.0.0.1") {
			t.Errorf("%s: %v %q", name, identity.KindOf(err), identity.SafeMessage(err))
		}
	}
	if strings.Contains(identity.SafeMessage(failure(webhook)), "admission webhook") {
		t.Error("the envelope of the webhook's text is told")
	}
}

func TestEvents(t *testing.T) {
	at := func(minute int) metav1.Time { return metav1.NewTime(time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)) }
	list := &corev1.EventList{Items: []corev1.Event{
		{Reason: "Old", Type: "Normal", FirstTimestamp: at(1), LastTimestamp: at(2), Count: 3},
		{Reason: "New", Type: "Warning", EventTime: metav1.NewMicroTime(at(3).Time), Series: &corev1.EventSeries{Count: 5, LastObservedTime: metav1.NewMicroTime(at(9).Time)}},
	}}
	got := eventsOf(list)
	if got[0].Reason != "New" || got[0].Count != 5 || !got[0].LastSeen.Equal(at(9).Time) || !got[0].FirstSeen.Equal(at(3).Time) || got[1].Count != 3 {
		t.Errorf("%+v", got)
	}
}

// TestPeers: a user's token goes to who serves with this replica's own
// certificate, and to nobody else.
func TestPeers(t *testing.T) {
	var mu sync.Mutex
	shown := map[string]string{}
	start := func(name string) *httptest.Server {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			shown[name] = r.Header.Get("Authorization")
			if strings.HasSuffix(r.URL.Path, "/name") {
				w.Write([]byte(`"` + name + `"`))
				return
			}
			w.Write([]byte(`"` + r.URL.RawQuery + `"`))
		}))
		t.Cleanup(s.Close)
		return s
	}
	self, other := start("self"), start("other")
	own := self.TLS.Certificates[0]
	p := &Peers{
		Addresses: []string{self.Listener.Addr().String(), other.Listener.Addr().String(), "no-such-name.invalid:1"}, Self: "self",
		Replicas: certificate.Peers{Current: func() (*tls.Certificate, error) { return &own, nil }},
	}
	ask := func() map[string]console.PeerAnswer {
		answers := map[string]console.PeerAnswer{}
		for _, a := range p.Ask(t.Context(), "Bearer secret", "/activity", func(name string) url.Values { return url.Values{"of": {name}} }) {
			answers[a.Peer] = a
		}
		return answers
	}
	answers := ask()
	if a := answers["other"]; len(answers) != 2 || a.Err != nil || string(a.Body) != `"of=other"` {
		t.Errorf("%+v", answers)
	}
	if answers["no-such-name.invalid:1"].Err == nil {
		t.Error("a name that is none has answered")
	}
	// Somebody else at the address of a replica.
	thief := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		shown["thief"] = r.Header.Get("Authorization")
	}))
	thief.TLS = &tls.Config{Certificates: []tls.Certificate{foreign(t)}}
	thief.StartTLS()
	defer thief.Close()
	p.Addresses = []string{thief.Listener.Addr().String()}
	answers = ask()
	mu.Lock()
	defer mu.Unlock()
	if len(answers) != 1 || answers[p.Addresses[0]].Err == nil || shown["thief"] != "" || shown["other"] != "Bearer secret" {
		t.Errorf("%+v, shown %v", answers, shown)
	}
}

// foreign is a certificate of another key.
func foreign(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}
