package admission

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
)

// maxReview bounds a review. The API server takes objects of up to 3 MiB, and a
// review of an update holds two
// (k8s.io/apiserver/pkg/server/config.go, MaxRequestBodyBytes).
const maxReview = 7 << 20

// judge answers one request. It returns an error where it cannot: the API
// server then goes by the webhook's failurePolicy, whereas an answer that does
// not allow is a refusal under any policy.
type judge func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error)

// reviewed serves j: AdmissionReview v1 in, AdmissionReview v1 out
// (https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request).
func reviewed(j judge) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		review, err := readReview(w, r)
		if err != nil {
			writeFailure(w, err)
			return
		}
		answer, err := j(r.Context(), review.Request)
		if err != nil {
			writeFailure(w, err)
			return
		}
		answer.UID = review.Request.UID
		writeJSON(w, http.StatusOK, admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: answer})
	}
}

// errTooLarge is the one failure that has no kind of its own.
var errTooLarge = errors.New("the review has more than 7 MiB")

func readReview(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionReview, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, identity.Errorf(identity.InvalidRequest, "The content type must be application/json.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, errTooLarge
		}
		return nil, identity.Errorf(identity.InvalidRequest, "The review could not be read.").Because(err)
	}
	return parseReview(body)
}

func parseReview(body []byte) (*admissionv1.AdmissionReview, error) {
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, review); err != nil {
		return nil, identity.Errorf(identity.InvalidRequest, "The review is not the JSON of an AdmissionReview.").Because(err)
	}
	if review.APIVersion != admissionv1.SchemeGroupVersion.String() || review.Kind != "AdmissionReview" {
		return nil, identity.Errorf(identity.InvalidRequest, "Only AdmissionReview of %s is understood.", admissionv1.SchemeGroupVersion)
	}
	if review.Request == nil || review.Request.UID == "" {
		return nil, identity.Errorf(identity.InvalidRequest, "The review holds no request with a uid.")
	}
	return review, nil
}

// writeFailure answers with a Status, the form that all errors of the
// Kubernetes API have: the API server shows its message.
func writeFailure(w http.ResponseWriter, err error) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Message: identity.SafeMessage(err), Reason: metav1.StatusReasonInternalError, Code: http.StatusInternalServerError,
	}
	switch kind := identity.KindOf(err); {
	case errors.Is(err, errTooLarge):
		status.Message, status.Reason, status.Code = err.Error(), metav1.StatusReasonRequestEntityTooLarge, http.StatusRequestEntityTooLarge
	case kind == identity.InvalidRequest || kind == identity.InvalidParameter:
		status.Reason, status.Code = metav1.StatusReasonBadRequest, http.StatusBadRequest
	case kind == identity.Unavailable || kind == identity.Throttled:
		status.Reason, status.Code = metav1.StatusReasonServiceUnavailable, http.StatusServiceUnavailable
	}
	writeJSON(w, int(status.Code), status)
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // nothing in it is of a kind that has no JSON
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(body)
}
