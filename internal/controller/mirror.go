package controller

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/ack"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
)

// mirror keeps an association for each object of ACK, which owns it. Who may make
// such objects, and pass the roles in them, the webhook has judged.
type mirror struct {
	cached client.Reader
	live   client.Reader
	client client.Client
	config Config
}

// Reconcile brings the association of one of ACK's objects up to date.
func (m *mirror) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	from := &unstructured.Unstructured{}
	from.SetGroupVersionKind(ack.Kind())
	err := m.cached.Get(ctx, request.NamespacedName, from)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	a, ours, wrong := ack.Association(m.config.Cluster, from)
	if err != nil || !ours || from.GetDeletionTimestamp() != nil {
		return reconcile.Result{}, m.remove(ctx, request.NamespacedName, "", "")
	}
	if wrong == nil {
		wrong = m.config.Rules.Validate(a)
	}
	if wrong == nil {
		if err := m.remove(ctx, request.NamespacedName, from.GetUID(), a.ServiceAccount); err != nil {
			return reconcile.Result{}, err
		}
		a, wrong = m.put(ctx, from, a)
	}
	if wrong != nil && !tellable(wrong) {
		return reconcile.Result{}, wrong
	}
	return reconcile.Result{}, m.tell(ctx, from, a, wrong)
}

// tellable says of an error that trying again does not help.
func tellable(err error) bool {
	switch identity.KindOf(err) {
	case identity.InvalidParameter, identity.InvalidRequest, identity.InUse:
		return true
	}
	return false
}

// remove deletes what was made for objects of ACK of that name, but for the
// association of one service account that is of the present one. The garbage
// collector would, in its time.
func (m *mirror) remove(ctx context.Context, of types.NamespacedName, present types.UID, except string) error {
	list := &v1alpha1.PodIdentityAssociationList{}
	if err := m.cached.List(ctx, list, client.InNamespace(of.Namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		o := &list.Items[i]
		if by := source(o); by == nil || by.Name != of.Name || by.UID == present && o.Name == except {
			continue
		}
		if err := m.client.Delete(ctx, o, client.Preconditions{UID: &o.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// source returns the object of ACK that an association was made for, or nil.
func source(o *v1alpha1.PodIdentityAssociation) *metav1.OwnerReference {
	if by := metav1.GetControllerOf(o); by != nil && by.APIVersion == ack.Kind().GroupVersion().String() && by.Kind == ack.Kind().Kind {
		return by
	}
	return nil
}

// put makes the association, or makes it what from says. One that others made is
// left alone.
func (m *mirror) put(ctx context.Context, from *unstructured.Unstructured, a identity.Association) (identity.Association, error) {
	o := &v1alpha1.PodIdentityAssociation{}
	err := m.live.Get(ctx, client.ObjectKey{Namespace: a.Namespace, Name: a.ServiceAccount}, o)
	if apierrors.IsNotFound(err) {
		yes := true
		o = &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: a.ServiceAccount}}
		o.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: ack.Kind().GroupVersion().String(), Kind: ack.Kind().Kind, Name: from.GetName(), UID: from.GetUID(), Controller: &yes,
		}}
		kube.Put(o, a)
		err = m.client.Create(ctx, o, client.FieldOwner("podid"))
		return kube.Association(m.config.Cluster, o), err
	}
	if err != nil {
		return a, err
	}
	if by := source(o); by == nil || by.UID != from.GetUID() {
		return a, association.AlreadyExists(kube.ID(o.UID))
	}
	before := o.DeepCopy()
	is := kube.Association(m.config.Cluster, o)
	a.ID, a.CreatedAt, a.ModifiedAt, a.RevokedAt = is.ID, is.CreatedAt, is.ModifiedAt, is.RevokedAt
	kube.Put(o, a)
	if equality.Semantic.DeepEqual(before.Spec, o.Spec) {
		return a, nil
	}
	return a, m.client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner("podid"))
}

// tell writes the status as ACK's controller would
// (https://aws-controllers-k8s.github.io/community/docs/user-docs/resource-crud/).
func (m *mirror) tell(ctx context.Context, o *unstructured.Unstructured, a identity.Association, wrong error) error {
	before := o.DeepCopy()
	synced := map[string]any{"type": "ACK.ResourceSynced", "status": "True"}
	conditions := []any{synced}
	status := map[string]any{"ackResourceMetadata": map[string]any{"ownerAccountID": a.Cluster.AccountID, "region": a.Cluster.Region}}
	if wrong != nil {
		synced["status"] = "False"
		conditions = append(conditions, map[string]any{"type": "ACK.Terminal", "status": "True", "message": identity.SafeMessage(wrong)})
	} else {
		status["ackResourceMetadata"].(map[string]any)["arn"] = a.ARN()
		status["associationARN"], status["associationID"] = a.ARN(), a.ID
	}
	status["conditions"] = dated(before, conditions, metav1.Now())
	for key, value := range status {
		if err := unstructured.SetNestedField(o.Object, value, "status", key); err != nil {
			return err
		}
	}
	patch := client.MergeFrom(before)
	if data, err := patch.Data(o); err != nil || slices.Equal(data, []byte("{}")) {
		return err
	}
	return client.IgnoreNotFound(m.client.Status().Patch(ctx, o, patch, client.FieldOwner("podid")))
}

// dated gives conditions the time since when they are so.
func dated(o *unstructured.Unstructured, conditions []any, now metav1.Time) []any {
	were, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // whatever else is there is replaced
	for _, c := range conditions {
		c := c.(map[string]any)
		c["lastTransitionTime"] = now.UTC().Format("2006-01-02T15:04:05Z")
		for _, w := range were {
			if w, ok := w.(map[string]any); ok && w["type"] == c["type"] && w["status"] == c["status"] && w["lastTransitionTime"] != nil {
				c["lastTransitionTime"] = w["lastTransitionTime"]
			}
		}
	}
	return conditions
}
