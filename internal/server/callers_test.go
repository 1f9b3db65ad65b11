package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

// reviewed are the tokens that an API server knows.
type reviewed struct {
	subjects map[string]identity.Subject
	err      error
	asked    int
}

func (r *reviewed) Verify(_ context.Context, _, raw string) (identity.Subject, error) {
	r.asked++
	if r.err != nil {
		return identity.Subject{}, r.err
	}
	s, ok := r.subjects[raw]
	if !ok {
		return s, identity.Errorf(identity.InvalidToken, "The token included in the request is not valid: nobody knows it")
	}
	return s, nil
}

func TestAgentsProveThemselves(t *testing.T) {
	agent := identity.Subject{Namespace: "podid-agent", ServiceAccount: "podid-agent", NodeName: "node-1", Expires: time.Now().Add(time.Hour)}
	other := agent
	other.Namespace = "shop"
	api := &reviewed{subjects: map[string]identity.Subject{"agent": agent, "other": other}}
	c := &callers{
		cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"}, agents: api,
		account: types.NamespacedName{Namespace: "podid-agent", Name: "podid-agent"},
	}
	ask := func(token string) (identity.Caller, error) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return c.ofEKSAuth(r)
	}
	for range 3 {
		got, err := ask("agent")
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := got.(eksauth.NodeCaller); !ok || n.NodeName() != "node-1" || got.AccountID() != "111122223333" {
			t.Errorf("got %+v", got)
		}
	}
	if api.asked != 1 {
		t.Errorf("the API server was asked %d times about one token", api.asked)
	}
	for _, token := range []string{"other", "unknown", ""} {
		_, err := ask(token)
		if e, ok := errors.AsType[*awswire.Error](err); !ok || e.Status != http.StatusForbidden {
			t.Errorf("token %q: %v", token, err)
		}
	}
	api.err = identity.Errorf(identity.Unavailable, "away")
	if _, err := ask("new"); err == nil {
		t.Error("an agent was let in that nobody could verify")
	} else if e, ok := errors.AsType[*awswire.Error](err); !ok || e.Status != http.StatusServiceUnavailable {
		t.Errorf("got %v, want what makes the agent ask again", err)
	}
}

// TestAgentsMayDoOneThing: no action of the association API is theirs.
func TestAgentsMayDoOneThing(t *testing.T) {
	a := &agentCaller{}
	for action, want := range map[string]bool{
		"eks-auth:AssumeRoleForPodIdentity": true, "eks:CreatePodIdentityAssociation": false, "iam:PassRole": false, "eks:ListPodIdentityAssociations": false, "": false,
	} {
		if err := a.Authorize(t.Context(), identity.Access{Action: action}); (err == nil) != want {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// TestProvenForAWhile: what the API server said counts for ten seconds, and never
// longer than the token.
func TestProvenForAWhile(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		expires, later time.Duration
		want           bool
	}{
		"at once": {time.Hour, 0, true}, "nearly ten seconds": {time.Hour, provenFor - 1, true}, "ten seconds": {time.Hour, provenFor, false},
		"an expired token": {time.Second, time.Second, false},
	} {
		var p proven
		hash := sha256.Sum256([]byte(name))
		p.keep(hash, identity.Subject{Expires: now.Add(c.expires)}, now)
		if _, ok := p.find(hash, now.Add(c.later)); ok != c.want {
			t.Errorf("%s: known %v", name, ok)
		}
	}
	var p proven
	for i := range 2*maxProven + 1 {
		p.keep(sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), identity.Subject{Expires: now.Add(time.Hour)}, now)
	}
	if len(p.held) > maxProven {
		t.Errorf("%d are held", len(p.held))
	}
}
