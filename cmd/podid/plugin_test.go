package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func asPlugin(name string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(name, args, &out, &errs)
	return status, out.String(), errs.String()
}

// TestPlugin: as a plugin, help and errors have kubectl's words.
func TestPlugin(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("PODID_AGENT_URL", "http://127.0.0.1:1") // which does not count here
	_, help, _ := asPlugin("kubectl-podid", "exec", "--help")
	if !strings.Contains(help, "\n  kubectl podid exec -n default") || strings.Contains(help, "\n  podid ") || !strings.Contains(help, "Usage:\n  kubectl podid exec") {
		t.Error(help)
	}
	status, _, stderr := asPlugin("kubectl-podid", "association", "list")
	if status != 1 || !strings.HasPrefix(stderr, "kubectl podid: no cluster: there is no kubeconfig") || !strings.Contains(stderr, "chosen by the name kubectl podid") {
		t.Errorf("%d %s", status, stderr)
	}
	if _, out, _ := asPlugin("kubectl_complete-podid", "assoc"); !strings.HasPrefix(out, "association\t") {
		t.Errorf("completes to %s", out)
	}
}

// TestPlaces: where commands work, and that they say it.
func TestPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "PODID_CLUSTER", "PODID_AGENT_URL"} {
		t.Setenv(name, "")
	}
	t.Setenv("KUBECONFIG", file)
	refusals := map[string][]string{
		"chosen by --kubeconfig":                   {"token", "-s", "x", "--kubeconfig", file},
		"chosen by --context":                      {"explain", "-s", "x", "--context", "there"},
		"--account-id is for a Kubernetes cluster": {"association", "list", "--cluster", "c", "--account-id", "111122223333"},
		"access keys are of a Kubernetes cluster":  {"access-key", "list"},
		"call this as 'kubectl podid'":             {"exec", "-s", "x", "--", "true"},
	}
	for want, args := range refusals {
		if status, out, stderr := podid(args...); status == 0 || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d %s, want %q", args, status, stderr, want)
		}
	}
	t.Setenv("PODID_AGENT_URL", "http://127.0.0.1:1")
	if status, _, stderr := podid("token", "-s", "x"); status == 0 || !strings.Contains(stderr, "chosen by PODID_AGENT_URL") {
		t.Errorf("%d %s", status, stderr)
	}
}
