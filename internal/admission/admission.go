// Package admission is podid's webhook: pods whose service account has an
// association are given the environment and the token that AWS SDKs need.
package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/podid/podid/internal/identity"
)

// The paths at which the API server asks.
const (
	MutatePath   = "/mutate-pods"
	ValidatePath = "/validate-associations"
)

// defaultReadTimeout leaves room for two reads, one after the other, within the
// three seconds that the API server waits (charts/podid, webhook-mutating.yaml).
const defaultReadTimeout = time.Second

// crowd is the number of associations in a namespace from which on its pods
// without one are marked: the policy takes some 30 µs for each (docs/benchmarks.md).
const crowd = 16

// Associations finds the associations of service accounts.
type Associations interface {
	// Known returns what is in memory, a little behind the API server.
	Known(namespace, serviceAccount string) (identity.Association, bool)
	// Lookup sees every association whose creation was acknowledged before the
	// call. Its error is an *identity.Error: NotFound where there is none.
	Lookup(ctx context.Context, namespace, serviceAccount string) (identity.Association, error)
}

// Config says what a Webhook works with. Associations is required.
type Config struct {
	Associations Associations
	// Current tells of NAMESPACE/SERVICEACCOUNT whether Associations.Known, asked after
	// it, has the association if there is one whose creation was acknowledged before
	// (promise.Replica). Nil: that cannot be told, and the API server is asked.
	Current func(key string) bool
	// Settings say what pods are given.
	Settings Settings
	// Annotations returns those of a service account, from memory. Nil: none are looked at.
	Annotations func(namespace, serviceAccount string) map[string]string
	// Count returns how many associations a namespace has, from memory. Nil:
	// pods without an association are not marked.
	Count func(namespace string) int
	// Broken tells why the chain of an association is known not to work. Nil: nothing is known.
	Broken func(identity.Association) (reason string, broken bool)
	// Validate judges associations, at ValidatePath. Nil: that is not served.
	Validate func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error)
	// ReadTimeout bounds one Lookup. 0: 1 s.
	ReadTimeout time.Duration
	// Logger takes one event for each pod. Nil: nowhere.
	Logger *slog.Logger
}

// Webhook answers the API server's questions.
type Webhook struct {
	config  Config
	reads   *reads
	metrics metrics
}

// New makes a Webhook.
func New(c Config) (*Webhook, error) {
	if c.Associations == nil {
		return nil, errors.New("admission: Config.Associations is required")
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = defaultReadTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m := newMetrics()
	return &Webhook{config: c, metrics: m, reads: newReads(c.ReadTimeout, c.Associations.Lookup, m.reads)}, nil
}

// Handler answers at MutatePath and, with Config.Validate, at ValidatePath.
func (w *Webhook) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+MutatePath, reviewed(w.mutate))
	if w.config.Validate != nil {
		mux.HandleFunc("POST "+ValidatePath, reviewed(w.config.Validate))
	}
	return mux
}

// Metrics are to be registered by whoever runs the webhook.
func (w *Webhook) Metrics() []prometheus.Collector { return w.metrics.all() }
