package devenv

import (
	"net/http"
	"strings"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/metrics"
)

// measure makes the metrics of the server. The rooms they ask are made after them.
func (e *environment) measure() *metrics.Set {
	return metrics.New(metrics.Config{
		Version:  e.config.Version,
		Doors:    []string{metrics.EKS, metrics.EKSAuth, metrics.Changes, metrics.Console},
		Chains:   func() chain.Stats { return e.chains.Stats() },
		Feed:     func() changes.Stats { return e.feed.Stats() },
		Sequence: func() uint64 { return e.feed.Stats().Sequence },
	})
}

// ofEKSAuth counts what the EKS Auth API answers, by its two doors, and follows
// requests for credentials.
func (e *environment) ofEKSAuth(h http.Handler) http.Handler {
	traced := e.config.Tracer.Door(http.MethodPost, "/clusters/{name}/assume-role-for-pod-identity", true, h)
	credentials, streams := e.metrics.Door(metrics.EKSAuth, traced), e.metrics.Door(metrics.Changes, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/changes") {
			streams.ServeHTTP(w, r)
			return
		}
		credentials.ServeHTTP(w, r)
	})
}

// agentMetrics answers as /metrics of podid-agent does.
func (e *environment) agentMetrics(w http.ResponseWriter, _ *http.Request) {
	a := e.node.Load()
	if a == nil {
		http.Error(w, "the agent is not there yet", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	a.WriteMetrics(w)
}
