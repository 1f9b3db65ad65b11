// Package clients runs official AWS clients, and kubectl, in tests.
package clients

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Require skips a test loudly when a client, ipv6, or loopback with more than one
// address is not on this machine, or fails it where PODID_REQUIRE_CLIENTS names that: there it has to run.
func Require(t *testing.T, client string, present bool, missing string) {
	t.Helper()
	if present {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PODID_REQUIRE_CLIENTS"), ","), client) {
		t.Fatalf("%s is required here (PODID_REQUIRE_CLIENTS) and missing: %s", client, missing)
	}
	t.Skipf("** %s is NOT TRIED in this run: %s **", client, missing)
}

// Shell is an environment with nothing of the machine's AWS settings in it.
type Shell struct {
	t   *testing.T
	env []string
	dir string
}

// NewShell makes one, with variables of its own.
func NewShell(t *testing.T, env []string) *Shell {
	t.Helper()
	home := t.TempDir()
	base := []string{"HOME=" + home, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "LC_ALL=C.UTF-8"}
	for _, name := range []string{"PATH", "PYENV_VERSION", "PYENV_ROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			base = append(base, name+"="+value)
		}
	}
	return &Shell{t: t, env: append(base, env...), dir: home}
}

// Write makes a file in the shell's folder.
func (s *Shell) Write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Try runs a command and returns what it printed.
func (s *Shell) Try(name string, args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), err
}

// Run runs a command that has to succeed.
func (s *Shell) Run(name string, args ...string) string {
	s.t.Helper()
	stdout, stderr, err := s.Try(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// Refused runs a command that has to fail with a text.
func (s *Shell) Refused(want, name string, args ...string) {
	s.t.Helper()
	stdout, stderr, err := s.Try(name, args...)
	if err == nil {
		s.t.Fatalf("%s %s succeeded, want %q\n%s", name, strings.Join(args, " "), want, stdout)
	}
	if !strings.Contains(stdout+stderr, want) {
		s.t.Fatalf("%s %s: want %q in\n%s\n%s", name, strings.Join(args, " "), want, stdout, stderr)
	}
}

// Terraform is a shell in a folder where a configuration is initialized.
func Terraform(t *testing.T, env []string, configuration string) *Shell {
	t.Helper()
	_, err := exec.LookPath("terraform")
	Require(t, "terraform", err == nil, "no terraform on the PATH")
	mirror := os.Getenv("PODID_TERRAFORM_MIRROR")
	if mirror == "" {
		mirror = "/opt/tf-plugins"
	}
	providers, err := filepath.Glob(filepath.Join(mirror, "registry.terraform.io/hashicorp/aws/*"))
	Require(t, "terraform", err == nil && len(providers) > 0,
		"no filesystem mirror with hashicorp/aws at "+mirror+"; set PODID_TERRAFORM_MIRROR (see 'terraform providers mirror')")
	s := NewShell(t, append(env, "TF_CLI_CONFIG_FILE=terraformrc", "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1"))
	s.Write("main.tf", configuration)
	s.Write("terraformrc", fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	s.Run("terraform", "init", "-input=false", "-no-color")
	return s
}
