package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/podid/podid/internal/identity"
)

// outcome is what became of a pod.
type outcome string

const (
	mutated       outcome = "mutated"
	complete      outcome = "complete"       // it had everything already
	skipped       outcome = "skipped"        // by its label, or it has no service account
	unassociated  outcome = "no_association" // its service account has none
	undetermined  outcome = "undetermined"   // nobody could say whether it has one
	unreadablePod outcome = "unreadable"
)

// event is what is logged about one pod.
type event struct {
	request     *admissionv1.AdmissionRequest
	account     account
	pod         string
	outcome     outcome
	association string
	live        bool // the API server was asked
	warnings    []string
	err         error
}

// mutate answers for the creation of a pod.
func (w *Webhook) mutate(ctx context.Context, r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	if r.Operation != admissionv1.Create || r.Resource.Group != "" || r.Resource.Resource != "pods" || r.SubResource != "" {
		return &admissionv1.AdmissionResponse{Allowed: true}, nil
	}
	began := time.Now()
	e := event{request: r}
	answer, err := w.admit(ctx, &e)
	w.metrics.pods.WithLabelValues(string(e.outcome)).Inc()
	w.log(ctx, &e, time.Since(began))
	return answer, err
}

func (w *Webhook) admit(ctx context.Context, e *event) (*admissionv1.AdmissionResponse, error) {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(e.request.Object.Raw, pod); err != nil {
		e.outcome, e.err = unreadablePod, err
		return nil, identity.Errorf(identity.InvalidRequest, "The object is not the JSON of a pod.")
	}
	e.pod = pod.Name + pod.GenerateName
	e.account = account{e.request.Namespace, pod.Spec.ServiceAccountName}
	// Mirror pods have no service account, and their kubelet would undo a change
	// (https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/).
	if _, skip := pod.Labels[SkipLabel]; skip || e.account.name == "" {
		e.outcome = skipped
		return e.answer(nil)
	}
	a, err := w.find(ctx, e)
	switch {
	case err == nil:
	case identity.KindOf(err) == identity.NotFound:
		e.outcome = unassociated
		return e.answer(w.mark(pod, e.account.namespace))
	default:
		// A service account that is known to have an association does not come
		// this far. The rest must be able to start whatever state podid is in.
		e.outcome, e.err = undetermined, err
		e.warn("podid could not find out whether service account %s has a pod identity association; if it has, make the pod anew to give it AWS credentials", e.account.name)
		return e.answer(nil)
	}
	e.association = a.ID
	change := Mutate(pod, w.annotations(e.account), w.config.Settings, rand.Float64())
	if w.config.Broken != nil {
		if reason, broken := w.config.Broken(a); broken {
			e.warn("podid: AWS refuses the credentials of association %s: %s", a.ID, reason)
		}
	}
	e.warnings = append(e.warnings, change.Warnings...)
	e.outcome = complete
	if change.Patch != nil {
		e.outcome = mutated
	}
	return e.answer(change.Patch)
}

// mark has the policy pass over a pod without an association.
func (w *Webhook) mark(pod *corev1.Pod, namespace string) (p Patch) {
	if w.config.Count != nil && w.config.Count(namespace) >= crowd {
		p.label(pod, UnassociatedLabel, "true")
	}
	return p
}

// find takes what is in memory, as what a pod gets does not depend on how old
// that is; what is not there may have been made a moment ago, unless that is
// known to be otherwise.
func (w *Webhook) find(ctx context.Context, e *event) (identity.Association, error) {
	current := w.config.Current != nil && w.config.Current(e.account.String())
	if a, known := w.config.Associations.Known(e.account.namespace, e.account.name); known {
		return a, nil
	}
	if current {
		w.metrics.current.Inc()
		return identity.Association{}, &identity.Error{Kind: identity.NotFound}
	}
	e.live = true
	return w.reads.find(ctx, e.account)
}

func (w *Webhook) annotations(a account) map[string]string {
	if w.config.Annotations == nil {
		return nil
	}
	return w.config.Annotations(a.namespace, a.name)
}

// answer allows the pod, with p. The annotations reach the API server's audit
// log, with the webhook's name before them.
func (e *event) answer(p Patch) (*admissionv1.AdmissionResponse, error) {
	out := &admissionv1.AdmissionResponse{Allowed: true, Warnings: e.warnings, AuditAnnotations: map[string]string{"outcome": string(e.outcome)}}
	if e.association != "" {
		out.AuditAnnotations["association"] = e.association
	}
	if p == nil {
		return out, nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("writing a patch: %w", err)
	}
	form := admissionv1.PatchTypeJSONPatch
	out.Patch, out.PatchType = text, &form
	return out, nil
}

// maxWarning is how long a warning may be for clients to be shown all of it
// (https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response).
const maxWarning = 256

func (e *event) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxWarning {
		text = strings.ToValidUTF8(text[:maxWarning-3], "") + "..."
	}
	e.warnings = append(e.warnings, text)
}

// log writes one event. That a service account has no association is the
// ordinary case on most clusters, and nothing to tell.
func (w *Webhook) log(ctx context.Context, e *event, took time.Duration) {
	level := slog.LevelInfo
	switch e.outcome {
	case unassociated, skipped:
		level = slog.LevelDebug
	case undetermined, unreadablePod:
		level = slog.LevelWarn
	}
	if !w.config.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("outcome", string(e.outcome)), slog.String("namespace", e.account.namespace), slog.String("serviceAccount", e.account.name),
		slog.String("pod", e.pod), slog.String("association", e.association), slog.Bool("live", e.live),
		slog.String("uid", string(e.request.UID)), slog.Duration("took", took),
	}
	if len(e.warnings) > 0 {
		attrs = append(attrs, slog.Any("warnings", e.warnings))
	}
	if e.err != nil {
		attrs = append(attrs, slog.String("error", e.err.Error()))
	}
	w.config.Logger.LogAttrs(ctx, level, "pod", attrs...)
}
