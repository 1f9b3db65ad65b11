package admission

import (
	"context"
	"encoding/json"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/ack"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/kube"
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
	// Self is the user name of podid's own server, which writes for callers of the
	// API whom it has judged already. Empty: nobody is let through.
	Self string
}

// Validate is for Config.Validate. Whoever may delete an association needs
// nothing else; the status is podid's, and gives nobody anything.
func (j Judge) Validate(ctx context.Context, r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	if r.SubResource != "" || r.Operation != admissionv1.Create && r.Operation != admissionv1.Update || j.Self != "" && r.UserInfo.Username == j.Self {
		return &admissionv1.AdmissionResponse{Allowed: true}, nil
	}
	now, err := j.read(r, r.Object.Raw)
	if err != nil || !now.ours {
		return &admissionv1.AdmissionResponse{Allowed: true}, err
	}
	var old *identity.Association
	if r.Operation == admissionv1.Update {
		before, err := j.read(r, r.OldObject.Raw)
		if err != nil {
			return nil, err
		}
		// Labels, finalizers and the like. An object that an earlier version let in can still be deleted.
		if before.ours && equality.Semantic.DeepEqual(before.spec, now.spec) {
			return &admissionv1.AdmissionResponse{Allowed: true}, nil
		}
		// The roles of another service account are passed anew.
		if before.ours && before.wrong == nil && before.association.ServiceAccount == now.association.ServiceAccount {
			old = &before.association
		}
	}
	if now.wrong != nil {
		return refusal(now.wrong), nil
	}
	if err := j.Rules.Admit(ctx, j.caller(r), old, now.association); err != nil {
		return refusal(err), nil
	}
	return &admissionv1.AdmissionResponse{Allowed: true}, nil
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
