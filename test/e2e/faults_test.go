//go:build linux

package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podid/podid/test/kubernetes/node"
)

// soon is how long a change may take to reach pods that ask; it is a tenth of a
// second on a machine that has nothing else to do.
const soon = 5 * time.Second

// associationIsChanged: the next time that pods ask, they get the other role;
// nobody is refused meanwhile.
func associationIsChanged(t *testing.T, s *shop) {
	l := s.load(t, s.pods...)
	l.more(t, 20)
	for _, want := range []struct{ arn, name string }{{otherRoleARN, "other-data"}, {targetRoleARN, "shop-data"}} {
		world.Apply(t, association(s.namespace, want.arn))
		began := time.Now()
		for i := range s.pods {
			p := &s.pods[i]
			eventually(t, soon, fmt.Sprintf("%s has %s", p.Name, want.name), func() (bool, string) {
				got, err := s.role(t.Context(), p)
				return got == want.name, fmt.Sprintf("%s %v", got, err)
			})
		}
		t.Logf("all pods have %s %v after the change was acknowledged", want.name, time.Since(began).Round(time.Millisecond))
		l.more(t, 20)
	}
	l.unharmed(t)
}

// serverIsKilled: one of two, as when memory runs out.
func serverIsKilled(t *testing.T, s *shop) {
	l := s.load(t, s.pods...)
	l.more(t, 20)
	kill(t, "/podid\x00server\x00")
	l.more(t, 100)
	eventually(t, 60*time.Second, "it is back", func() (bool, string) {
		pods, err := s.client.CoreV1().Pods(serverNamespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		restarts, ready := int32(0), 0
		for _, p := range pods.Items {
			for _, c := range p.Status.ContainerStatuses {
				restarts += c.RestartCount
				if c.Ready {
					ready++
				}
			}
		}
		return restarts > 0 && ready == 2, podsOf(t, serverNamespace)
	})
	l.more(t, 20)
	l.unharmed(t)
	s.noneFailed(t)
}

// serversAreRolled, as by an upgrade: kubectl rollout restart.
func serversAreRolled(t *testing.T, s *shop) {
	l := s.load(t, s.pods...)
	l.more(t, 20)
	k := world.Client(t).AppsV1().Deployments(serverNamespace)
	patch := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	d, err := k.Patch(t.Context(), "podid", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 120*time.Second, "all servers are new", func() (bool, string) {
		now, err := k.Get(t.Context(), "podid", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		st := now.Status
		return st.ObservedGeneration >= d.Generation && st.UpdatedReplicas == 2 && st.AvailableReplicas == 2 && st.Replicas == 2, podsOf(t, serverNamespace)
	})
	l.more(t, 20)
	l.unharmed(t)
	s.noneFailed(t)
}

// agentIsStartedAgain: programs keep what they have; who asks waits for moments.
func agentIsStartedAgain(t *testing.T, s *shop) {
	p := s.on(t, "node-1")
	k := world.Client(t).CoreV1().Pods(agentNamespace)
	agents, err := k.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=node-1"})
	if err != nil || len(agents.Items) != 1 {
		t.Fatalf("%d agents on node-1, %v", len(agents.Items), err)
	}
	old := agents.Items[0]
	if err := k.Delete(t.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the old agent is gone", func() (bool, string) {
		_, err := k.Get(t.Context(), old.Name, metav1.GetOptions{})
		return err != nil, "it is there"
	})
	began := time.Now()
	eventually(t, 30*time.Second, "the new agent answers", func() (bool, string) {
		text, code, err := ask(t.Context(), p, "")
		return code == http.StatusOK, fmt.Sprintf("%d %s %v", code, text, err)
	})
	t.Logf("a new agent answered %v after the old one was gone", time.Since(began).Round(10*time.Millisecond))
	s.noneFailed(t)
}

// nodeIsCutOff, with all that runs on it.
func nodeIsCutOff(t *testing.T, s *shop) {
	s.without(t, world.nodes[1].Cut, world.nodes[1].Mend)
}

// nodeLosesItsPower, and nobody says goodbye.
func nodeLosesItsPower(t *testing.T, s *shop) {
	s.without(t, world.nodes[1].Off, func() error {
		n, err := node.Start(world.nodes[1].Config)
		if err == nil {
			world.nodes[1] = n
		}
		return err
	})
	s.find(t) // pods that started again have new addresses
}

// without takes node-2 away for a while: a server is on it, and yet node-1's
// pods notice nothing. When it is back, so are its pods.
func (s *shop) without(t *testing.T, away, back func() error) {
	t.Helper()
	var here []corev1.Pod
	for _, p := range s.pods {
		if p.Spec.NodeName == "node-1" {
			here = append(here, p)
		}
	}
	l := s.load(t, here...)
	l.more(t, 20)
	if err := away(); err != nil {
		t.Fatal(err)
	}
	l.more(t, 50)
	waitReady(t, "node-2", corev1.ConditionUnknown)
	l.more(t, 50)
	if err := back(); err != nil {
		t.Fatal(err)
	}
	waitReady(t, "node-2", corev1.ConditionTrue)
	eventually(t, 60*time.Second, "pods of the node that was away are served", func() (bool, string) {
		p, err := s.client.CoreV1().Pods(s.namespace).Get(t.Context(), s.on(t, "node-2").Name, metav1.GetOptions{})
		if err == nil {
			_, err = s.fresh(t.Context(), p)
		}
		return err == nil, fmt.Sprint(err)
	})
	l.unharmed(t)
	for i := range here {
		if got, err := s.status(t.Context(), &here[i]); err != nil || got.Failures > 0 {
			t.Errorf("%s: %+v %v", here[i].Name, got, err)
		}
	}
}

// associationIsDeleted: nobody gets anything any more, and new pods nothing to
// ask with.
func associationIsDeleted(t *testing.T, s *shop) {
	if err := world.Client(t).RESTClient().Delete().AbsPath("/apis/podid.dev/v1alpha1/namespaces/" + s.namespace + "/podidentityassociations/app").Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range s.pods {
		p := &s.pods[i]
		eventually(t, soon, p.Name+" is refused", func() (bool, string) {
			text, code, err := ask(t.Context(), p, "")
			return err == nil && code >= 400 && code <= 499, fmt.Sprintf("%d %.60s %v", code, text, err)
		})
	}
	t.Logf("all pods are refused %v after the deletion was acknowledged", time.Since(began).Round(time.Millisecond))
	pod := world.Pod(t, s.namespace, "later", "app", "")
	if env := pod.Spec.Containers[0].Env; len(env) > 0 {
		t.Errorf("a new pod has %v", env)
	}
}

// kill ends one process whose command line begins so, with no chance to tidy up.
func kill(t *testing.T, command string) {
	t.Helper()
	for _, p := range processes(t) {
		if bytes.HasPrefix(p.command, []byte(command)) {
			if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no process %q", command)
}

type running struct {
	pid     int
	command []byte
}

// processes are those of this test: it is process 1.
func processes(t *testing.T) (all []running) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if command, err := os.ReadFile(f); err == nil && len(command) > 0 {
			pid, err := strconv.Atoi(strings.Split(f, "/")[2])
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, running{pid, command})
		}
	}
	return all
}

// returnedNodeHears: whoever has not been heard of for --revalidate-after, 30 s,
// is asked, should the stream of changes not be back before that.
func returnedNodeHears(t *testing.T, s *shop) {
	s.settle(t, otherRoleARN)
	began, p := time.Now(), s.on(t, "node-2")
	eventually(t, 35*time.Second, p.Name+" has other-data", func() (bool, string) {
		got, err := s.role(t.Context(), p)
		return got == "other-data", fmt.Sprintf("%s %v", got, err)
	})
	t.Logf("a pod of the node that was away has the other role %v after the change was acknowledged", time.Since(began).Round(time.Millisecond))
	s.settle(t, targetRoleARN)
}

// settle changes the association while connections from a node that was away
// may still be broken: that of its server to the API server, for one, which then
// cannot say who may pass roles, and so refuses.
func (s *shop) settle(t *testing.T, target string) {
	t.Helper()
	eventually(t, 30*time.Second, "the association is changed", func() (bool, string) {
		err := world.TryApply(t.Context(), association(s.namespace, target))
		return err == nil, fmt.Sprint(err)
	})
}
