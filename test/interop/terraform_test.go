package interop

import (
	"os"
	"strings"
	"testing"

	"github.com/podid/podid/test/clients"
)

// TestTerraform applies, finds no drift, changes, finds no drift, and destroys.
func TestTerraform(t *testing.T) {
	module, err := os.ReadFile("testdata/terraform.tf")
	if err != nil {
		t.Fatal(err)
	}
	s := clients.Terraform(t, start(t).Env(), string(module))
	t.Log(s.Run("terraform", "version"))
	noDrift := func() {
		t.Helper()
		// Exit status 2 stands for changes.
		s.Run("terraform", "plan", "-input=false", "-no-color", "-detailed-exitcode")
	}
	apply := func(stage string) string {
		t.Helper()
		return s.Run("terraform", "apply", "-auto-approve", "-input=false", "-no-color", "-var", "stage="+stage)
	}
	t.Log(apply("one"))
	s.Write("terraform.tfvars", "stage = \"one\"\n")
	noDrift()
	if out := apply("two"); !strings.Contains(out, "changed") {
		t.Errorf("the change: %s", out)
	}
	s.Write("terraform.tfvars", "stage = \"two\"\n")
	noDrift()
	s.Run("terraform", "destroy", "-auto-approve", "-input=false", "-no-color")
}
