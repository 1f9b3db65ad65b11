package admission

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics name no namespace, service account or pod.
type metrics struct {
	pods    *prometheus.CounterVec
	reads   prometheus.Counter
	current prometheus.Counter
}

func newMetrics() metrics {
	m := metrics{
		pods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podid_admission_pods_total", Help: "Pods that the API server asked about, by what became of them.",
		}, []string{"outcome"}),
		reads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "podid_admission_live_reads_total", Help: "Lookups at the API server, of service accounts of which no association is in memory.",
		}),
		current: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "podid_admission_current_total", Help: "Pods of service accounts that have no association, as memory was known to be current; the API server was not asked.",
		}),
	}
	for _, o := range []outcome{mutated, complete, skipped, unassociated, undetermined, unreadablePod} {
		m.pods.WithLabelValues(string(o))
	}
	return m
}

func (m metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.pods, m.reads, m.current}
}
