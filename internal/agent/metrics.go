package agent

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// WriteMetrics writes the agent's metrics in Prometheus' text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
// Nothing in them names a pod, or anything else that a pod can choose.
func (a *Agent) WriteMetrics(w io.Writer) {
	buffered := bufio.NewWriter(w)
	defer buffered.Flush()
	m := metrics{buffered}
	s, h := a.Stats(), a.Health()

	m.family("podid_agent_requests_total", "counter", "Requests for credentials by how they were answered: from the cache (hit), after waiting for EKS Auth (miss), or with what that said just before (remembered).")
	m.sample("podid_agent_requests_total", `{source="hit"}`, s.Hits)
	m.sample("podid_agent_requests_total", `{source="miss"}`, s.Misses)
	m.sample("podid_agent_requests_total", `{source="remembered"}`, s.Remembered)
	m.family("podid_agent_responses_total", "counter", "Answers to pods by HTTP status.")
	for _, status := range slices.Sorted(maps.Keys(s.Responses)) {
		m.sample("podid_agent_responses_total", fmt.Sprintf(`{code="%d"}`, status), s.Responses[status])
	}
	m.counter("podid_agent_stale_total", "Answers with less than five minutes of life, since EKS Auth did not give better.", s.Stale)
	m.counter("podid_agent_unheard_total", "Answers with credentials of which it was not known for long whether they were revoked.", s.Unheard)
	m.counter("podid_agent_changes_total", "Changes of associations heard of.", s.Changes)
	m.counter("podid_agent_dropped_total", "Pods whose credentials were dropped since their association had changed.", s.Dropped)
	m.gauge("podid_agent_listening", "Whether changes of associations are heard as they happen.", one(h.Listening))
	m.gauge("podid_agent_changes_last_heard_timestamp_seconds", "When anything was last heard of changes; 0: never.", unix(h.Heard))
	m.family("podid_agent_upstream_calls_total", "counter", "Calls to EKS Auth by reason.")
	m.sample("podid_agent_upstream_calls_total", `{reason="request"}`, s.Fetches)
	m.sample("podid_agent_upstream_calls_total", `{reason="renewal"}`, s.Renewals)
	m.family("podid_agent_upstream_failures_total", "counter", "Calls to EKS Auth without credentials by cause.")
	m.sample("podid_agent_upstream_failures_total", `{cause="throttled"}`, s.Throttled)
	m.sample("podid_agent_upstream_failures_total", `{cause="refused"}`, s.Refused-s.Throttled)
	m.sample("podid_agent_upstream_failures_total", `{cause="unanswered"}`, s.Failures-s.Refused)

	m.durations("podid_agent_upstream_call_duration_seconds", "Duration of calls to EKS Auth.", s.Upstream)
	m.durations("podid_agent_wait_duration_seconds", "Time that requests waited for EKS Auth: those that memory could not answer.", s.Waited)
	m.gauge("podid_agent_upstream_up", "Whether EKS Auth answered the last call.", one(h.Reached && h.Failing.IsZero()))
	m.gauge("podid_agent_upstream_last_answer_timestamp_seconds", "When EKS Auth last answered; 0: never.", unix(h.Answered))
	m.gauge("podid_agent_upstream_in_flight", "Calls to EKS Auth under way.", s.InFlight)
	m.gauge("podid_agent_upstream_waiting", "Fetches that wait for a call to end.", s.Waiting)
	m.gauge("podid_agent_cached_tokens", "Tokens whose credentials are in memory.", s.Entries)
	m.gauge("podid_agent_cached_pods", "Pods whose credentials are in memory.", s.Pods)
	m.gauge("podid_agent_connections", "Connections of pods.", s.Connections)
	m.counter("podid_agent_connections_turned_away_total", "Connections closed at once: too many from one address, or not from this node.", s.TurnedAway)
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

type metrics struct{ w io.Writer }

func (m metrics) family(name, kind, help string) {
	fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (m metrics) sample(name, labels string, value any) {
	fmt.Fprintf(m.w, "%s%s %v\n", name, labels, value)
}

func (m metrics) counter(name, help string, value uint64) {
	m.family(name, "counter", help)
	m.sample(name, "", value)
}

func (m metrics) gauge(name, help string, value any) {
	m.family(name, "gauge", help)
	m.sample(name, "", value)
}

func (m metrics) durations(name, help string, d Durations) {
	m.family(name, "histogram", help)
	total := uint64(0)
	for i, bound := range Bounds {
		total += d.Counts[i]
		m.sample(name+"_bucket", fmt.Sprintf(`{le="%g"}`, bound), total)
	}
	total += d.Counts[len(Bounds)]
	m.sample(name+"_bucket", `{le="+Inf"}`, total)
	m.sample(name+"_sum", "", d.Sum.Seconds())
	m.sample(name+"_count", "", total)
}
