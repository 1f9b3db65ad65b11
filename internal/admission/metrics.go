package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics name no namespace, service account or pod.
type metrics struct {
	pods    *prometheus.CounterVec
	seconds prometheus.Histogram
	reads   prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		pods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podid_admission_pods_total", Help: "Pods that the API server asked about, by what became of them.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "podid_admission_seconds", Help: "Time from a question of the API server to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 2.5},
		}),
		reads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "podid_admission_live_reads_total", Help: "Lookups at the API server, of service accounts of which no association is in memory.",
		}),
	}
}

func (m metrics) observe(o outcome, took time.Duration) {
	m.pods.WithLabelValues(string(o)).Inc()
	m.seconds.Observe(took.Seconds())
}

func (m metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.pods, m.seconds, m.reads}
}
