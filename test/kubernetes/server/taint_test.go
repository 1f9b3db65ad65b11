package server

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestTheTaintOfNewNodes: it goes when the node's own agent is ready, and takes
// no other taint with it.
func TestTheTaintOfNewNodes(t *testing.T) {
	w := start(t, 0)
	w.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: podid-server-taints}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get, list, watch, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: podid-server-taints}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-server-taints}
subjects: [{kind: ServiceAccount, namespace: `+ownNamespace+`, name: podid}]
`)
	taints := func(node string) (keys []string) {
		n := &corev1.Node{}
		if err := w.objects.Get(t.Context(), client.ObjectKey{Name: node}, n); err != nil {
			t.Fatal(err)
		}
		for _, taint := range n.Spec.Taints {
			keys = append(keys, taint.Key)
		}
		return keys
	}
	for _, node := range []string{"node-1", "node-2"} {
		n := &corev1.Node{}
		if err := w.objects.Get(t.Context(), client.ObjectKey{Name: node}, n); err != nil {
			t.Fatal(err)
		}
		n.Spec.Taints = append(n.Spec.Taints,
			corev1.Taint{Key: "podid.dev/agent-not-ready", Effect: corev1.TaintEffectNoSchedule}, corev1.Taint{Key: "example.com/other", Effect: corev1.TaintEffectNoSchedule})
		if err := w.objects.Update(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	w.replica("--remove-taint")
	agent := &corev1.Pod{}
	if err := w.objects.Get(t.Context(), client.ObjectKey{Namespace: agentNamespace, Name: "agent-of-node-1"}, agent); err != nil {
		t.Fatal(err)
	}
	agent.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := w.objects.Status().Update(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the taint is gone from the node whose agent is ready", func() error {
		if slices.Contains(taints("node-1"), "podid.dev/agent-not-ready") {
			return errNotYet
		}
		return nil
	})
	if got := taints("node-1"); !slices.Contains(got, "example.com/other") {
		t.Errorf("node-1 has the taints %v", got)
	}
	if got := taints("node-2"); !slices.Contains(got, "podid.dev/agent-not-ready") {
		t.Errorf("node-2, whose agent is not ready, has the taints %v", got)
	}
}
