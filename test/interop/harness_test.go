// Package interop drives official AWS clients against development mode.
package interop

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/devenv"
)

// require skips a test loudly when a client is not on this machine, or fails
// it where PODID_REQUIRE_CLIENTS names the client: there it has to run.
func require(t *testing.T, client string, present bool, missing string) {
	t.Helper()
	if present {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PODID_REQUIRE_CLIENTS"), ","), client) {
		t.Fatalf("%s is required here (PODID_REQUIRE_CLIENTS) and missing: %s", client, missing)
	}
	t.Skipf("** %s is NOT TRIED in this run: %s **", client, missing)
}

// start runs development mode with the default world, less its associations,
// until the test ends.
func start(t *testing.T) *devenv.Info {
	t.Helper()
	info, _ := startWithProfiles(t)
	return info
}

// startWithProfiles also returns the setting of the AWS CLI's profiles, one for
// each account.
func startWithProfiles(t *testing.T) (info *devenv.Info, setting string) {
	t.Helper()
	envFile := filepath.Join(t.TempDir(), "podid.env")
	world, err := devenv.DefaultWorld()
	if err != nil {
		t.Fatal(err)
	}
	world.Associations = nil
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan *devenv.Info, 1)
	done := make(chan error, 1)
	go func() {
		done <- devenv.Run(ctx, devenv.Config{World: world, EnvFile: envFile, Ready: func(i *devenv.Info) error { ready <- i; return nil }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("development mode: %v", err)
		}
	})
	select {
	case info := <-ready:
		return info, "AWS_CONFIG_FILE=" + envFile + ".profiles"
	case err := <-done:
		done <- err
		t.Fatalf("development mode did not start: %v", err)
		return nil, ""
	}
}

// podid builds the podid command once for a test, and returns its path.
func podid(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "podid")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/podid/podid/cmd/podid").CombinedOutput(); err != nil {
		t.Fatalf("building podid: %v\n%s", err, out)
	}
	return path
}

// shell is an environment with nothing of the machine's AWS settings in it.
type shell struct {
	t   *testing.T
	env []string
	dir string
}

func newShell(t *testing.T, env []string) *shell {
	t.Helper()
	home := t.TempDir()
	base := []string{"HOME=" + home, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "LC_ALL=C.UTF-8"}
	for _, name := range []string{"PATH", "PYENV_VERSION", "PYENV_ROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			base = append(base, name+"="+value)
		}
	}
	return &shell{t: t, env: append(base, env...), dir: home}
}

// write makes a file in the shell's folder.
func (s *shell) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// try runs a command and returns what it printed.
func (s *shell) try(name string, args ...string) (stdout, stderr string, err error) {
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

// run runs a command that has to succeed.
func (s *shell) run(name string, args ...string) string {
	s.t.Helper()
	stdout, stderr, err := s.try(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// refused runs a command that has to fail with a text.
func (s *shell) refused(want, name string, args ...string) {
	s.t.Helper()
	stdout, stderr, err := s.try(name, args...)
	if err == nil {
		s.t.Fatalf("%s %s succeeded, want %q\n%s", name, strings.Join(args, " "), want, stdout)
	}
	if !strings.Contains(stdout+stderr, want) {
		s.t.Fatalf("%s %s: want %q in\n%s\n%s", name, strings.Join(args, " "), want, stdout, stderr)
	}
}

const (
	cluster   = "example-cluster"
	roleARN   = "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"
	targetARN = "arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources"
	bucket    = "example-data-444455556666"
	external  = "us-west-2/111122223333/example-cluster/default/demo-app-sa"
	targetSTS = "arn:aws:sts::444455556666:assumed-role/eks-pod-identity-aws-resources/eks-"
)
