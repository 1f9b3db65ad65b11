package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// terraform is a shell in a folder where a configuration is initialized.
func terraform(t *testing.T, env []string, configuration string) *shell {
	t.Helper()
	_, err := exec.LookPath("terraform")
	require(t, "terraform", err == nil, "no terraform on the PATH")
	mirror := os.Getenv("PODID_TERRAFORM_MIRROR")
	if mirror == "" {
		mirror = "/opt/tf-plugins"
	}
	providers, err := filepath.Glob(filepath.Join(mirror, "registry.terraform.io/hashicorp/aws/*"))
	require(t, "terraform", err == nil && len(providers) > 0,
		"no filesystem mirror with hashicorp/aws at "+mirror+"; set PODID_TERRAFORM_MIRROR (see 'terraform providers mirror')")
	s := newShell(t, append(env, "TF_CLI_CONFIG_FILE=terraformrc", "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1"))
	s.write("main.tf", configuration)
	s.write("terraformrc", fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	s.run("terraform", "init", "-input=false", "-no-color")
	return s
}

// TestTerraform applies, finds no drift, changes, finds no drift, and destroys.
func TestTerraform(t *testing.T) {
	module, err := os.ReadFile("testdata/terraform.tf")
	if err != nil {
		t.Fatal(err)
	}
	s := terraform(t, start(t).Env(), string(module))
	t.Log(s.run("terraform", "version"))
	noDrift := func() {
		t.Helper()
		// Exit status 2 stands for changes.
		s.run("terraform", "plan", "-input=false", "-no-color", "-detailed-exitcode")
	}
	apply := func(stage string) string {
		t.Helper()
		return s.run("terraform", "apply", "-auto-approve", "-input=false", "-no-color", "-var", "stage="+stage)
	}
	t.Log(apply("one"))
	s.write("terraform.tfvars", "stage = \"one\"\n")
	noDrift()
	if out := apply("two"); !strings.Contains(out, "changed") {
		t.Errorf("the change: %s", out)
	}
	s.write("terraform.tfvars", "stage = \"two\"\n")
	noDrift()
	s.run("terraform", "destroy", "-auto-approve", "-input=false", "-no-color")
}
