package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// RecordOf is what an object says of an association, and of how it stands with it.
func RecordOf(cluster identity.Cluster, o *v1alpha1.PodIdentityAssociation) console.Record {
	r := console.Record{
		Association: kube.Association(cluster, o), State: console.Unknown, Object: o.Namespace + "/" + o.Name, ManagedBy: managerOf(o),
	}
	if o.Status.LastIssued != nil {
		r.LastIssued = o.Status.LastIssued.UTC()
	}
	for _, c := range o.Status.Conditions {
		r.Conditions = append(r.Conditions, console.Condition{
			Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime.UTC(),
		})
		if c.ObservedGeneration != o.Generation {
			continue // of what the object was
		}
		switch {
		case c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionFalse:
			r.State, r.StateReason = console.NotReady, c.Message
		case c.Type == v1alpha1.ConditionChainVerified && r.State != console.NotReady && c.Status == metav1.ConditionFalse:
			r.State, r.StateReason = console.Failing, c.Message
			// The controller's text is "Hop N, ARN: ..."; without it the hop is not known.
			_, _ = fmt.Sscanf(c.Message, "Hop %d,", &r.FailedHop)
		case c.Type == v1alpha1.ConditionChainVerified && r.State != console.NotReady && c.Status == metav1.ConditionTrue:
			r.State = console.Working
		}
	}
	return r
}

// managerOf names what keeps an object from elsewhere, by the marks that it leaves.
func managerOf(o *v1alpha1.PodIdentityAssociation) string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return owner.Kind + " " + owner.Name
	}
	switch {
	case o.Annotations["argocd.argoproj.io/tracking-id"] != "":
		return "Argo CD"
	case o.Labels["kustomize.toolkit.fluxcd.io/name"] != "" || o.Labels["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	}
	return o.Labels["app.kubernetes.io/managed-by"]
}

// eventsOf are Kubernetes' events, newest first.
func eventsOf(list *corev1.EventList) []console.KubernetesEvent {
	found := []console.KubernetesEvent{}
	for _, e := range list.Items {
		out := console.KubernetesEvent{
			Type: e.Type, Reason: e.Reason, Message: e.Message, Count: int(max(e.Count, 1)), FirstSeen: e.FirstTimestamp.UTC(), LastSeen: e.LastTimestamp.UTC(),
			Source: cmp.Or(e.ReportingController, e.Source.Component),
		}
		// The newer form has a time, and a series once it repeats
		// (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/).
		if !e.EventTime.IsZero() {
			out.FirstSeen, out.LastSeen = earliest(out.FirstSeen, e.EventTime.Time), latest(out.LastSeen, e.EventTime.Time)
		}
		if e.Series != nil {
			out.Count, out.LastSeen = int(e.Series.Count), latest(out.LastSeen, e.Series.LastObservedTime.Time)
		}
		found = append(found, out)
	}
	slices.SortStableFunc(found, func(a, b console.KubernetesEvent) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), strings.Compare(a.Reason, b.Reason))
	})
	return found
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b.UTC()
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b.UTC()
	}
	return a
}
