package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// RefusedConfig says where Kubernetes Events go. Events and Object are required.
type RefusedConfig struct {
	Events Events
	// Object returns the informer's object of a service account, or nil.
	Object func(namespace, serviceAccount string) *v1alpha1.PodIdentityAssociation
	// Every is how often the same object is told the same at most. 0: 5 minutes.
	Every time.Duration
	// Rate bounds the Events of this replica in a second, with bursts of ten times
	// as many. 0: 5.
	Rate rate.Limit
}

// Refused makes Kubernetes Events, at the pod and at its association, of audit
// events of credentials that were refused: in words for whoever owns the pod,
// with what to do. It is an audit.Sink that keeps nothing and never fails: an
// Event is a help, and no record. It is safe for concurrent use.
type Refused struct {
	config RefusedConfig
	limit  *rate.Limiter

	mu   sync.Mutex
	told map[telling]time.Time
}

// telling is what an object was told.
type telling struct {
	uid    types.UID
	reason string
}

const (
	defaultRefusedEvery = 5 * time.Minute
	defaultRefusedRate  = rate.Limit(5)
	// maxTold bounds what is remembered; beyond it, all is forgotten that is old.
	maxTold = 10_000
	// maxNote is the longest note that the API server takes, in bytes
	// (k8s.io/api/events/v1: Event.Note).
	maxNote = 1024
)

// NewRefused makes a Refused.
func NewRefused(c RefusedConfig) (*Refused, error) {
	if c.Events == nil || c.Object == nil || c.Every < 0 || c.Rate < 0 {
		return nil, errors.New("controller: Events and Object are required, and a time and a rate are not negative")
	}
	if c.Every == 0 {
		c.Every = defaultRefusedEvery
	}
	if c.Rate == 0 {
		c.Rate = defaultRefusedRate
	}
	return &Refused{config: c, limit: rate.NewLimiter(c.Rate, 10*max(int(c.Rate), 1)), told: map[telling]time.Time{}}, nil
}

// Write tells the pod and the association of a refusal. It returns nil.
func (f *Refused) Write(_ context.Context, e *audit.Event) error {
	s := e.Subject
	if e.EventName != audit.AssumeRoleForPodIdentity || e.Outcome != audit.Refused || s == nil {
		return nil
	}
	reason, note := explained(e)
	pod := &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: s.Namespace, Name: s.PodName, UID: types.UID(s.PodUID),
	}
	f.tell(pod.UID, pod, nil, reason, note)
	// What concerns one pod alone is no news of its association.
	if o := f.config.Object(s.Namespace, s.ServiceAccount); o != nil && len(e.Hops) > 0 {
		f.tell(o.UID, o, pod, reason, note)
	}
	return nil
}

// tell makes an Event, unless the object was told the same of late.
func (f *Refused) tell(uid types.UID, object, related runtime.Object, reason, note string) {
	now := time.Now()
	if !f.due(telling{uid, reason}, now) {
		return
	}
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-len("...")], "") + "..."
	}
	f.config.Events.Eventf(object, related, corev1.EventTypeWarning, reason, "AssumeRoleForPodIdentity", "%s", note)
}

func (f *Refused) due(t telling, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last, ok := f.told[t]; ok && now.Sub(last) < f.config.Every {
		return false
	}
	if len(f.told) >= maxTold {
		for old, at := range f.told {
			if now.Sub(at) >= f.config.Every {
				delete(f.told, old)
			}
		}
	}
	// More than that many objects in five minutes are told nothing.
	if len(f.told) >= maxTold || !f.limit.AllowN(now, 1) {
		return false
	}
	f.told[t] = now
	return true
}

// explained says why, and what to do about it. The note begins with what whoever
// reads few words has to know.
func explained(e *audit.Event) (reason, note string) {
	account := e.Subject.Namespace + "/" + e.Subject.ServiceAccount
	explain := fmt.Sprintf("Run: kubectl podid explain -n %s -s %s", e.Subject.Namespace, e.Subject.ServiceAccount)
	if n := len(e.Hops); n > 0 {
		return refusedHop(e, e.Hops[n-1], explain)
	}
	switch e.ErrorCode {
	case identity.NotFound.String():
		return "NoPodIdentityAssociation", fmt.Sprintf("No AWS credentials: service account %s has no pod identity association in cluster %s. "+
			"Make one (kubectl podid association create -n %s -s %s --role-arn ROLE), or give the pod the service account that has one.",
			account, e.ClusterName, e.Subject.Namespace, e.Subject.ServiceAccount)
	case identity.AccessDenied.String():
		return "TokenRefused", fmt.Sprintf("No AWS credentials: %s The agent of node %s asked with a token that belongs to a pod on node %s. "+
			"A token must not leave its pod; if nobody copied it, tell whoever runs the cluster.", e.ErrorMessage, e.CallerNodeName, e.Subject.NodeName)
	case identity.InvalidToken.String(), identity.ExpiredToken.String():
		return "TokenRefused", "No AWS credentials: " + e.ErrorMessage + " Delete the pod, so that a new one gets a new token."
	}
	return "CredentialsDelayed", fmt.Sprintf("No AWS credentials yet: %s The pod's SDK asks again by itself; if this lasts, tell whoever runs podid (request %s).",
		e.ErrorMessage, e.RequestID)
}

// refusedHop explains what AWS said of a hop.
func refusedHop(e *audit.Event, hop audit.Hop, explain string) (reason, note string) {
	which, trust := "Pod Identity role", "Its trust policy has to let podid assume it and tag the session"
	if len(e.Hops) > 1 {
		which, trust = "target role", "Its trust policy has to name the Pod Identity role "+e.Hops[0].RoleARN
		if hop.ExternalID != "" {
			trust += " and the external ID " + hop.ExternalID
		}
		trust += ", and the Pod Identity role's own policy has to allow sts:AssumeRole on it"
	}
	switch e.ErrorCode {
	case identity.Throttled.String(), identity.Unavailable.String(), identity.Internal.String():
		return "CredentialsDelayed", fmt.Sprintf("No AWS credentials yet: assuming the %s %s did not succeed (%s). The pod's SDK asks again by itself; "+
			"if this lasts, tell whoever runs podid (request %s).", which, hop.RoleARN, e.ErrorCode, e.RequestID)
	}
	return "RoleRefused", fmt.Sprintf("No AWS credentials: AWS refused podid the %s %s. %s. %s. AWS said: %s", which, hop.RoleARN, trust, explain, hop.Error)
}
