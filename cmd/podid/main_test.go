package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func podid(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run("podid", args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestEveryCommandHasHelpAndAnExample(t *testing.T) {
	for _, command := range [][]string{
		{}, {"dev"}, {"demo"}, {"exec"}, {"token"}, {"version"},
		{"association", "create"}, {"association", "describe"}, {"association", "list"}, {"association", "update"}, {"association", "delete"},
		{"access-key", "create"}, {"access-key", "list"}, {"access-key", "delete"}, {"explain"}, {"policies"}, {"revoke"}, {"status"}, {"man"}, {"audit"}, {"audit", "verify"},
	} {
		status, out, _ := podid(append(command, "--help")...)
		if status != 0 || !strings.Contains(out, "Examples:") {
			t.Errorf("%v --help: %d\n%s", command, status, out)
		}
	}
}

func TestVersion(t *testing.T) {
	status, out, _ := podid("version", "-o", "json")
	var v versionInfo
	if err := json.Unmarshal([]byte(out), &v); status != 0 || err != nil || v.Go == "" {
		t.Errorf("%d %q %v", status, out, err)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if status, out, _ := podid("completion", shell); status != 0 || !strings.Contains(out, "podid") {
			t.Errorf("completion %s: %d", shell, status)
		}
	}
}

// TestErrorsSayWhatToDo wants a clear error on stderr and nothing on stdout.
func TestErrorsSayWhatToDo(t *testing.T) {
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "PODID_CLUSTER", "PODID_AGENT_URL"} {
		t.Setenv(name, "")
	}
	for want, args := range map[string][]string{
		"no running podid dev found": {"token", "-s", "x"},
		"service-account":            {"exec", "--", "true"},
		"no cluster: give --cluster": {"association", "list"},
		"no such file":               {"dev", "--world", "/no/such/world.yaml"},
		"want json or yaml":          {"version", "-o", "xml"},
		"start one with 'podid dev":  {"status"},
		"unknown command":            {"frobnicate"},
	} {
		status, out, stderr := podid(args...)
		if status == 0 || !strings.Contains(stderr, want) || !strings.HasPrefix(stderr, "podid: ") || out != "" {
			t.Errorf("%v: %d, stdout %q, stderr %q, want %q", args, status, out, stderr, want)
		}
	}
}
