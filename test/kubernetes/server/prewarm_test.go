package server

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// TestPrewarm: the credentials of a pod are ready before it asks, on the replica
// that its node's agent listens to and on no other.
func TestPrewarm(t *testing.T) {
	w := start(t, 2, "--prewarm", "on", "--verify-chains=false")
	w.associate("app")
	listened := w.replicas[0]
	w.runAgent("node-2", listened)
	eventually(t, "the agent listens", func() error { return has(listened, "podid_changes_listeners 1") })
	w.Cluster.Pod(t, "shop", "early", "app", "node-2")
	token := identity.Secret(w.Token(t, "shop", "app", "early", identity.Audience))
	eventually(t, "its chain is there", func() error { return has(listened, "podid_chain_entries 1") })
	eventually(t, "the pod asks", func() error {
		_, err := w.agent("node-2", listened).AssumeRoleForPodIdentity(t.Context(), token)
		return err
	})
	eventually(t, "an event tells of hops that were made before the pod asked", func() error {
		return isTrue(slices.ContainsFunc(listened.events(), func(e audit.Event) bool {
			return e.Subject != nil && e.Subject.PodName == "early" && len(e.Hops) == 2 && e.Hops[0].Cached && e.Hops[1].Cached
		}))
	})
	if err := has(w.replicas[1], "podid_sts_calls_total{hop=\"1\",outcome=\"granted\"} 0"); err != nil {
		t.Errorf("the other replica assumed roles: %v", err)
	}
}

// has tells whether a replica's metrics have a line.
func has(r *replica, line string) error {
	answer, err := http.Get("http://" + r.metrics + "/metrics")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
		return errNotYet
	}
	return nil
}
