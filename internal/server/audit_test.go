package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/rbac"
)

// reader is a user who may see the audit events of one namespace.
type reader struct{ namespace string }

func (r reader) ARN() string       { return "user/reader" }
func (r reader) AccountID() string { return "111122223333" }
func (r reader) Authorize(_ context.Context, access identity.Access) error {
	if access.Action == rbac.ListAuditEvents && access.Namespace == r.namespace {
		return nil
	}
	return identity.Errorf(identity.AccessDenied, "no: %+v", access)
}

func TestAuditEventsAreForWhomRBACAllows(t *testing.T) {
	s := &server{recent: audit.NewRing(10)}
	for _, namespace := range []string{"shop", "other"} {
		e := audit.New(time.Now(), audit.SourceEKSAuth, audit.AssumeRoleForPodIdentity)
		e.Subject = &audit.Subject{Namespace: namespace, PodName: "pod"}
		if err := s.recent.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		who    identity.Caller
		err    error
		query  string
		status int
		events int
	}{
		"all":               {reader{}, nil, "", 200, 2},
		"one's namespace":   {reader{"shop"}, nil, "?namespace=shop", 200, 1},
		"another namespace": {reader{"shop"}, nil, "?namespace=other", 403, 0},
		"beyond it":         {reader{"shop"}, nil, "", 403, 0},
		"what is not asked": {reader{}, nil, "?nope=1", 400, 0},
		"a bad cursor":      {reader{}, nil, "?before=x", 400, 0},
		"nobody":            {nil, identity.Errorf(identity.Unavailable, "away"), "", 503, 0},
		"unforeseen":        {nil, errors.New("boom"), "", 500, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h := s.auditEvents(func(*http.Request) (identity.Caller, error) { return c.who, c.err })
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, audit.Path+c.query, nil))
			var reply audit.Reply
			if err := json.NewDecoder(w.Body).Decode(&reply); err != nil || w.Code != c.status || len(reply.Events) != c.events {
				t.Errorf("status %d, %d events, %v", w.Code, len(reply.Events), err)
			}
		})
	}
}

// reviewOf answers TokenReviews.
type reviewOf func(token string) (authenticationv1.TokenReviewStatus, error)

func (f reviewOf) Create(_ context.Context, r *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	status, err := f(r.Spec.Token)
	r.Status = status
	return r, err
}

func TestUsersProveThemselvesByToken(t *testing.T) {
	users, err := rbac.New(rbac.Config{Reviews: nobodyReviews{}, Cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"}})
	if err != nil {
		t.Fatal(err)
	}
	away := false
	c := &callers{users: users, reviews: reviewOf(func(token string) (s authenticationv1.TokenReviewStatus, err error) {
		if away {
			return s, errors.New("away")
		}
		s.Authenticated, s.User.Username = token == "alice's", "alice"
		return s, nil
	})}
	ask := func(token string) (identity.Caller, error) {
		r := httptest.NewRequest(http.MethodGet, audit.Path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return c.ofUser(r)
	}
	if who, err := ask("alice's"); err != nil || who.ARN() != "arn:aws:eks:us-west-2:111122223333:user/c/alice" {
		t.Errorf("%v, %v", who, err)
	}
	for _, token := range []string{"", "another"} {
		if who, err := ask(token); err == nil {
			t.Errorf("%q is taken for %v", token, who.ARN())
		}
	}
	away = true
	if _, err := ask("alice's"); err == nil {
		t.Error("let in by nobody's word")
	}
}

type nobodyReviews struct{ rbac.Reviews }
