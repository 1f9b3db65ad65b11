//go:build linux

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/api/v1alpha1"
)

// waitCondition waits until the association has the condition: kubectl wait.
func waitCondition(t *testing.T, namespace, condition string) {
	t.Helper()
	eventually(t, 30*time.Second, "the association is "+condition, func() (bool, string) {
		var a v1alpha1.PodIdentityAssociation
		text, err := world.Client(t).RESTClient().Get().AbsPath("/apis/podid.dev/v1alpha1/namespaces/" + namespace + "/podidentityassociations/app").DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		for _, c := range a.Status.Conditions {
			if c.Type == condition {
				return c.Status == "True", c.Reason + ": " + c.Message
			}
		}
		return false, fmt.Sprint("no condition yet ", err)
	})
}

// eventsOf tells what the cluster said about the objects of a namespace.
func eventsOf(t *testing.T, namespace string) (all string) {
	t.Helper()
	events, err := world.Client(t).CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, e := range events.Items {
		all += fmt.Sprintf("%s %s/%s %s x%d: %s\n", e.LastTimestamp.Format("05"), e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Count, e.Message)
	}
	return all
}

// reportMemory tells what each program holds.
func reportMemory(t *testing.T) {
	t.Helper()
	total := 0
	for _, p := range processes(t) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		if err != nil {
			continue // it ended
		}
		kib := 0
		for line := range strings.Lines(string(status)) {
			if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
				break
			}
		}
		total += kib
		arguments := bytes.SplitN(p.command, []byte{0}, 3)
		name := filepath.Base(string(arguments[0]))
		if strings.HasPrefix(name, "podid") || strings.HasPrefix(name, "kube") || name == "etcd" || name == "containerd" {
			t.Logf("%s holds %d MiB", name, kib>>10)
		}
	}
	t.Logf("all together hold %d MiB", total>>10)
}
