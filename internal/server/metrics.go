package server

import (
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/metrics"
)

// measure makes the metrics. The rooms they ask are made after them.
func (s *server) measure() *metrics.Set {
	doors := []string{metrics.EKS, metrics.EKSAuth, metrics.Changes, metrics.Pods, metrics.Validate, metrics.Audit}
	if s.config.Console.Address != "" {
		doors = append(doors, metrics.Console)
	}
	return metrics.New(metrics.Config{
		Version:         s.config.Version,
		Doors:           doors,
		Chains:          func() chain.Stats { return s.chains.Stats() },
		Feed:            func() changes.Stats { return s.feed.Stats() },
		Sequence:        func() uint64 { return s.store.Sequence() },
		CertificateEnds: func() time.Time { return s.certificate.ends() },
		AuditWebhook:    s.config.AuditWebhook,
	})
}

// scraped answers Prometheus.
func (s *server) scraped() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler(controllers{}))
	return mux
}

// Foreign is a metric of a library.
type Foreign struct {
	Name, Type, Help string
	Labels           []string
}

// OfControllers are the metrics of controller-runtime and client-go that are
// served, of some forty that there are.
func OfControllers() []Foreign {
	return []Foreign{
		{"controller_runtime_reconcile_total", "counter", "Objects that a controller has looked at, by result.", []string{"controller", "result"}},
		{"controller_runtime_reconcile_time_seconds", "histogram", "Time that this took.", []string{"controller"}},
		{"workqueue_depth", "gauge", "Objects that wait for a controller.", []string{"controller", "name", "priority"}},
		{"leader_election_master_status", "gauge", "Whether this replica runs the controllers: 1 of one replica, 0 of the others.", []string{"name"}},
		{"rest_client_requests_total", "counter", "Requests to the API server by HTTP status.", []string{"code", "host", "method"}},
	}
}

// controllers gathers those.
type controllers struct{}

// Gather serves prometheus.Gatherer.
func (controllers) Gather() ([]*dto.MetricFamily, error) {
	all, err := crmetrics.Registry.Gather()
	served := OfControllers()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		return !slices.ContainsFunc(served, func(s Foreign) bool { return s.Name == f.GetName() })
	}), err
}
