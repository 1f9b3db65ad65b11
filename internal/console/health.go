package console

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/identity"
)

// LocalHealth is how one replica is, and what it knows of agents.
type LocalHealth struct {
	Replica Replica `json:"replica"`
	Agents  []Agent `json:"agents"` // those that listen to it, or did last
	// Expected are the nodes that have an agent's pod, Nodes all that have pods;
	// nil: nobody knows.
	Expected []string `json:"expected,omitempty"`
	Nodes    []string `json:"nodes,omitempty"`
}

const (
	// staleAfter is how long an agent may be away: it goes to another replica
	// within seconds.
	staleAfter = time.Minute
	// A serving certificate is renewed when a third of its life is left, so one
	// that has less than this was not.
	certificateWarning, certificateCritical = 14 * 24 * time.Hour, 48 * time.Hour
)

// ChainsOf tells of the chain room of a replica that began so long ago.
func ChainsOf(s chain.Stats, ago time.Duration) ChainStats {
	return ChainStats{
		Hits: s.Hits, Misses: s.Misses, Assumptions: s.Assumptions, Throttled: s.Throttled, Entries: s.Entries, Queue: s.Queue,
		RatePerSec: s.Rate, Unfinished: s.Unfinished, SecondsSince: ago.Seconds(),
	}
}

func (c *Console) mayHealth(k *call) error {
	may, err := k.user.May(k.Context(), "")
	if err == nil && !may.Health {
		err = identity.Errorf(identity.AccessDenied, "You may not see podid's health: it takes the verb get on health.podid.dev, as the ClusterRole podid-health-viewer gives it.")
	}
	return err
}

func (c *Console) localHealth(k *call) (any, error) {
	if err := queryOf(k.Request).done(); err != nil {
		return nil, err
	}
	if err := c.mayHealth(k); err != nil {
		return nil, err
	}
	if c.config.Local == nil {
		return LocalHealth{}, nil
	}
	return c.config.Local.Health(k.Context()), nil
}

// health answers with how all of podid is.
func (c *Console) health(k *call) (any, error) {
	local, err := c.localHealth(k)
	if err != nil {
		return nil, err
	}
	own := local.(LocalHealth)
	own.Replica.Self = true
	others, partial := ask[LocalHealth](c, k, "/health", func(string) url.Values { return url.Values{} })
	return assessed(append([]LocalHealth{own}, others...), partial, c.config.Now().UTC()), nil
}

// assessed puts what replicas say together, and finds what is wrong.
func assessed(all []LocalHealth, partial []Partial, now time.Time) Health {
	h := Health{At: now, Findings: []HealthFinding{}, Replicas: []Replica{}, Agents: []Agent{}, NodesWithoutAgent: []string{}, Partial: partial}
	agents := map[string]Agent{}
	expected, nodes := map[string]bool{}, map[string]bool{}
	for _, l := range all {
		h.Replicas = append(h.Replicas, l.Replica)
		for _, a := range l.Agents {
			if before, ok := agents[a.Node]; !ok || later(a, before) {
				agents[a.Node] = a
			}
		}
		h.NodesKnown = h.NodesKnown || l.Expected != nil
		for _, n := range l.Expected {
			expected[n] = true
		}
		for _, n := range l.Nodes {
			nodes[n] = true
		}
	}
	for n := range expected {
		if _, ok := agents[n]; !ok {
			agents[n] = Agent{Node: n}
		}
	}
	for _, a := range agents {
		a.Stale = !a.Listening && now.Sub(a.LastHeard) > staleAfter
		h.Agents = append(h.Agents, a)
	}
	for n := range nodes {
		if _, ok := agents[n]; !ok {
			h.NodesWithoutAgent = append(h.NodesWithoutAgent, n)
		}
	}
	slices.SortFunc(h.Agents, func(a, b Agent) int { return strings.Compare(a.Node, b.Node) })
	slices.SortFunc(h.Replicas, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(h.NodesWithoutAgent)
	h.findings(now)
	return h
}

// later tells whether a is to be believed before b, of the same node.
func later(a, b Agent) bool {
	if a.Listening != b.Listening {
		return a.Listening
	}
	return a.LastHeard.After(b.LastHeard)
}

func (h *Health) findings(now time.Time) {
	find := func(severity, do, format string, args ...any) {
		h.Findings = append(h.Findings, HealthFinding{Severity: severity, Text: fmt.Sprintf(format, args...), Do: do})
	}
	stale := 0
	for _, a := range h.Agents {
		if a.Stale {
			stale++
		}
	}
	if stale > 0 {
		find("warning", "Look at the agents' pods and logs on these nodes: kubectl get pods -n podid-agent -o wide.",
			"%d of %d agents have not been heard of for more than a minute: they serve what they have, and do not hear of changes.", stale, len(h.Agents))
	}
	if n := len(h.NodesWithoutAgent); n > 0 {
		find("warning", "Look at the DaemonSet of the agent: its node selector and tolerations.", "%d nodes have pods and no agent: %s.", n, strings.Join(h.NodesWithoutAgent[:min(n, 5)], ", "))
	}
	most := uint64(0)
	for _, r := range h.Replicas {
		most = max(most, r.Sequence)
	}
	for i := range h.Replicas {
		r := &h.Replicas[i]
		r.BehindBy = most - r.Sequence
		if !r.Ready {
			find("critical", "Look at its log.", "Replica %s is not ready: %s.", r.Name, cmp.Or(r.Lacks, "it does not say why"))
		}
		if r.Chains.Throttled > 0 && r.Chains.Queue > 0 {
			find("warning", "Ask AWS for a higher quota of AssumeRole, or lower the load: leases, and fewer restarts of many pods at once.",
				"STS throttles replica %s, and %d role assumptions wait for their turn.", r.Name, r.Chains.Queue)
		}
		for _, cert := range r.Certificates {
			left := cert.NotAfter.Sub(now)
			switch {
			case left <= certificateCritical:
				find("critical", "docs/install says how certificates are renewed.", "The %s certificate of replica %s ends %s.", cert.Name, r.Name, cert.NotAfter.UTC().Format(time.RFC3339))
			case left <= certificateWarning && left < cert.NotAfter.Sub(cert.NotBefore)/4:
				find("warning", "docs/install says how certificates are renewed.", "The %s certificate of replica %s ends %s, and has not been renewed.", cert.Name, r.Name, cert.NotAfter.UTC().Format(time.RFC3339))
			}
		}
	}
	for _, p := range h.Partial {
		find("warning", "Look at its pod.", "Replica %s could not be asked: %s.", p.Source, p.Reason)
	}
	h.Verdict = "ok"
	for _, f := range h.Findings {
		if f.Severity == "critical" || h.Verdict == "ok" {
			h.Verdict = f.Severity
		}
	}
}
