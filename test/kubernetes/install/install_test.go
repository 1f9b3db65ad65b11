// Package install tests what is installed against a real API server: that it is
// accepted, that it lasts, and what podid install --check says about it.
package install

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/certificate"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/install"
	"github.com/podid/podid/test/kubernetes/cluster"
)

const (
	server = "podid-system"
	agents = "podid-agent"
)

var settings = install.Settings{Cluster: identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}}

func apply(t *testing.T, c *cluster.Cluster) (applied []string) {
	t.Helper()
	manifests, err := install.Manifests(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := install.Apply(t.Context(), c.Config, manifests, false, func(o string) { applied = append(applied, o) }); err != nil {
		t.Fatal(err)
	}
	return applied
}

// checks are the checks of a cluster, by their names.
func checks(t *testing.T, api *rest.Config) (map[string]install.Check, *install.Report) {
	t.Helper()
	report, err := install.Run(t.Context(), install.CheckConfig{API: api})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]install.Check{}
	for _, c := range report.Checks {
		all[c.Name] = c
		t.Logf("%s %s: %s → %s", c.Status, c.Name, c.Found, c.Do)
	}
	return all, report
}

// TestInstall tells the story of an installation: looked at before, applied,
// run as far as pods that no node runs, used by the server, applied again.
func TestInstall(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Controllers: true})
	c.Node(t, "node-1")
	if _, err := c.Client(t).CoreV1().Nodes().Patch(t.Context(), "node-1", "application/merge-patch+json",
		[]byte(`{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	before, report := checks(t, c.Config)
	if report.Failed() || before["API server"].Status != install.OK || before["token issuer"].Status != install.OK ||
		before["service account tokens"].Status != install.OK || before["your rights"].Status != install.OK || before["clock"].Status != install.OK {
		t.Error("an empty cluster is not fit for podid")
	}
	if applied := apply(t, c); len(applied) < 20 {
		t.Errorf("applied only %v", applied)
	}
	t.Run("pods are admitted", func(t *testing.T) { podsAreAdmitted(t, c) })
	t.Run("an agent is not admitted beside the server", func(t *testing.T) { agentBesideServer(t, c) })
	t.Run("an unreachable webhook is found", func(t *testing.T) { unreachableWebhook(t, c) })
	t.Run("what the server keeps lasts", func(t *testing.T) { whatTheServerKeepsLasts(t, c) })
	t.Run("the server may not", func(t *testing.T) { theServerMayNot(t, c) })
	t.Run("somebody without rights", func(t *testing.T) { somebodyWithoutRights(t, c) })
}

// podsAreAdmitted waits for the pods that the controllers make: Pod Security lets
// them in.
func podsAreAdmitted(t *testing.T, c *cluster.Cluster) {
	for namespace, want := range map[string]int{server: 2, agents: 1} {
		var pods *corev1.PodList
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			var err error
			if pods, err = c.Client(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			if len(pods.Items) == want {
				break
			}
			if time.Now().After(end) {
				events, err := c.Client(t).CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
				t.Fatalf("%d pods in %s, want %d: %v %v", len(pods.Items), namespace, want, events, err)
			}
		}
	}
}

// agentBesideServer: the namespace of the server really is restricted.
func agentBesideServer(t *testing.T, c *cluster.Cluster) {
	set, err := c.Client(t).AppsV1().DaemonSets(agents).Get(t.Context(), "podid-agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.ServiceAccount(t, server, "podid-agent")
	_, err = c.Client(t).CoreV1().Pods(server).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: set.Spec.Template.Spec,
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		t.Errorf("want a refusal by Pod Security, got %v", err)
	}
}

// unreachableWebhook: nobody serves it, and the API server was not told whom to trust.
func unreachableWebhook(t *testing.T, c *cluster.Cluster) {
	found, _ := checks(t, c.Config)
	if w := found["webhooks"]; w.Status != install.Failed || !strings.Contains(w.Found, "associations.podid.dev") || !strings.Contains(w.Do, "logs deployment/podid") {
		t.Errorf("without an authority: %+v", w)
	}
	annotate := func(value string) {
		if _, err := c.Client(t).AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(t.Context(), "podid", "application/merge-patch+json",
			[]byte(`{"metadata":{"annotations":{"cert-manager.io/inject-ca-from":`+value+`}}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	annotate(`"podid-system/podid"`)
	injected, _ := checks(t, c.Config)
	if w := injected["webhooks"]; !strings.Contains(w.Do, "describe certificates.cert-manager.io podid") {
		t.Errorf("without an authority, which cert-manager gives: %+v", w)
	}
	annotate("null")
	if s := found["server"]; s.Status != install.Failed || !strings.Contains(s.Found, "0 of 2") {
		t.Errorf("without a server: %+v", s)
	}
	if a := found["agents"]; a.Status != install.Failed || !strings.Contains(a.Found, "0 of 1") {
		t.Errorf("without agents: %+v", a)
	}
	for _, n := range []string{"namespace " + server, "namespace " + agents, "custom resource"} {
		if found[n].Status != install.OK {
			t.Errorf("%+v", found[n])
		}
	}
}

// as returns the configuration of a service account, which may do what RBAC says.
func as(t *testing.T, c *cluster.Cluster, namespace, account string) *rest.Config {
	t.Helper()
	config := rest.AnonymousClientConfig(c.Config)
	config.BearerToken = c.Token(t, namespace, account, "")
	return config
}

// whatTheServerKeepsLasts: the server's own keeper of certificates works with the
// server's rights alone, and what it writes outlives being applied again, by
// podid install and by kubectl's client-side apply, which Helm 3 resembles.
func whatTheServerKeepsLasts(t *testing.T, c *cluster.Cluster) {
	own, err := client.New(as(t, c, server, "podid"), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := certificate.New(certificate.Config{
		Client: own, Namespace: server, Secret: "podid-serving-cert", ConfigMap: "podid-ca", ConfigMapNamespace: agents,
		MutatingWebhook: "podid", ValidatingWebhook: "podid", Names: []string{"podid." + server + ".svc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keeper.Run(ctx) }()
	defer func() { stop(); <-ended }()
	var kept string
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if kept = keptBy(t, c); !strings.Contains(kept, "missing") {
			break
		}
		if time.Now().After(end) {
			t.Fatal(kept)
		}
	}
	stop()
	if found, _ := checks(t, c.Config); found["webhooks"].Status != install.Failed || !strings.Contains(found["webhooks"].Found, "failed calling webhook") {
		t.Errorf("with an authority, but nobody there: %+v", found["webhooks"])
	}
	apply(t, c)
	if now := keptBy(t, c); now != kept {
		t.Errorf("after podid install it was %s, before it %s", now, kept)
	}
	kubectl(t, c)
	kubectl(t, c)
	if now := keptBy(t, c); now != kept {
		t.Errorf("after kubectl apply it was %s, before it %s", now, kept)
	}
}

// keptBy is all that the keeper writes, in one text.
func keptBy(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	k := c.Client(t)
	secret, err := k.CoreV1().Secrets(server).Get(t.Context(), "podid-serving-cert", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := k.CoreV1().ConfigMaps(agents).Get(t.Context(), "podid-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	validating, err := k.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "podid", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := k.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "podid", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{string(secret.Data["tls.crt"]), string(secret.Data["ca.key"]), authority.Data["ca.crt"]}
	for _, w := range validating.Webhooks {
		all = append(all, string(w.ClientConfig.CABundle))
	}
	for _, w := range mutating.Webhooks {
		all = append(all, string(w.ClientConfig.CABundle))
	}
	for i := range all {
		if all[i] == "" {
			all[i] = "missing"
		}
	}
	return strings.Join(all, "|")
}

func kubectl(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	manifests, err := install.Manifests(settings)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "podid.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := cluster.Build(cluster.Newest, cluster.Kubectl)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--kubeconfig", c.Kubeconfig(t, "admin", "system:masters"), "apply", "-f", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// theServerMayNot do what would make a stolen token of it worth more.
func theServerMayNot(t *testing.T, c *cluster.Cluster) {
	own, err := kubernetes.NewForConfig(as(t, c, server, "podid"))
	if err != nil {
		t.Fatal(err)
	}
	agent, err := kubernetes.NewForConfig(as(t, c, agents, "podid-agent"))
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"list secrets of its namespace": func() error {
			_, err := own.CoreV1().Secrets(server).List(t.Context(), metav1.ListOptions{})
			return err
		}(),
		"list access keys": func() error {
			_, err := own.CoreV1().Secrets("podid-access-keys").List(t.Context(), metav1.ListOptions{})
			return err
		}(),
		"read another secret": func() error {
			_, err := own.CoreV1().Secrets(server).Get(t.Context(), "other", metav1.GetOptions{})
			return err
		}(),
		"make a token": func() error {
			_, err := own.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", nil, metav1.CreateOptions{})
			return err
		}(),
		"list pods as an agent": func() error {
			_, err := agent.CoreV1().Pods(agents).List(t.Context(), metav1.ListOptions{})
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), "forbidden") && !strings.Contains(err.Error(), "cannot") {
			t.Errorf("%s: want a refusal, got %v", what, err)
		}
	}
}

// somebodyWithoutRights is told which they lack, and the rest stays unknown.
func somebodyWithoutRights(t *testing.T, c *cluster.Cluster) {
	found, report := checks(t, c.User(t, "alice"))
	if r := found["your rights"]; !report.Failed() || r.Status != install.Failed || !strings.Contains(r.Found, "escalate or bind clusterroles") || !strings.Contains(r.Found, "create or patch deployments in podid-system") {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"token issuer", "service account tokens", "agents", "webhooks", "clocks of nodes"} {
		if found[name].Status != install.Unknown {
			t.Errorf("%s of what alice may not see: %+v", name, found[name])
		}
	}
}

// TestOlderKubernetes: the oldest version that podid promises to work with takes
// every object too.
func TestOlderKubernetes(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Release: cluster.Older})
	apply(t, c)
}
