//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	serverNamespace = "podid-system"
	agentNamespace  = "podid-agent"
)

// values are what a platform team would write for this cluster.
const values = `
cluster: {name: ` + clusterName + `, region: ` + region + `, accountID: "` + clusterOwner + `"}
images: {registry: podid.test, tag: "1", pullPolicy: Never}
namespaces: {createRelease: true}
aws: {access: secret}
rbac:
  passRoles:
    - name: shop
      roleARNs: [` + roleARN + `, ` + targetRoleARN + `, ` + otherRoleARN + `]
      subjects: [{kind: Group, name: shop-admins, apiGroup: rbac.authorization.k8s.io}]
`

func manifestsFile(folder string) string { return filepath.Join(folder, "podid.yaml") }

// renderChart writes the manifests while the modules of Helm can be fetched.
func renderChart(top, folder string) error {
	file := filepath.Join(folder, "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		return err
	}
	return command(filepath.Join(top, "test", "chart"), "go", "run", "./render", "-values", file, "-o", manifestsFile(folder))
}

// install does what docs/install says, and waits until everything runs.
func install(t *testing.T) {
	t.Helper()
	began := time.Now()
	manifests, err := os.ReadFile(manifestsFile(world.folder))
	if err != nil {
		t.Fatal(err)
	}
	world.Apply(t, string(manifests))
	world.Apply(t, `
apiVersion: v1
kind: Secret
metadata: {name: podid-aws, namespace: `+serverNamespace+`}
stringData:
  credentials: |
    [default]
    aws_access_key_id = `+serverKeyID+`
    aws_secret_access_key = `+serverKey+`
`)
	k := world.Client(t).AppsV1()
	eventually(t, 90*time.Second, "two servers and an agent on each node are ready", func() (bool, string) {
		d, err := k.Deployments(serverNamespace).Get(t.Context(), "podid", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		s, err := k.DaemonSets(agentNamespace).Get(t.Context(), "podid-agent", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return d.Status.AvailableReplicas == 2 && s.Status.NumberReady == nodes,
			fmt.Sprintf("%d servers, %d agents: %s", d.Status.AvailableReplicas, s.Status.NumberReady, podsOf(t, serverNamespace, agentNamespace))
	})
	t.Logf("podid is installed and ready after %.1f s", time.Since(began).Seconds())
}

// podsOf tells how the pods of namespaces are, and what they said last.
func podsOf(t *testing.T, namespaces ...string) (all string) {
	t.Helper()
	for _, ns := range namespaces {
		pods, err := world.Client(t).CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, p := range pods.Items {
			all += fmt.Sprintf("\n%s on %s: %s", p.Name, p.Spec.NodeName, p.Status.Phase)
			for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
				all += fmt.Sprintf("\n  %s: ready %v, restarts %d, %+v, last %+v", s.Name, s.Ready, s.RestartCount, s.State, s.LastTerminationState)
			}
		}
	}
	return all
}
