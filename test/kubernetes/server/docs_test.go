package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/test/kubernetes/cluster"
)

// reader is who follows a page with a cluster at hand.
type reader struct {
	t       *testing.T
	environ []string
}

// newReader puts podid, kubectl and kubectl podid on the reader's PATH. make
// works as in a clone of the repository.
func newReader(t *testing.T, kubeconfig string, environ ...string) *reader {
	t.Helper()
	podid, err := raced()
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := cluster.Build(cluster.Newest, cluster.Kubectl)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for name, file := range map[string]string{"podid": podid, "kubectl-podid": podid, "kubectl": kubectl} {
		if err := os.Symlink(file, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return &reader{t, append(os.Environ(), append(environ, "KUBECONFIG="+kubeconfig, "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+t.TempDir())...)}
}

var clusterBlock = regexp.MustCompile("(?s)```sh cluster\n(.*?)```")

// follow runs the blocks of a page that are for a cluster, with their
// placeholders replaced.
func (r *reader) follow(page string, placeholders ...string) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../..", page))
	if err != nil {
		r.t.Fatal(err)
	}
	blocks := clusterBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		r.t.Fatalf("%s has no block for a cluster", page)
	}
	for _, block := range blocks {
		cmd := exec.CommandContext(r.t.Context(), "bash", "-exo", "pipefail", "-c", strings.NewReplacer(placeholders...).Replace(block[1]))
		cmd.Dir, cmd.Env = "../../..", r.environ
		out, err := cmd.CombinedOutput()
		if err != nil {
			r.t.Fatalf("%s: %v\n%s\n%s", page, err, block[1], out)
		}
		r.t.Logf("%s", out)
	}
}

// TestReadmeInstalls has a reader do what the README says, in a cluster without
// nodes: the objects are there, and nobody runs them.
func TestReadmeInstalls(t *testing.T) {
	if os.Getenv("PODID_E2E") == "" {
		t.Skip("** the README's installation is NOT TRIED in this run: it compiles the images, as make e2e does **")
	}
	c := cluster.Start(t, cluster.Options{Controllers: true})
	newReader(t, c.Kubeconfig(t, "root", "system:masters")).follow("README.md")
}

// TestTutorialInACluster has a reader roll the pods that used IRSA.
func TestTutorialInACluster(t *testing.T) {
	t.Parallel()
	w := pluginWorld(t)
	w.Apply(t, mayAssumeRoles)
	w.ServiceAccount(t, "shop", "orders")
	w.associate("orders")
	w.Apply(t, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{name: app, image: app.invalid/app:1}]}
`)
	w.pod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-0"},
		Spec:       corev1.PodSpec{ServiceAccountName: "orders", NodeName: "node-1", Containers: []corev1.Container{{Name: "app", Image: "app.invalid/app:1"}}},
	})
	r := newReader(t, w.Kubeconfig(t, "root", "system:masters"),
		"AWS_ENDPOINT_URL="+w.aws, "AWS_ACCESS_KEY_ID="+readerKey(ownAccount), "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_CONFIG_FILE="+profiles(t))
	r.follow("docs/tutorials/from-irsa.md", "POD", "orders-0")
}
