package console

import (
	"context"
	"fmt"
	"time"

	"github.com/podid/podid/internal/audit"
	api "github.com/podid/podid/internal/console"
)

// surroundings are those of a made-up cluster.
func surroundings() api.Surroundings {
	seen := time.Now().Add(-time.Minute)
	return api.Surroundings{
		Accounts: map[string]string{ownAccount: "platform"},
		Pods: func(_ context.Context, _ api.User, of api.Record) ([]api.Pod, error) {
			var pods []api.Pod
			for i := range 3 {
				pods = append(pods, api.Pod{Namespace: of.Namespace, Name: fmt.Sprintf("%s-6c9f-%d", of.ServiceAccount, i), Node: "node-001", Phase: "Running", Ready: i > 0})
			}
			return pods, nil
		},
		Events: func(context.Context, api.User, api.Record) ([]api.KubernetesEvent, error) {
			return []api.KubernetesEvent{{
				Type: "Warning", Reason: "CredentialsRefused", Message: "AWS does not let the Pod Identity role assume the target role.", Count: 7, FirstSeen: seen, LastSeen: seen, Source: "podid",
			}}, nil
		},
	}
}

// conditions are those of an object whose chain fails.
func conditions(at time.Time) []api.Condition {
	return []api.Condition{
		{Type: "Ready", Status: "True", Reason: "Observed", Message: "Pods made now get it.", LastTransitionTime: at},
		{Type: "ChainVerified", Status: "False", Reason: "AccessDenied", Message: "The target role's trust policy does not let the Pod Identity role assume it.", LastTransitionTime: at},
	}
}

// replica is one of a made-up cluster, that something is wrong with.
type replica struct{}

func (replica) Name() string                           { return "podid-server-7f6d" }
func (replica) Events(audit.Query) (audit.Page, error) { return audit.Page{}, nil }

func (replica) Health(context.Context) api.LocalHealth {
	now := time.Now()
	h := api.LocalHealth{
		Replica: api.Replica{
			Name: "podid-server-7f6d", Version: "v1.0.0", Started: now.Add(-30 * time.Hour), Ready: true, Agents: 60, Associations: 1000,
			Chains:       api.ChainStats{Hits: 90_000, Misses: 10_000, Assumptions: 12_345, Throttled: 42, Entries: 950, Queue: 17, RatePerSec: 87.5, SecondsSince: 30 * 3600},
			Certificates: []api.Certificate{{Name: "serving", NotBefore: now.Add(-80 * 24 * time.Hour), NotAfter: now.Add(60 * time.Hour), Names: []string{"podid.podid-system.svc"}}},
		},
	}
	for i := range 60 {
		a := api.Agent{
			Node: fmt.Sprintf("node-%03d", i), Version: "v1.0.0", Listening: i != 7, Replica: "podid-server-7f6d", LastHeard: now.Add(-time.Second), Since: now.Add(-time.Hour),
			Cache: &api.AgentCache{Pods: 20 + i, Entries: 20 + i, Hits: 5000, Misses: 100, At: now},
		}
		if i == 7 {
			a.LastHeard, a.Stale, a.Replica = now.Add(-25*time.Minute), true, ""
		}
		h.Agents = append(h.Agents, a)
	}
	return h
}
