package cluster_test

import (
	"bufio"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// webhook asks hook about every ConfigMap.
func webhook(t *testing.T, hook *httptest.Server) string {
	t.Helper()
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}))
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks:
- name: hook.example.test
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: %q, caBundle: %s}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
`, hook.URL, authority)
}

// readFolder reads where the control plane of another process is.
func readFolder(t *testing.T, out io.Reader) string {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if folder, found := strings.CutPrefix(lines.Text(), "folder "); found {
			return folder
		}
	}
	t.Fatal("the other process ended")
	return ""
}

// running returns the processes that work in a folder.
func running(t *testing.T, folder string) (commands []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if dir, err := os.Readlink(p + "/cwd"); err == nil && strings.TrimSuffix(dir, " (deleted)") == folder {
			name, err := os.ReadFile(p + "/comm")
			if err == nil {
				commands = append(commands, strings.TrimSpace(string(name)))
			}
		}
	}
	return commands
}
