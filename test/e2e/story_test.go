//go:build linux

package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/test/kubernetes/cluster"
	"github.com/podid/podid/test/kubernetes/node"
)

// TestStory installs podid from its chart, and tells what it is for. Each
// chapter goes on where the one before ended.
func TestStory(t *testing.T) {
	install(t)
	s := newShop(t)
	for _, chapter := range []struct {
		name string
		tell func(*testing.T, *shop)
	}{
		{"a Deployment gets the target role", deploymentGetsTheRole},
		{"tokens that are not the pod's", foreignTokens},
		{"the association is changed under load", associationIsChanged},
		{"a server is killed under load", serverIsKilled},
		{"the servers are rolled over under load", serversAreRolled},
		{"an agent is started again", agentIsStartedAgain},
		{"a node is cut off under load", nodeIsCutOff},
		{"the node that was away hears of changes", returnedNodeHears},
		{"a node loses its power under load", nodeLosesItsPower},
		{"the association is deleted", associationIsDeleted},
	} {
		ok := t.Run(chapter.name, func(t *testing.T) { chapter.tell(t, s) })
		if !ok {
			t.Log(logsOf(t, serverNamespace, agentNamespace))
			t.Fatal("the story ends here")
		}
	}
	reportMemory(t)
}

func newShop(t *testing.T) *shop {
	t.Helper()
	roots, err := os.ReadFile(rootsFile(world.folder))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	return &shop{
		namespace: newNamespace(t, "shop"), client: world.Client(t),
		aws: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(node.Gateway, "443"))
			},
		}},
	}
}

// deploymentGetsTheRole: pods made as soon as the association is there get it,
// and a program with nothing set reads the bucket of the other account.
func deploymentGetsTheRole(t *testing.T, s *shop) {
	world.ServiceAccount(t, s.namespace, "app")
	world.Apply(t, association(s.namespace, targetRoleARN))
	began := time.Now()
	world.Apply(t, deployment(s.namespace))
	s.find(t)
	s.allRead(t, "hello from the other account")
	t.Logf("all pods read the bucket %.1f s after the association was made", time.Since(began).Seconds())
	if time.Since(began) > 15*time.Second {
		t.Errorf("that is too long; what happened meanwhile:\n%s", eventsOf(t, s.namespace))
	}
	for i := range s.pods {
		if got, err := s.role(t.Context(), &s.pods[i]); got != "shop-data" {
			t.Errorf("%s has the role %s, %v", s.pods[i].Name, got, err)
		}
	}
	waitCondition(t, s.namespace, "Ready")
	waitCondition(t, s.namespace, "ChainVerified")
}

// allRead waits until every pod has read the text, and none has failed.
func (s *shop) allRead(t *testing.T, want string) {
	t.Helper()
	for i := range s.pods {
		p := &s.pods[i]
		eventually(t, 30*time.Second, p.Name+" reads the bucket", func() (bool, string) {
			got, err := s.status(t.Context(), p)
			return err == nil && got.Reads > 0 && got.Text == want, fmt.Sprintf("%+v %v", got, err)
		})
	}
	s.noneFailed(t)
}

// noneFailed: the programs in the pods have never been without credentials.
func (s *shop) noneFailed(t *testing.T) {
	t.Helper()
	for i := range s.pods {
		got, err := s.status(t.Context(), &s.pods[i])
		if err != nil || got.Failures > 0 {
			t.Errorf("%s: %+v %v", s.pods[i].Name, got, err)
		}
	}
}

// foreignTokens: what a thief in a pod may try.
func foreignTokens(t *testing.T, s *shop) {
	mine, other := s.on(t, "node-1"), s.on(t, "node-2")
	stolen, err := s.token(t.Context(), other, "pods.eks.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	audience, err := s.token(t.Context(), mine, cluster.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	unbound := world.Token(t, s.namespace, "app", "", "pods.eks.amazonaws.com")
	for name, token := range map[string]string{
		"a token of a pod on another node": stolen, "a token for the API server": audience, "a token of no pod": unbound, "no token at all": "nonsense",
	} {
		text, code, err := ask(t.Context(), mine, token)
		if err != nil || code < 400 || code > 499 || strings.Contains(text, "AccessKeyId") {
			t.Errorf("%s: the agent answered %d %s, %v", name, code, text, err)
		}
	}
	if text, code, err := ask(t.Context(), other, stolen); err != nil || code != http.StatusOK {
		t.Errorf("where it belongs, the stolen token should do: %d %s %v", code, text, err)
	}
	// An agent listens where its own pods find it, and nowhere on the network.
	url := "http://" + mine.Status.PodIP + ":8080/ask?url=http://" + other.Status.HostIP + "/v1/credentials"
	if text, code, err := call(t.Context(), http.MethodPost, url, stolen); err != nil || code != http.StatusBadGateway || !strings.Contains(text, "refused") {
		t.Errorf("the agent of another node answered %d %s, %v", code, text, err)
	}
	if log := logsOf(t, serverNamespace); !audited(log) {
		t.Errorf("the audit trail does not tell that node-1 asked for a pod of node-2:\n%s", log)
	}
}

// audited says whether node-1 was refused credentials of a pod of node-2.
func audited(log string) bool {
	var event struct {
		Outcome, CallerNodeName string
		Subject                 struct{ NodeName string }
	}
	for line := range strings.Lines(log) {
		if json.Unmarshal([]byte(line), &event) == nil && event.Outcome == "refused" && event.CallerNodeName == "node-1" && event.Subject.NodeName == "node-2" {
			return true
		}
	}
	return false
}

// logsOf returns what is remarkable in the logs of all pods of namespaces: the
// many requests that were answered quickly are not.
func logsOf(t *testing.T, namespaces ...string) (all string) {
	t.Helper()
	k := world.Client(t).CoreV1()
	for _, ns := range namespaces {
		pods, err := k.Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, p := range pods.Items {
			text, err := k.Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
			if err != nil {
				text = []byte(err.Error() + "\n")
			}
			all += fmt.Sprintf("-- %s on %s:\n", p.Name, p.Spec.NodeName)
			for line := range strings.Lines(string(text)) {
				if remarkable(line) {
					all += line
				}
			}
		}
	}
	return all
}

func remarkable(line string) bool {
	var entry struct {
		Outcome, Msg string
		Took         time.Duration
	}
	if json.Unmarshal([]byte(line), &entry) != nil {
		return true
	}
	return entry.Outcome != "granted" && entry.Msg != "credentials" || entry.Took > 300*time.Millisecond
}
