package server

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/api/v1alpha1"
)

// The namespaces of podid's manifests.
const (
	ownNamespace   = "podid-system"
	agentNamespace = "podid-agent"
	keyNamespace   = "podid-access-keys"
)

// manifests are those in files that clusters get, and the namespace that Helm
// makes; but that the webhooks are found at url, since here nothing makes a
// Service out of it, and without what is for cert-manager, which is not here.
func manifests(t *testing.T, url string, files ...string) string {
	t.Helper()
	var texts [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, bytes.ReplaceAll(text, []byte("CLUSTER_NAME"), []byte(clusterName)))
	}
	out := []string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ownNamespace + "}\n"}
	for _, document := range bytes.Split(bytes.Join(texts, []byte("\n---\n")), []byte("\n---\n")) {
		var object map[string]any
		if err := yaml.Unmarshal(document, &object); err != nil {
			t.Fatal(err)
		}
		if object["apiVersion"] == "cert-manager.io/v1" {
			continue
		}
		kind, _ := object["kind"].(string)
		if strings.HasSuffix(kind, "WebhookConfiguration") {
			hooks, _ := object["webhooks"].([]any)
			for _, hook := range hooks {
				config := hook.(map[string]any)["clientConfig"].(map[string]any)
				config["url"] = url + config["service"].(map[string]any)["path"].(string)
				delete(config, "service")
			}
		}
		changed, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(changed))
	}
	return strings.Join(out, "\n---\n")
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}
