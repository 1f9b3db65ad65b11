package admission_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// trail is an audit sink that may be full.
type trail struct {
	events []*audit.Event
	full   bool
}

func (l *trail) Write(_ context.Context, e *audit.Event) error {
	if l.full {
		return errors.New("disk full")
	}
	kept := *e
	l.events = append(l.events, &kept)
	return nil
}

func (p passer) User() (string, []string) { return p.user, []string{"team"} }

func TestChangesThroughKubernetesAreAudited(t *testing.T) {
	later := func(o *v1alpha1.PodIdentityAssociation) {
		o.Spec.RevokedAt = &metav1.Time{Time: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	}
	yes := true
	both := passer{"alice", []string{podRole, targetRole}, nil}
	for name, c := range map[string]struct {
		who  passer
		full bool
		r    admissionv1.AdmissionRequest
		ok   bool
		want []string
	}{
		"create": {both, false, admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, nil)}, true, []string{
			"PassRole granted " + podRole, "PassRole granted " + targetRole, "CreatePodIdentityAssociation admitted"}},
		"may not pass": {passer{user: "alice"}, false, admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, nil)}, false, []string{
			"PassRole refused " + podRole, "PassRole refused " + targetRole, "CreatePodIdentityAssociation refused"}},
		"breaks a rule": {both, false, admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, func(o *v1alpha1.PodIdentityAssociation) {
			o.Spec.Policy = strings.Repeat("x", 10_000)
		})}, false, []string{"CreatePodIdentityAssociation refused"}},
		"update": {both, false, admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, nil), Object: raw(t, func(o *v1alpha1.PodIdentityAssociation) {
			o.Spec.TargetRoleARN = ""
		})}, true, []string{"PassRole granted " + podRole, "UpdatePodIdentityAssociation admitted"}},
		"revoke": {passer{user: "alice"}, false, admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, nil), Object: raw(t, later)}, true, []string{
			"RevokePodIdentityAssociation admitted"}},
		"unrevoke": {passer{user: "alice"}, false, admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, later), Object: raw(t, nil)}, true, []string{
			"UpdatePodIdentityAssociation admitted"}},
		"labels": {both, false, admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, nil), Object: raw(t, func(o *v1alpha1.PodIdentityAssociation) {
			o.Labels = map[string]string{"a": "b"}
		})}, true, nil},
		"delete":         {passer{user: "alice"}, false, admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, nil)}, true, []string{"DeletePodIdentityAssociation admitted"}},
		"dry run":        {both, false, admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, nil), DryRun: &yes}, true, nil},
		"by podid":       {passer{user: server}, false, admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, nil)}, true, nil},
		"deletion by it": {passer{user: server}, false, admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, nil)}, true, nil},
		// Nothing is given that is not audited; and nothing is kept alive for that.
		"create, full disk": {both, true, admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, nil)}, false, nil},
		"revoke, full disk": {both, true, admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, nil), Object: raw(t, later)}, true, nil},
		"delete, full disk": {both, true, admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, nil)}, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			log := &trail{full: c.full}
			j := admission.Judge{
				Cluster: identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"},
				Rules:   association.Rules{PassTargetRole: true}, Self: server, Audit: association.Auditor{Sink: log},
				Caller: func(string, string, []string, map[string][]string) identity.Caller { return c.who },
			}
			c.r.UID, c.r.Namespace, c.r.UserInfo = "review-1", "shop", authenticationv1.UserInfo{Username: c.who.user}
			got, err := j.Validate(t.Context(), &c.r)
			if err != nil || got.Allowed != c.ok {
				t.Fatalf("got %+v, %v", got, err)
			}
			var told []string
			for _, e := range log.events {
				told = append(told, strings.TrimSpace(e.EventName+" "+string(e.Outcome)+" "+e.RoleARN))
				if e.EventSource != audit.SourceKubernetes || e.RequestID != "review-1" || e.CallerUser != "alice" || !slices.Equal(e.CallerGroups, []string{"team"}) || e.ClusterName != "example-cluster" {
					t.Errorf("audited %+v", e)
				}
				if a := e.Association; a != nil && (a.Namespace != "shop" || a.ServiceAccount != "app" || len(a.Policy) > 2048) {
					t.Errorf("audited %+v", a)
				}
			}
			if !slices.Equal(told, c.want) {
				t.Errorf("audited %v, want %v", told, c.want)
			}
		})
	}
}
