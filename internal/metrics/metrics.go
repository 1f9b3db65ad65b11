// Package metrics is what podid's server counts, in a cluster and in
// development mode alike. No label holds what a caller chose: every series that
// there can be is there from the start, but for those of HTTP statuses.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/httpd"
)

// The doors, as the label door names them.
const (
	EKS      = "eks"      // the association API
	EKSAuth  = "eks-auth" // credentials
	Changes  = "changes"  // streams of changes
	Pods     = "mutate-pods"
	Validate = "validate-associations"
	Console  = "console"
	Audit    = "audit" // queries of podid audit
)

// Config says what is counted. What is nil is not there to be counted.
type Config struct {
	// Version is podid's own.
	Version string
	// Doors are those that there are.
	Doors []string
	// Chains and Feed are asked when the metrics are read.
	Chains func() chain.Stats
	Feed   func() changes.Stats
	// Sequence is how far this replica is with the changes of associations.
	Sequence func() uint64
	// CertificateEnds is when the serving certificate does; zero: there is none.
	CertificateEnds func() time.Time
	// AuditWebhook is how many audit events wait for their receiver, and how many
	// it will never see.
	AuditWebhook func() (waiting int, lost uint64)
}

// Set is one server's metrics.
type Set struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	path     path
}

// New makes a Set.
func New(c Config) *Set {
	s := &Set{
		registry: prometheus.NewRegistry(),
		requests: counters("podid_server_requests_total", "Requests by door and HTTP status.", "door", "code"),
		seconds: histograms("podid_server_request_duration_seconds", "Time to answer a request; streams are left out.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}, "door"),
		path: newPath(),
	}
	for _, door := range c.Doors {
		s.requests.WithLabelValues(door, "200")
		s.seconds.WithLabelValues(door)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "podid_server_build_info", Help: "1; the labels say what runs.", ConstLabels: prometheus.Labels{"version": c.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	s.registry.MustRegister(s.requests, s.seconds, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.registry.MustRegister(s.path.all()...)
	s.ask(c)
	return s
}

// Add adds what a room counts itself.
func (s *Set) Add(c ...prometheus.Collector) { s.registry.MustRegister(c...) }

// Handler answers Prometheus, with what others gather too.
func (s *Set) Handler(others ...prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(append(prometheus.Gatherers{s.registry}, others...), promhttp.HandlerOpts{})
}

// Answered counts an answer of a door.
func (s *Set) Answered(door string, a httpd.Answer) {
	s.requests.WithLabelValues(door, strconv.Itoa(a.Status)).Inc()
	if !a.Stream {
		s.seconds.WithLabelValues(door).Observe(a.Took.Seconds())
	}
}

// Door counts the answers of h.
func (s *Set) Door(door string, h http.Handler) http.Handler {
	return httpd.Watch(h, func(_ *http.Request, a httpd.Answer) { s.Answered(door, a) })
}

// ask registers what is known elsewhere.
func (s *Set) ask(c Config) {
	gauge := func(name, help string, value func() float64) {
		s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64, labels ...string) {
		with := prometheus.Labels{}
		for i := 0; i < len(labels); i += 2 {
			with[labels[i]] = labels[i+1]
		}
		s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: with}, value))
	}
	if c.Chains != nil {
		const requests = "Requests for the end of a role chain: answered from memory (hit), or after role assumptions (miss)."
		counter("podid_chain_requests_total", requests, func() float64 { return float64(c.Chains().Hits) }, "source", "hit")
		counter("podid_chain_requests_total", requests, func() float64 { return float64(c.Chains().Misses) }, "source", "miss")
		counter("podid_chain_unfinished_total", "Of the misses, those told to come again.", func() float64 { return float64(c.Chains().Unfinished) })
		gauge("podid_chain_entries", "Role chains in memory.", func() float64 { return float64(c.Chains().Entries) })
		gauge("podid_chain_flights", "Role chains being made, those included that wait for their turn.", func() float64 { return float64(c.Chains().Flights) })
		gauge("podid_sts_queue_length", "Role assumptions that wait for their turn.", func() float64 { return float64(c.Chains().Queue) })
		gauge("podid_sts_rate_limit", "Role assumptions a second that are tried at most now, as learned from throttling.", func() float64 { return c.Chains().Rate })
		gauge("podid_sts_rate_limit_max", "Role assumptions a second that are never exceeded, as configured.", func() float64 { return c.Chains().MaxRate })
	}
	if c.Feed != nil {
		gauge("podid_changes_listeners", "Agents that listen to this replica for changes.", func() float64 { return float64(c.Feed().Listeners) })
		counter("podid_changes_published_total", "Changes of associations that this replica has told of.", func() float64 { return float64(c.Feed().Published) })
		counter("podid_changes_cut_total", "Agents cut off since they did not keep up with the changes.", func() float64 { return float64(c.Feed().Cut) })
	}
	if c.Sequence != nil {
		gauge("podid_changes_sequence", "How far this replica is with the changes of associations: in Kubernetes a resource version.", func() float64 { return float64(c.Sequence()) })
	}
	if c.AuditWebhook != nil {
		gauge("podid_audit_webhook_queue_length", "Audit events that wait for the webhook's receiver.", func() float64 {
			waiting, _ := c.AuditWebhook()
			return float64(waiting)
		})
		counter("podid_audit_webhook_lost_total", "Audit events that the webhook's receiver will never see.", func() float64 {
			_, lost := c.AuditWebhook()
			return float64(lost)
		})
	}
	if c.CertificateEnds != nil {
		gauge("podid_certificate_expiry_timestamp_seconds", "When the serving certificate expires, in Unix time; 0: there is none.", func() float64 {
			if ends := c.CertificateEnds(); !ends.IsZero() {
				return float64(ends.Unix())
			}
			return 0
		})
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, bounds []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds})
}

func histograms(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
}
