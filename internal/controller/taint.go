package controller

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// TaintNotReady is the key of the taint that new nodes may be given, by whatever
// makes them, so that no pod starts there before the agent answers.
const TaintNotReady = "podid.dev/agent-not-ready"

// AddTaints has the taint TaintNotReady removed from nodes whose agent is ready.
// agent is the service account of the agents. A node whose agent goes away later
// gets no taint: its pods have credentials, and new ones are held by the agent's
// own patience and the SDKs'.
func AddTaints(m manager.Manager, agent types.NamespacedName) error {
	if agent.Namespace == "" || agent.Name == "" {
		return errors.New("controller: the agents' service account is required")
	}
	tainted := predicate.NewPredicateFuncs(func(o client.Object) bool {
		node, ok := o.(*corev1.Node)
		return ok && isTainted(node)
	})
	ready := predicate.NewPredicateFuncs(func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && readyAgent(pod, agent)
	})
	nodeOf := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: pod.Spec.NodeName}}}
	})
	return builder.ControllerManagedBy(m).Named("taint").
		For(&corev1.Node{}, builder.WithPredicates(tainted)).
		Watches(&corev1.Pod{}, nodeOf, builder.WithPredicates(ready)).
		Complete(&taints{cached: m.GetClient(), client: m.GetClient(), agent: agent})
}

type taints struct {
	cached client.Reader
	client client.Client
	agent  types.NamespacedName
}

// Reconcile removes the taint from a node, if its agent is ready.
func (t *taints) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	node := &corev1.Node{}
	if err := t.cached.Get(ctx, request.NamespacedName, node); err != nil || !isTainted(node) {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	pods := &corev1.PodList{}
	if err := t.cached.List(ctx, pods, client.InNamespace(t.agent.Namespace)); err != nil {
		return reconcile.Result{}, err
	}
	ready := func(p corev1.Pod) bool { return p.Spec.NodeName == node.Name && readyAgent(&p, t.agent) }
	if !slices.ContainsFunc(pods.Items, ready) {
		return reconcile.Result{}, nil // the pod's own event comes
	}
	without := node.DeepCopy()
	without.Spec.Taints = slices.DeleteFunc(without.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == TaintNotReady })
	// Somebody else's taint of the same moment must not be lost.
	patch := client.MergeFromWithOptions(node, client.MergeFromWithOptimisticLock{})
	return reconcile.Result{}, client.IgnoreNotFound(t.client.Patch(ctx, without, patch))
}

func isTainted(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == TaintNotReady })
}

// readyAgent tells whether a pod is an agent that answers.
func readyAgent(pod *corev1.Pod, agent types.NamespacedName) bool {
	return pod.Namespace == agent.Namespace && pod.Spec.ServiceAccountName == agent.Name && pod.DeletionTimestamp == nil &&
		slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
}
