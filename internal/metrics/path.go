package metrics

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

// path is what is counted on the way from a token to credentials.
type path struct {
	issued      *prometheus.CounterVec
	calls       *prometheus.CounterVec
	callSeconds *prometheus.HistogramVec
	waited      prometheus.Histogram
	audited     *prometheus.CounterVec
	auditing    prometheus.Histogram
	delivered   prometheus.Histogram
}

const granted = "granted"

// How a role assumption ends.
const (
	refused   = "refused" // by AWS, and would be again
	throttled = "throttled"
	failed    = "failed" // no answer, or none that can be used
)

// What becomes of an audit event.
const (
	kept = "kept"
	lost = "lost"
)

// refusals are the kinds with which issuing fails.
var refusals = []identity.Kind{
	identity.AccessDenied, identity.InvalidToken, identity.ExpiredToken, identity.NotFound, identity.InvalidParameter, identity.InvalidRequest,
	identity.Throttled, identity.Unavailable, identity.Internal,
}

func newPath() path {
	p := path{
		issued: counters("podid_issue_requests_total", "Requests for credentials by outcome: granted, or why not.", "outcome"),
		calls:  counters("podid_sts_calls_total", "Role assumptions asked of STS, by hop of the chain and outcome.", "hop", "outcome"),
		callSeconds: histograms("podid_sts_call_duration_seconds", "Duration of role assumptions at STS, by hop of the chain.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5}, "hop"),
		waited: histogram("podid_sts_queue_wait_seconds", "Time that role assumptions waited for their turn, where a pod waits for them.",
			[]float64{.001, .01, .1, .5, 1, 2.5, 5, 10, 30, 60, 120}),
		audited: counters("podid_audit_events_total", "Audit events: kept by every sink, or lost by one, so that the request was refused.", "outcome"),
		auditing: histogram("podid_audit_write_duration_seconds", "Time until an audit event was kept.",
			[]float64{.00001, .0001, .001, .005, .01, .025, .05, .1, .5, 1, 5, 10}),
		delivered: histogram("podid_changes_delivery_seconds", "Time from when this replica saw the change of an association until it was on the way to an agent, for each agent.",
			[]float64{.0001, .001, .005, .01, .025, .05, .1, .25, .5, 1, 5, 10}),
	}
	p.issued.WithLabelValues(granted)
	for _, kind := range refusals {
		p.issued.WithLabelValues(label(kind))
	}
	for _, hop := range []string{hopLabel(true), hopLabel(false)} {
		p.callSeconds.WithLabelValues(hop)
		for _, outcome := range []string{granted, refused, throttled, failed} {
			p.calls.WithLabelValues(hop, outcome)
		}
	}
	p.audited.WithLabelValues(kept)
	p.audited.WithLabelValues(lost)
	return p
}

func (p path) all() []prometheus.Collector {
	return []prometheus.Collector{p.issued, p.calls, p.callSeconds, p.waited, p.audited, p.auditing, p.delivered}
}

// label is a kind of error as labels spell it; one that issuing does not know is internal.
func label(k identity.Kind) string {
	if !slices.Contains(refusals, k) {
		k = identity.Internal
	}
	return strings.ReplaceAll(k.String(), " ", "_")
}

func hopLabel(first bool) string {
	if first {
		return "1"
	}
	return "2"
}

// Issue counts what next is asked for.
func (s *Set) Issue(next func(context.Context, issue.Request) (*issue.Grant, error)) func(context.Context, issue.Request) (*issue.Grant, error) {
	return func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
		grant, err := next(ctx, r)
		outcome := granted
		if err != nil {
			outcome = label(identity.KindOf(err))
		}
		s.path.issued.WithLabelValues(outcome).Inc()
		return grant, err
	}
}

// Roles counts the role assumptions that next makes.
func (s *Set) Roles(next issue.RoleAssumer) issue.RoleAssumer { return &roles{s, next} }

type roles struct {
	set  *Set
	next issue.RoleAssumer
}

// AssumeRole serves issue.RoleAssumer.
func (r *roles) AssumeRole(ctx context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	began := time.Now()
	session, err := r.next.AssumeRole(ctx, with, hop)
	name := hopLabel(with == nil)
	r.set.path.callSeconds.WithLabelValues(name).Observe(time.Since(began).Seconds())
	r.set.path.calls.WithLabelValues(name, outcomeOf(err)).Inc()
	return session, err
}

func outcomeOf(err error) string {
	if err == nil {
		return granted
	}
	switch identity.KindOf(err) {
	case identity.AccessDenied, identity.InvalidRequest:
		return refused
	case identity.Throttled:
		return throttled
	}
	return failed
}

// Waited counts how long a role assumption waited for its turn, for chain.Config.
func (s *Set) Waited(took time.Duration) { s.path.waited.Observe(took.Seconds()) }

// Delivered counts how long after it was seen a change went to an agent, for eksauth.Config.
func (s *Set) Delivered(after time.Duration) { s.path.delivered.Observe(after.Seconds()) }

// Audit counts what next keeps.
func (s *Set) Audit(next audit.Sink) audit.Sink { return &sink{s, next} }

type sink struct {
	set  *Set
	next audit.Sink
}

// Write serves audit.Sink.
func (k *sink) Write(ctx context.Context, e *audit.Event) error {
	began := time.Now()
	err := k.next.Write(ctx, e)
	if err != nil {
		k.set.path.audited.WithLabelValues(lost).Inc()
		return err
	}
	k.set.path.audited.WithLabelValues(kept).Inc()
	k.set.path.auditing.Observe(time.Since(began).Seconds())
	return nil
}
