package admission

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/ack"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// Judge judges associations that come through the Kubernetes API, podid's own and
// those of ACK, by the rules and with the texts of the EKS API. Cluster and Caller are required.
type Judge struct {
	// Cluster is the cluster as AWS would name it.
	Cluster identity.Cluster
	// Rules are those of the association API.
	Rules association.Rules
	// Caller makes a caller of an authenticated user (rbac.Users).
	Caller func(user, uid string, groups []string, extra map[string][]string) identity.Caller
	// Audit writes an event of each change, admitted or refused. Zero: of none.
	Audit association.Auditor
	// Self is the user name of podid's own server, which writes for callers of the
	// API whom it has judged already. Empty: nobody is let through.
	Self string
	// Announce tells the other replicas that an association is about to be there, by
	// NAMESPACE/SERVICEACCOUNT (promise.Replica). If it fails, the association must not
	// be. Nil: nobody has to know.
	Announce func(ctx context.Context, key string) error
}

// Validate is for Config.Validate. Whoever may delete an association needs
// nothing else; the status is podid's, and gives nobody anything. What podid's own
// server writes is judged and audited already.
func (j Judge) Validate(ctx context.Context, r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	allowed := &admissionv1.AdmissionResponse{Allowed: true}
	if r.SubResource != "" {
		return allowed, nil
	}
	now, before, err := j.claims(r)
	switch {
	case err != nil:
		return nil, err
	case j.Self != "" && r.UserInfo.Username == j.Self:
		err = j.announce(ctx, r, now)
	case r.Operation == admissionv1.Delete && before.ours:
		err = j.decide(ctx, r, audit.DeletePodIdentityAssociation, &before, nil)
	case r.Operation == admissionv1.Create && now.ours:
		err = j.decide(ctx, r, audit.CreatePodIdentityAssociation, nil, &now)
	// Labels, finalizers and the like change no association. An object that an
	// earlier version let in can still be deleted.
	case r.Operation == admissionv1.Update && now.ours && !(before.ours && equality.Semantic.DeepEqual(before.spec, now.spec)):
		err = j.decide(ctx, r, audit.UpdatePodIdentityAssociation, &before, &now)
	}
	if err != nil {
		return refusal(err), nil
	}
	return allowed, nil
}

// decide judges one change, and audits it: before, the object was as before
// says, and it is to be as now says; nil: it was, or will be, not there.
func (j Judge) decide(ctx context.Context, r *admissionv1.AdmissionRequest, name string, before, now *claim) error {
	var old, wanted *identity.Association
	if before != nil && before.ours && before.wrong == nil {
		old = &before.association
	}
	if now != nil {
		wanted = &now.association
	}
	if old != nil && wanted != nil && onlyRevoked(*old, *wanted) {
		name = audit.RevokePodIdentityAssociation
	}
	auditor := j.Audit
	if isDryRun(r) {
		auditor = association.Auditor{}
	}
	ctx = audit.WithOrigin(ctx, audit.Origin{EventSource: audit.SourceKubernetes, RequestID: string(r.UID)})
	d := auditor.Decide(ctx, j.caller(r), time.Now(), name, j.Cluster.Name)
	err := j.judge(ctx, d, old, now)
	if err == nil && now != nil {
		err = j.announce(ctx, r, *now)
	}
	return d.End(ctx, err)
}

// announce announces what is about to be created. An object of ACK's becomes an
// association by podid's own hand, which is announced then.
func (j Judge) announce(ctx context.Context, r *admissionv1.AdmissionRequest, now claim) error {
	if j.Announce == nil || r.Operation != admissionv1.Create || r.Resource.Group == ack.Group || isDryRun(r) {
		return nil
	}
	return j.Announce(ctx, account{now.association.Namespace, now.association.ServiceAccount}.String())
}

// isDryRun tells whether a request changes nothing.
func isDryRun(r *admissionv1.AdmissionRequest) bool { return r.DryRun != nil && *r.DryRun }

// judge applies the rules.
func (j Judge) judge(ctx context.Context, d *association.Decision, old *identity.Association, now *claim) error {
	d.Changes(old, nil)
	if now == nil {
		return nil
	}
	if now.wrong != nil {
		return now.wrong
	}
	d.Changes(old, &now.association)
	// The roles of another service account are passed anew.
	if old != nil && old.ServiceAccount != now.association.ServiceAccount {
		old = nil
	}
	return j.Rules.Admit(ctx, d, old, now.association)
}

// onlyRevoked tells whether the one thing that differs is the time from which
// credentials count.
func onlyRevoked(before, now identity.Association) bool {
	same := now
	same.RevokedAt = before.RevokedAt
	return now.RevokedAt.After(before.RevokedAt) && same.Version() == before.Version() && maps.Equal(now.Tags, before.Tags)
}

// claims reads both objects of a request; what is not there is not ours.
func (j Judge) claims(r *admissionv1.AdmissionRequest) (now, before claim, err error) {
	if r.Operation == admissionv1.Create || r.Operation == admissionv1.Update {
		if now, err = j.read(r, r.Object.Raw); err != nil {
			return now, before, err
		}
	}
	if r.Operation == admissionv1.Update || r.Operation == admissionv1.Delete {
		before, err = j.read(r, r.OldObject.Raw)
	}
	return now, before, err
}

// claim is what an object says.
type claim struct {
	association identity.Association
	spec        any
	ours        bool  // it is an association of this cluster
	wrong       error // what keeps it from being one, beyond the rules
}

// read reads an object of podid's kind, or of ACK's.
func (j Judge) read(r *admissionv1.AdmissionRequest, raw []byte) (claim, error) {
	if r.Resource.Group != ack.Group {
		o := &v1alpha1.PodIdentityAssociation{}
		if err := decode(raw, o); err != nil {
			return claim{}, err
		}
		c := claim{association: kube.Association(j.Cluster, o), spec: o.Spec, ours: true}
		c.association.Namespace = r.Namespace
		return c, nil
	}
	o := &unstructured.Unstructured{}
	if err := decode(raw, &o.Object); err != nil {
		return claim{}, err
	}
	c := claim{spec: o.Object["spec"]}
	c.association, c.ours, c.wrong = ack.Association(j.Cluster, o)
	return c, nil
}

func (j Judge) caller(r *admissionv1.AdmissionRequest) identity.Caller {
	extra := map[string][]string{}
	for k, v := range r.UserInfo.Extra {
		extra[k] = v
	}
	return j.Caller(r.UserInfo.Username, r.UserInfo.UID, r.UserInfo.Groups, extra)
}

func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return identity.Errorf(identity.InvalidRequest, "The object is not the JSON of a PodIdentityAssociation.").Because(err)
	}
	return nil
}

// refusal is what the API server answers to whoever asked it; kubectl prints the
// message.
func refusal(err error) *admissionv1.AdmissionResponse {
	status := &metav1.Status{Status: metav1.StatusFailure, Message: identity.SafeMessage(err)}
	switch identity.KindOf(err) {
	case identity.AccessDenied:
		status.Code, status.Reason = http.StatusForbidden, metav1.StatusReasonForbidden
	case identity.InvalidParameter, identity.InvalidRequest:
		status.Code, status.Reason = http.StatusUnprocessableEntity, metav1.StatusReasonInvalid
	case identity.Unavailable, identity.Throttled:
		status.Code, status.Reason = http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
	default:
		status.Code, status.Reason = http.StatusInternalServerError, metav1.StatusReasonInternalError
	}
	return &admissionv1.AdmissionResponse{Result: status}
}
