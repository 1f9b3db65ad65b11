package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/deploy"
	"github.com/podid/podid/internal/install"
)

// TestManifestsStartTheServer: "podid server" knows every flag that the chart gives it.
func TestManifestsStartTheServer(t *testing.T) {
	var d appsv1.Deployment
	for text := range strings.SplitSeq(deploy.Manifests(), "\n---\n") {
		if strings.Contains(text, "\nkind: Deployment\n") {
			if err := yaml.Unmarshal([]byte(text), &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(d.Spec.Template.Spec.Containers) != 1 {
		t.Fatal("no Deployment of one container")
	}
	args := d.Spec.Template.Spec.Containers[0].Args
	command := newServer()
	if err := command.ParseFlags(args[1:]); err != nil || args[0] != command.Name() {
		t.Errorf("%v: %v", args, err)
	}
}

func TestInstallDryRun(t *testing.T) {
	var out, said bytes.Buffer
	if code := run("podid", []string{"install", "--dry-run", "--cluster-name", "prod", "--region", "eu-central-1", "--account-id", "111122223333"}, &out, &said); code != 0 {
		t.Fatal(code, said.String())
	}
	if !strings.Contains(out.String(), "--cluster-name=prod\n") || strings.Contains(out.String(), "CLUSTER_") || said.Len() > 0 {
		t.Errorf("said %q and printed %s", said.String(), out.String())
	}
	out.Reset()
	if code := run("podid", []string{"install", "--dry-run"}, &out, &said); code != 1 || out.Len() > 0 || !strings.Contains(said.String(), "account id") {
		t.Errorf("%d, %q, %q", code, said.String(), out.String())
	}
}

// TestChecksForPeople: what to do stands below what was found.
func TestChecksForPeople(t *testing.T) {
	var out bytes.Buffer
	report := &install.Report{APIServer: "https://x", Checks: []install.Check{
		{Name: "API server", Status: install.OK, Found: "version v1.37.2"}, {Name: "agents", Status: install.Failed, Found: "none", Do: "mend it"},
	}}
	if err := printChecks(&out, report); err != nil {
		t.Fatal(err)
	}
	want := []string{"https://x", "", "ok      API server  version v1.37.2", "failed  agents      none", "                    → mend it", ""}
	if got := strings.Split(out.String(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestInstallCheckWithoutACluster: it is a failed check, told as such, and the exit status says so.
func TestInstallCheckWithoutACluster(t *testing.T) {
	report, err := install.Run(t.Context(), install.CheckConfig{API: &rest.Config{Host: "https://127.0.0.1:1"}})
	if err != nil || !report.Failed() || len(report.Checks) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
