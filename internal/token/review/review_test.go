package review_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/review"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// apiServer answers every review alike. The real one is in test/kubernetes.
type apiServer struct {
	status authenticationv1.TokenReviewStatus
	err    error
	asked  []authenticationv1.TokenReviewSpec
}

func (a *apiServer) Create(_ context.Context, r *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	a.asked = append(a.asked, r.Spec)
	return &authenticationv1.TokenReview{Status: a.status}, a.err
}

// authenticated is what an API server says of a pod's token.
func authenticated() *apiServer {
	return &apiServer{status: authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{identity.Audience},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:default:demo-app-sa", UID: "sa-uid",
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"demo-app-0"}, "authentication.kubernetes.io/pod-uid": {"p-uid"},
				"authentication.kubernetes.io/node-name": {"node-1"}, "authentication.kubernetes.io/node-uid": {"n-uid"},
				"authentication.kubernetes.io/credential-id": {"JTI=7a"},
			},
		},
	}}
}

func mint(t testing.TB, expires time.Time) string {
	t.Helper()
	// A key of the test's own: what a review says is all that counts.
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(jwt.Claims{Expiry: jwt.NewNumericDate(expires)}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	// claimedTimes reads what an API server may have signed.
	_, rest, _ := strings.Cut(raw, ".")
	return "eyJhbGciOiJSUzI1NiJ9." + rest
}

func verifier(t testing.TB, a review.Reviews) *review.Verifier {
	t.Helper()
	v, err := review.New(review.Config{Cluster: "example-cluster", Reviews: a, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	a := authenticated()
	raw := mint(t, now.Add(time.Hour))
	got, err := verifier(t, a).Verify(t.Context(), "example-cluster", raw)
	want := identity.Subject{
		Namespace: "default", ServiceAccount: "demo-app-sa", ServiceAccountUID: "sa-uid", PodName: "demo-app-0", PodUID: "p-uid",
		NodeName: "node-1", NodeUID: "n-uid", TokenID: "7a", Expires: now.Add(time.Hour),
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(a.asked) != 1 || a.asked[0].Token != raw || len(a.asked[0].Audiences) != 1 || a.asked[0].Audiences[0] != "pods.eks.amazonaws.com" {
		t.Errorf("asked %+v", a.asked)
	}
}

func TestVerifyRefuses(t *testing.T) {
	good, expired := mint(t, now.Add(time.Hour)), mint(t, now.Add(-time.Second))
	for name, c := range map[string]struct {
		token  string
		change func(*apiServer)
		kind   identity.Kind
	}{
		"not authenticated": {good, func(a *apiServer) { a.status.Authenticated = false }, identity.InvalidToken},
		"expired":           {expired, func(a *apiServer) { a.status.Authenticated = false }, identity.ExpiredToken},
		"no audience":       {good, func(a *apiServer) { a.status.Audiences = nil }, identity.InvalidToken},
		"another audience":  {good, func(a *apiServer) { a.status.Audiences = []string{"sts.amazonaws.com"} }, identity.InvalidToken},
		"a user":            {good, func(a *apiServer) { a.status.User.Username = "alice" }, identity.InvalidToken},
		"too many colons":   {good, func(a *apiServer) { a.status.User.Username += ":x" }, identity.InvalidToken},
		"no name":           {good, func(a *apiServer) { a.status.User.Username = "system:serviceaccount:default:" }, identity.InvalidToken},
		"no namespace":      {good, func(a *apiServer) { a.status.User.Username = "system:serviceaccount::sa" }, identity.InvalidToken},
		"no uid":            {good, func(a *apiServer) { a.status.User.UID = "" }, identity.InvalidToken},
		"no pod":            {good, func(a *apiServer) { delete(a.status.User.Extra, "authentication.kubernetes.io/pod-name") }, identity.InvalidToken},
		"no pod uid":        {good, func(a *apiServer) { delete(a.status.User.Extra, "authentication.kubernetes.io/pod-uid") }, identity.InvalidToken},
		"two pods": {good, func(a *apiServer) {
			a.status.User.Extra["authentication.kubernetes.io/pod-uid"] = []string{"p-uid", "other"}
		}, identity.InvalidToken},
		"no expiry":     {"a.b.c", nil, identity.InvalidToken},
		"not a token":   {"a.b", nil, identity.InvalidRequest},
		"too long":      {"a.b." + strings.Repeat("c", 16<<10), nil, identity.InvalidRequest},
		"a line break":  {"a.b.c\n", nil, identity.InvalidRequest},
		"API server is": {good, func(a *apiServer) { a.err = errors.New("connection refused") }, identity.Unavailable},
	} {
		a := authenticated()
		if c.change != nil {
			c.change(a)
		}
		got, err := verifier(t, a).Verify(t.Context(), "example-cluster", c.token)
		if identity.KindOf(err) != c.kind || got != (identity.Subject{}) {
			t.Errorf("%s: got %+v, %v, want %v", name, got, err, c.kind)
		}
	}
	if _, err := verifier(t, authenticated()).Verify(t.Context(), "other", good); identity.KindOf(err) != identity.NotFound {
		t.Errorf("another cluster: %v", err)
	}
}

// pods finds one pod, or fails.
func pods(pod review.Pod, err error) review.Pods {
	return func(context.Context, string, string) (review.Pod, error) { return pod, err }
}

func TestThePodMustExist(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "demo-app-0")
	here := review.Pod{UID: "p-uid", NodeName: "node-1"}
	never := func(context.Context, string, string) (review.Pod, error) {
		t.Error("the pod was read, though it is known")
		return review.Pod{}, gone
	}
	for name, c := range map[string]struct {
		known, read review.Pods
		nodeless    bool // the token names no node
		kind        identity.Kind
		node        string
	}{
		"there":               {nil, pods(here, nil), false, 0, "node-1"},
		"gone":                {nil, pods(review.Pod{}, gone), false, identity.InvalidToken, ""},
		"another of its name": {nil, pods(review.Pod{UID: "other"}, nil), false, identity.InvalidToken, ""},
		"on another node":     {nil, pods(review.Pod{UID: "p-uid", NodeName: "node-2"}, nil), false, identity.InvalidToken, ""},
		"ending":              {nil, pods(review.Pod{UID: "p-uid", EndsAt: now.Add(30 * time.Second)}, nil), false, 0, "node-1"},
		"just ended":          {nil, pods(review.Pod{UID: "p-uid", EndsAt: now.Add(-59 * time.Second)}, nil), false, 0, "node-1"},
		"long ended":          {nil, pods(review.Pod{UID: "p-uid", EndsAt: now.Add(-61 * time.Second)}, nil), false, identity.InvalidToken, ""},
		"API server away":     {nil, pods(review.Pod{}, errors.New("refused")), false, identity.Unavailable, ""},
		"node from the pod":   {nil, pods(here, nil), true, 0, "node-1"},
		"not scheduled":       {nil, pods(review.Pod{UID: "p-uid"}, nil), true, 0, ""},

		"known":                    {pods(review.Pod{UID: "p-uid"}, nil), never, false, 0, "node-1"},
		"known, but not its node":  {pods(review.Pod{UID: "p-uid"}, nil), pods(here, nil), true, 0, "node-1"},
		"not known yet":            {pods(review.Pod{}, gone), pods(here, nil), false, 0, "node-1"},
		"known by an earlier life": {pods(review.Pod{UID: "other"}, nil), pods(here, nil), false, 0, "node-1"},
		"known no more":            {pods(review.Pod{}, gone), pods(review.Pod{}, gone), false, identity.InvalidToken, ""},
		"known to be long ended":   {pods(review.Pod{UID: "p-uid", EndsAt: now.Add(-2 * time.Minute)}, nil), never, false, identity.InvalidToken, ""},
	} {
		a := authenticated()
		if c.nodeless {
			delete(a.status.User.Extra, "authentication.kubernetes.io/node-name")
		}
		e := &review.Existing{Tokens: verifier(t, a), Known: c.known, Read: c.read, Now: func() time.Time { return now }}
		got, err := e.Verify(t.Context(), "example-cluster", mint(t, now.Add(time.Hour)))
		if c.kind != 0 && identity.KindOf(err) != c.kind || c.kind == 0 && err != nil || got.NodeName != c.node {
			t.Errorf("%s: node %q, %v", name, got.NodeName, err)
		}
	}
}

func TestNewNeedsTheAPIServer(t *testing.T) {
	if _, err := review.New(review.Config{Cluster: "c"}); err == nil {
		t.Error("made without an API server")
	}
	if _, err := review.New(review.Config{Reviews: authenticated()}); err == nil {
		t.Error("made without a cluster")
	}
}

// FuzzVerify: whatever is sent, a token that was not authenticated gives nothing.
func FuzzVerify(f *testing.F) {
	f.Add(mint(f, now.Add(time.Hour)))
	f.Add("eyJhbGciOiJub25lIn0.eyJleHAiOjF9.")
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjFlOTl9.c2ln")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		a := authenticated()
		a.status.Authenticated = false
		got, err := verifier(t, a).Verify(t.Context(), "example-cluster", raw)
		switch identity.KindOf(err) {
		case identity.InvalidToken, identity.ExpiredToken, identity.InvalidRequest:
		default:
			t.Errorf("%q: %v", raw, err)
		}
		if got != (identity.Subject{}) {
			t.Errorf("%q: %+v", raw, got)
		}
	})
}
