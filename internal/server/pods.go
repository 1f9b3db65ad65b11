package server

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/review"
)

// Prewarm says of which pods the credentials are made ready before they ask.
type Prewarm struct {
	All        bool
	Namespaces []string // these, if not All
}

func (p Prewarm) of(namespace string) bool { return p.All || slices.Contains(p.Namespaces, namespace) }

// slim keeps of a pod in memory what podid asks of it: where there are a
// hundred thousand, the rest would be gigabytes.
func slim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	m := pod.ObjectMeta
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, DeletionTimestamp: m.DeletionTimestamp,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName, ServiceAccountName: pod.Spec.ServiceAccountName},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, Conditions: ready(pod)},
	}, nil
}

// ready returns the condition that says whether a pod answers.
func ready(pod *corev1.Pod) []corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return nil
}

// podsIn finds pods through a reader, in memory or at the API server.
func podsIn(reader client.Reader) review.Pods {
	return func(ctx context.Context, namespace, name string) (review.Pod, error) {
		pod := &corev1.Pod{}
		if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
			return review.Pod{}, err
		}
		found := review.Pod{UID: string(pod.UID), NodeName: pod.Spec.NodeName}
		if pod.DeletionTimestamp != nil {
			found.EndsAt = pod.DeletionTimestamp.Time
		}
		return found, nil
	}
}

// warmer makes the chains of pods ready when they are bound to a node whose
// agent listens to this replica, which it will then ask for credentials; any
// other replica would assume roles in vain. It drops those of pods that are gone.
type warmer struct {
	prewarm Prewarm
	listens func(node string) bool
	known   func(namespace, serviceAccount string) (identity.Association, bool)
	chains  *chain.Cache
}

// handler is told of pods by an informer. Those that were there before are not
// made ready: their agents have what they need, and after a restart of the
// server all of them at once would be a storm.
func (w *warmer) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, old bool) {
			if !old {
				w.seen(nil, o)
			}
		},
		UpdateFunc: func(before, o any) { w.seen(before, o) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			w.gone(o)
		},
	}
}

func (w *warmer) seen(before, now any) {
	pod, ok := now.(*corev1.Pod)
	if !ok {
		return
	}
	if ended(pod) {
		w.gone(pod)
		return
	}
	old, _ := before.(*corev1.Pod)
	bound := pod.Spec.NodeName != "" && (old == nil || old.Spec.NodeName == "")
	if !bound || pod.DeletionTimestamp != nil || !w.prewarm.of(pod.Namespace) || !w.listens(pod.Spec.NodeName) {
		return
	}
	if a, ok := w.known(pod.Namespace, pod.Spec.ServiceAccountName); ok {
		w.chains.Prewarm(a, identity.Subject{
			Namespace: pod.Namespace, ServiceAccount: pod.Spec.ServiceAccountName,
			PodName: pod.Name, PodUID: string(pod.UID), NodeName: pod.Spec.NodeName,
		})
	}
}

// ended tells whether nothing of a pod runs any more.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func (w *warmer) gone(o any) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	if a, ok := w.known(pod.Namespace, pod.Spec.ServiceAccountName); ok {
		w.chains.ForgetPod(a.ID, string(pod.UID))
	}
}
