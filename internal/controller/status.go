package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
)

// Events tells of what happened to an object; a manager's recorder does.
type Events interface {
	Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any)
}

// writer writes statuses.
type writer struct {
	live   client.Reader
	client client.Client
	events Events
}

// write changes the status of seen as edit does, and tells of the condition if
// that turned. It changes nothing if the object is another meanwhile, or its spec is.
func (w writer) write(ctx context.Context, seen *v1alpha1.PodIdentityAssociation, condition string, edit func(*v1alpha1.PodIdentityAssociationStatus)) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		o := &v1alpha1.PodIdentityAssociation{}
		err := w.live.Get(ctx, client.ObjectKeyFromObject(seen), o)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if err != nil || o.UID != seen.UID || o.Generation != seen.Generation {
			return nil
		}
		before := o.DeepCopy()
		edit(&o.Status)
		if equality.Semantic.DeepEqual(before.Status, o.Status) {
			return nil
		}
		err = w.client.Status().Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner("podid"))
		if err != nil {
			return client.IgnoreNotFound(err)
		}
		w.tell(o, find(before.Status, condition), find(o.Status, condition))
		return nil
	})
}

// tell makes an event of a condition that turned.
func (w writer) tell(o *v1alpha1.PodIdentityAssociation, before, now *metav1.Condition) {
	if now == nil || now.Status == metav1.ConditionUnknown || before != nil && before.Status == now.Status && before.Reason == now.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	if now.Status == metav1.ConditionFalse {
		kind = corev1.EventTypeWarning
	}
	w.events.Eventf(o, nil, kind, now.Reason, now.Type, "%.1000s", now.Message)
}

// find returns a condition, or nil.
func find(s v1alpha1.PodIdentityAssociationStatus, kind string) *metav1.Condition {
	return meta.FindStatusCondition(kubernetes(s.Conditions), kind)
}

// set sets a condition; the time is that of its turning.
func set(s *v1alpha1.PodIdentityAssociationStatus, c metav1.Condition) {
	all := kubernetes(s.Conditions)
	meta.SetStatusCondition(&all, c)
	s.Conditions = ours(all)
}

// remove removes a condition.
func remove(s *v1alpha1.PodIdentityAssociationStatus, kind string) {
	all := kubernetes(s.Conditions)
	meta.RemoveStatusCondition(&all, kind)
	s.Conditions = ours(all)
}

// kubernetes and ours tell conditions of the one type as those of the other.
func kubernetes(conditions []v1alpha1.Condition) (all []metav1.Condition) {
	for _, c := range conditions {
		all = append(all, metav1.Condition(c))
	}
	return all
}

func ours(conditions []metav1.Condition) (all []v1alpha1.Condition) {
	for _, c := range conditions {
		all = append(all, v1alpha1.Condition(c))
	}
	return all
}
