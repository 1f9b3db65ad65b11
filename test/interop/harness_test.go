// Package interop drives official AWS clients against development mode.
package interop

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podid/podid/internal/devenv"
)

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

const (
	cluster   = "example-cluster"
	roleARN   = "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"
	targetARN = "arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources"
	bucket    = "example-data-444455556666"
	external  = "us-west-2/111122223333/example-cluster/default/demo-app-sa"
	targetSTS = "arn:aws:sts::444455556666:assumed-role/eks-pod-identity-aws-resources/eks-"
)
