//go:build linux

// Package e2e_test tries podid on a cluster of two real nodes: kubelet,
// containerd and runc on machines made of Linux namespaces.
//
// The test runs once more as process 1 of namespaces of its own, so whatever
// ends it, by an interrupt or by force, ends all that it started, and unmounts
// all that it mounted. Cgroups and files alone are left to be removed.
package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/podid/podid/test/kubernetes/node"
)

const (
	wanted = "PODID_E2E"        // set by make e2e
	inside = "PODID_E2E_FOLDER" // set where the tests themselves run: the folder for all files
)

func TestMain(m *testing.M) {
	node.Main() // this process may be a machine
	var code int
	var err error
	switch {
	case os.Getenv(wanted) == "":
		fmt.Println("** NOT TESTED by this: podid on real nodes. make e2e does that **")
	case os.Getenv(inside) == "":
		code, err = outside()
	default:
		code, err = within(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// outside prepares what needs the network, runs the tests in namespaces, and
// sees to it that nothing is left of them.
func outside() (code int, err error) {
	if err := able(); err != nil {
		return 1, fmt.Errorf("this machine cannot run the tests on real nodes, and they may not pass unseen: %w", err)
	}
	alone, err := os.OpenFile(filepath.Join(os.TempDir(), "podid-e2e.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return 1, err
	}
	defer alone.Close()
	if err := syscall.Flock(int(alone.Fd()), syscall.LOCK_EX); err != nil {
		return 1, err
	}
	if err := clean(); err != nil {
		return 1, fmt.Errorf("removing what an earlier run left: %w", err)
	}
	folder, err := os.MkdirTemp("", runs)
	if err != nil {
		return 1, err
	}
	began := time.Now()
	if err := prepare(folder); err != nil {
		return 1, errors.Join(err, os.RemoveAll(folder))
	}
	fmt.Printf("prepared in %.1f s\n", time.Since(began).Seconds())
	before, err := look()
	if err != nil {
		return 1, err
	}
	began = time.Now()
	code, err = runInside(folder)
	fmt.Printf("ran for %.1f s\n", time.Since(began).Seconds())
	err = errors.Join(err, clean())
	after, lookErr := look()
	return code, errors.Join(err, lookErr, before.compare(after, folder))
}

// runInside runs this test binary in namespaces.
func runInside(folder string) (int, error) {
	self := exec.Command("/proc/self/exe", os.Args[1:]...)
	self.Env = append(os.Environ(), inside+"="+folder, "TMPDIR="+folder)
	self.Stdout, self.Stderr = os.Stdout, os.Stderr
	self.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	err := self.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); ran {
		return 1, nil // its output says why
	}
	return 0, err
}

// able says what is missing.
func able() error {
	if os.Geteuid() != 0 {
		return errors.New("namespaces, mounts and cgroups need root")
	}
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "/usr/lib/cni/bridge", "/usr/lib/cni/host-local", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (make nodes installs it on Debian)", err)
		}
	}
	return nil
}
