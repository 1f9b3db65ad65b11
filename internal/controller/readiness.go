package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
)

// readiness fills in all of the status but for the chain.
type readiness struct {
	cached client.Reader
	config Config
	status writer
}

// Reconcile judges one association. That it was found here means that a server's
// informer has it; a server whose informer has not asks the API server, before it
// says that there is none. So a pod made now gets it, whichever server is asked.
func (r *readiness) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	o := &v1alpha1.PodIdentityAssociation{}
	if err := r.cached.Get(ctx, request.NamespacedName, o); err != nil || !o.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	wanted := o.Status.DeepCopy()
	r.judge(o, wanted)
	if equality.Semantic.DeepEqual(&o.Status, wanted) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, r.status.write(ctx, o, v1alpha1.ConditionReady, func(s *v1alpha1.PodIdentityAssociationStatus) { r.judge(o, s) })
}

// judge writes what the status should be into s.
func (r *readiness) judge(o *v1alpha1.PodIdentityAssociation, s *v1alpha1.PodIdentityAssociationStatus) {
	a := kube.Association(r.config.Cluster, o)
	s.AssociationID, s.AssociationARN, s.ExternalID, s.ObservedGeneration = a.ID, a.ARN(), a.ExternalID(), o.Generation
	ready := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: o.Generation,
		Reason: "Served", Message: "Pods made now get the association.",
	}
	// The webhook lets no such object in, but may have been away.
	if err := r.config.Rules.Validate(a); err != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Invalid", identity.SafeMessage(err)
	}
	set(s, ready)
	if r.config.Verify == nil {
		remove(s, v1alpha1.ConditionChainVerified)
	}
}
