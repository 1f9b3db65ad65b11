package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTerraform applies, finds no drift, changes, finds no drift, and destroys.
func TestTerraform(t *testing.T) {
	_, err := exec.LookPath("terraform")
	require(t, "terraform", err == nil, "no terraform on the PATH")
	mirror := os.Getenv("PODID_TERRAFORM_MIRROR")
	if mirror == "" {
		mirror = "/opt/tf-plugins"
	}
	providers, err := filepath.Glob(filepath.Join(mirror, "registry.terraform.io/hashicorp/aws/*"))
	require(t, "terraform", err == nil && len(providers) > 0,
		"no filesystem mirror with hashicorp/aws at "+mirror+"; set PODID_TERRAFORM_MIRROR (see 'terraform providers mirror')")
	module, err := os.ReadFile("testdata/terraform.tf")
	if err != nil {
		t.Fatal(err)
	}
	info := start(t)
	s := newShell(t, append(info.Env(), "TF_CLI_CONFIG_FILE=terraformrc", "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1"))
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("main.tf", string(module))
	write("terraformrc", fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	t.Log(s.run("terraform", "version"))
	s.run("terraform", "init", "-input=false", "-no-color")
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
	write("terraform.tfvars", "stage = \"one\"\n")
	noDrift()
	if out := apply("two"); !strings.Contains(out, "changed") {
		t.Errorf("the change: %s", out)
	}
	write("terraform.tfvars", "stage = \"two\"\n")
	noDrift()
	s.run("terraform", "destroy", "-auto-approve", "-input=false", "-no-color")
}
