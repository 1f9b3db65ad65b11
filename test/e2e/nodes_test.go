//go:build linux

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/test/kubernetes/node"
)

// TestNodes: the machines are nodes, and pods on each run to their end.
func TestNodes(t *testing.T) {
	began := time.Now()
	for _, n := range world.nodes {
		waitReady(t, n.Name, corev1.ConditionTrue)
	}
	t.Logf("%d nodes are ready %.1f s after the tests began", len(world.nodes), time.Since(began).Seconds())
	k := world.Client(t)
	ns := newNamespace(t, "nodes")
	for _, n := range world.nodes {
		pod, err := k.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "hello-" + n.Name},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				NodeSelector:  map[string]string{corev1.LabelHostname: n.Name},
				Containers:    []corev1.Container{{Name: "app", Image: "podid.test/app:1", Args: []string{"hello"}}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, pod.Name+" runs to its end", func() (bool, string) {
			got, err := k.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
			if err != nil {
				return false, err.Error()
			}
			return got.Status.Phase == corev1.PodSucceeded, fmt.Sprintf("%+v", got.Status)
		})
		said, err := k.CoreV1().Pods(ns).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		if err != nil || !strings.Contains(string(said), "hello from hello-"+n.Name) {
			t.Errorf("%s said %q, %v", pod.Name, said, err)
		}
	}
	t.Logf("a pod on each ran to its end %.1f s after the tests began", time.Since(began).Seconds())
}

func waitReady(t *testing.T, name string, want corev1.ConditionStatus) {
	t.Helper()
	eventually(t, 60*time.Second, fmt.Sprintf("%s: ready is %s", name, want), func() (bool, string) {
		n, err := world.Client(t).CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status == want, c.Message
			}
		}
		return false, "no condition"
	})
}

// newNamespace makes a namespace in which pods can be made.
func newNamespace(t *testing.T, name string) string {
	t.Helper()
	k := world.Client(t).CoreV1()
	if _, err := k.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the namespace has what pods need", func() (bool, string) {
		if _, err := k.ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
			return false, err.Error()
		}
		_, err := k.ConfigMaps(name).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	return name
}

// eventually polls until it is so; why tells what is in the way.
func eventually(t *testing.T, within time.Duration, what string, so func() (ok bool, why string)) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		ok, why := so()
		if ok {
			return
		}
		fell := slices.ContainsFunc(world.nodes, (*node.Node).Fell)
		if fell || time.Now().After(end) {
			for _, n := range world.nodes {
				t.Log(n.Logs())
			}
			t.Fatalf("not within %v: %s: %s", within, what, why)
		}
	}
}
