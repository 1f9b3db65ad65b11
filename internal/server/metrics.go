package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/podid/podid/internal/chain"
)

// metrics are the server's own; what controller-runtime counts is served with them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podid_server_requests_total", Help: "Requests by door and HTTP status.",
		}, []string{"door", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "podid_server_request_seconds", Help: "Time to answer requests, by door; streams of changes are left out.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"door"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{m.registry, controllers{}}, promhttp.HandlerOpts{}))
	return mux
}

// watch counts the requests of a door.
func (m *metrics) watch(door string, w *statusWriter, began time.Time) {
	m.requests.WithLabelValues(door, strconv.Itoa(w.status)).Inc()
	if !w.flushed {
		m.seconds.WithLabelValues(door).Observe(time.Since(began).Seconds())
	}
}

// gauge adds a metric that is asked for when it is read.
func (m *metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (m *metrics) counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// chains adds what the chain room counts.
func (m *metrics) chains(stats func() chain.Stats) {
	count := func(name, help string, of func(chain.Stats) uint64) {
		m.counter(name, help, func() float64 { return float64(of(stats())) })
	}
	count("podid_server_chain_hits_total", "Requests answered from chains in memory.", func(s chain.Stats) uint64 { return s.Hits })
	count("podid_server_chain_misses_total", "Requests that waited for role assumptions.", func(s chain.Stats) uint64 { return s.Misses })
	count("podid_server_chain_unfinished_total", "Of the misses, those told to come again.", func(s chain.Stats) uint64 { return s.Unfinished })
	count("podid_server_sts_calls_total", "Role assumptions asked of STS.", func(s chain.Stats) uint64 { return s.Assumptions })
	count("podid_server_sts_throttled_total", "Of these, those that STS throttled.", func(s chain.Stats) uint64 { return s.Throttled })
	m.gauge("podid_server_chains", "Chains in memory.", func() float64 { return float64(stats().Entries) })
	m.gauge("podid_server_sts_queue", "Role assumptions that wait for their turn.", func() float64 { return float64(stats().Queue) })
	m.gauge("podid_server_sts_rate", "Role assumptions a second that are tried at most, now.", func() float64 { return stats().Rate })
}

// controllers gathers what controller-runtime counts of reconciling and of the
// client, without its process metrics, which are here already.
type controllers struct{}

func (controllers) Gather() ([]*dto.MetricFamily, error) {
	all, err := crmetrics.Registry.Gather()
	kept := all[:0]
	for _, family := range all {
		if name := family.GetName(); !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			kept = append(kept, family)
		}
	}
	return kept, err
}
