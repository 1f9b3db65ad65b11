package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/identity"
)

// TestChangesAreLive: from the moment the API server has a change, no node's
// agent hands out for longer than a second what was before, whichever replica it
// listens to.
func TestChangesAreLive(t *testing.T) {
	w := startWith(t, plain, 2)
	a := w.associate("app")
	var nodes []*node
	for i, name := range []string{"node-1", "node-2"} {
		nodes = append(nodes, w.runAgent(name, w.replicas[i], w.replicas[1-i]))
	}
	longest := time.Duration(0)
	until := func(what string, so func(n *node) error) {
		t.Helper()
		began := time.Now()
		for _, n := range nodes {
			eventually(t, what, func() error { return so(n) })
		}
		took := time.Since(began)
		longest = max(longest, took)
		if took > time.Second {
			t.Errorf("%s: after %v", what, took)
		}
	}
	account := func(want string) func(*node) error {
		return func(n *node) error {
			got, err := n.credentials()
			if err == nil && got != want {
				return fmt.Errorf("credentials of account %s", got)
			}
			return err
		}
	}
	eventually(t, "both agents have credentials", func() error { return account(targetAccount)(nodes[0]) })
	eventually(t, "both agents have credentials", func() error { return account(targetAccount)(nodes[1]) })
	for range 10 {
		for _, to := range []struct{ target, account string }{{"", ownAccount}, {targetARN, targetAccount}} {
			a.Spec.TargetRoleARN = to.target
			if err := w.objects.Patch(t.Context(), a, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"targetRoleARN":%q}}`, to.target))); err != nil {
				t.Fatal(err)
			}
			until("the change is in what pods get", account(to.account))
		}
	}
	if err := w.objects.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	until("nothing is handed out after the deletion", func(n *node) error {
		if got, err := n.credentials(); err == nil {
			return fmt.Errorf("credentials of account %s", got)
		}
		return nil
	})
	w.associate("app")
	until("the new association is in what pods get", account(targetAccount))
	t.Logf("the longest of 22 changes took %v on two nodes", longest)
}

// node is a node's agent, and a pod there.
type node struct {
	url   string
	token identity.Secret
}

// runAgent makes a pod on a node, and runs the node's agent until the test ends.
func (w *world) runAgent(name string, replicas ...*replica) *node {
	w.t.Helper()
	token := w.podToken("web-"+name, name)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	upstream := w.agent(name, replicas...)
	a, err := agent.New(agent.Config{
		Listeners: []net.Listener{l}, Upstream: upstream, Reach: upstream.Reach, Changes: map[string]agent.Changes{"": upstream},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return &node{"http://" + l.Addr().String() + "/v1/credentials", token}
}

// credentials asks as a pod does, and returns the account that the credentials are of.
func (n *node) credentials() (account string, err error) {
	r, err := http.NewRequest(http.MethodGet, n.url, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", n.token.Reveal())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the agent answers %s", answer.Status)
	}
	var got struct {
		AccountID string `json:"AccountId"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return "", err
	}
	return strings.TrimSpace(got.AccountID), nil
}
