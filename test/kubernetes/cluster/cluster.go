// Package cluster starts a real Kubernetes control plane for tests: etcd and
// kube-apiserver, built through the Go module proxy, on loopback. Unlike
// controller-runtime's envtest it has ServiceAccount admission on, as every real
// cluster has.
package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Options say what differs from an ordinary cluster. The zero value is one.
type Options struct {
	// Release is the version. Empty: what PODID_KUBERNETES says, by which all
	// tests can be run on the Older one; and else Newest.
	Release Release
	// Controllers starts the controller manager and the scheduler too.
	Controllers bool
	// APIServerFlags are added to those of the API server.
	APIServerFlags []string
	// ControllerManagerFlags are added to those of the controller manager.
	ControllerManagerFlags []string
	// Address is where the API server listens and is found. Empty: 127.0.0.1.
	Address string
	// Issuer is the name of the issuer of service account tokens. Empty: Issuer.
	Issuer string
}

// Issuer is what the tokens say in iss, and is the URL that a real cluster
// publishes its keys at.
const Issuer = "https://oidc.example.test/id/EXAMPLED539D4633E53DE1B71EXAMPLE"

// Cluster is a control plane that runs.
type Cluster struct {
	// Config is for a member of system:masters, and has no limit of its own.
	Config *rest.Config
	// Folder holds keys, data and logs until Stop.
	Folder string

	options   Options
	authority *Authority
	processes []*process
	leave     func() error
}

// Start starts a control plane for one test. What keeps it from starting fails
// the test: no machine that can compile Go lacks anything it needs.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("** NOT TESTED: -short leaves out what needs a real Kubernetes API server **")
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.tail(string(APIServer)))
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// New starts a control plane that serves all tests of a package: call it, and
// Stop, in TestMain.
func New(o Options) (*Cluster, error) {
	if o.Release == "" {
		o.Release = cmp.Or(Release(os.Getenv("PODID_KUBERNETES")), Newest)
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	if o.Issuer == "" {
		o.Issuer = Issuer
	}
	programs := []Program{Etcd, APIServer}
	if o.Controllers {
		programs = append(programs, ControllerManager, Scheduler)
	}
	files := map[Program]string{}
	for _, p := range programs {
		release := o.Release
		if p != APIServer {
			release = Newest
		}
		file, err := Build(release, p)
		if err != nil {
			return nil, err
		}
		files[p] = file
	}
	folder, leave, err := enter()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Folder: folder, options: o, leave: leave}
	if err := c.start(files); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop ends all that runs, and removes the folder.
func (c *Cluster) Stop() error {
	var failed []error
	for len(c.processes) > 0 { // etcd, which the others need, is the first
		last := len(c.processes) - 1
		// The API server would wait for its clients; nothing here is worth that.
		failed = append(failed, c.processes[last].stop(200*time.Millisecond))
		c.processes = c.processes[:last]
	}
	return errors.Join(append(failed, c.leave())...)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.Folder, name) }

// start brings everything up, in order.
func (c *Cluster) start(files map[Program]string) error {
	if err := c.certify(); err != nil {
		return err
	}
	// A port that is free now may be another's a moment later: then once more.
	var err error
	for range 3 {
		if err = c.startAPI(files[Etcd], files[APIServer]); !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		return err
	}
	if c.options.Controllers {
		return c.startControllers(files[ControllerManager], files[Scheduler])
	}
	return nil
}

// enter makes a folder for one cluster, and removes those whose processes were
// killed before they could.
func enter() (folder string, leave func() error, err error) {
	const prefix = "podid-kubernetes-"
	unlock, err := lock(filepath.Join(os.TempDir(), prefix+"folders.lock"))
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	before, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"run-*"))
	if err != nil {
		return "", nil, err
	}
	for _, old := range before {
		if free(filepath.Join(old, ".lock")) {
			if err := os.RemoveAll(old); err != nil {
				return "", nil, fmt.Errorf("removing what an earlier test left: %w", err)
			}
		}
	}
	folder, err = os.MkdirTemp("", prefix+"run-")
	if err != nil {
		return "", nil, err
	}
	mine, err := lock(filepath.Join(folder, ".lock"))
	if err != nil {
		return "", nil, err
	}
	return folder, func() error { defer mine(); return os.RemoveAll(folder) }, nil
}
