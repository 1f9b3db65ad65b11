package metrics

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

// answers is everything on the path that answers with one error.
type answers struct{ error }

func (a answers) AssumeRole(context.Context, *identity.Credentials, identity.Hop) (identity.Session, error) {
	return identity.Session{}, a.error
}
func (a answers) Write(context.Context, *audit.Event) error { return a.error }
func (a answers) Issue(context.Context, issue.Request) (*issue.Grant, error) {
	return nil, a.error
}

// TestOutcomes: an error is counted by whose fault it is, and one that nobody
// foresaw makes no series of its own.
func TestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		err             error
		issued, assumed string
	}{
		"none":              {nil, "granted", "granted"},
		"refused":           {identity.Errorf(identity.AccessDenied, "No."), "access_denied", "refused"},
		"too many tags":     {identity.Errorf(identity.InvalidRequest, "No."), "invalid_request", "refused"},
		"throttled":         {identity.Errorf(identity.Throttled, "Later."), "throttled", "throttled"},
		"nobody there":      {identity.Errorf(identity.Unavailable, "Later."), "unavailable", "failed"},
		"of no kind":        {errors.New("what"), "internal", "failed"},
		"of a foreign kind": {identity.Errorf(identity.LimitExceeded, "No."), "internal", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{})
			series := testutil.CollectAndCount(s.path.issued) + testutil.CollectAndCount(s.path.calls) + testutil.CollectAndCount(s.path.audited)
			next := answers{test.err}
			s.Issue(next.Issue)(t.Context(), issue.Request{})
			s.Roles(next).AssumeRole(t.Context(), nil, identity.Hop{})
			s.Roles(next).AssumeRole(t.Context(), &identity.Credentials{}, identity.Hop{})
			s.Audit(next).Write(t.Context(), &audit.Event{})
			event := kept
			if test.err != nil {
				event = lost
			}
			for what, n := range map[string]float64{
				"issued": testutil.ToFloat64(s.path.issued.WithLabelValues(test.issued)),
				"hop 1":  testutil.ToFloat64(s.path.calls.WithLabelValues("1", test.assumed)),
				"hop 2":  testutil.ToFloat64(s.path.calls.WithLabelValues("2", test.assumed)),
				"event":  testutil.ToFloat64(s.path.audited.WithLabelValues(event)),
			} {
				if n != 1 {
					t.Errorf("%s was counted %v times", what, n)
				}
			}
			after := testutil.CollectAndCount(s.path.issued) + testutil.CollectAndCount(s.path.calls) + testutil.CollectAndCount(s.path.audited)
			if after != series {
				t.Errorf("%d series were %d", after, series)
			}
		})
	}
}
