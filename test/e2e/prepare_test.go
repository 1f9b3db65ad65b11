//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/podid/podid/test/kubernetes/cluster"
)

// programs are those that a cluster with nodes needs.
var programs = []cluster.Program{
	cluster.Etcd, cluster.APIServer, cluster.ControllerManager, cluster.Scheduler, cluster.Kubelet, cluster.Proxy,
}

// images are what pods run, packed as releases are. Pods get them from the
// nodes themselves: there is no registry.
var images = []struct{ name, pkg string }{
	{"podid.test/pause:1", "./test/e2e/pause"},
	{"podid.test/app:1", "./test/e2e/app"},
	{"podid.test/podid:1", "./cmd/podid"},
	{"podid.test/podid-agent:1", "./cmd/podid-agent"},
}

// prepare builds everything that the tests need, while the network is there.
func prepare(folder string) error {
	for _, p := range programs {
		if _, err := cluster.Build(cluster.Newest, p); err != nil {
			return err
		}
	}
	if err := certifyAWS(folder); err != nil {
		return err
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	if err := renderChart(top, folder); err != nil {
		return err
	}
	for _, i := range images {
		binary := filepath.Join(folder, filepath.Base(i.pkg))
		if err := command(top, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, i.pkg); err != nil {
			return err
		}
		if err := command(filepath.Join(top, "tools", "release"), "go", "run", "./image", "-name", i.name, "-certificates", rootsFile(folder), "-o", binary+".tar", "amd64="+binary); err != nil {
			return err
		}
	}
	return nil
}

func command(folder string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, out)
	}
	return nil
}

func archives(folder string) []string {
	var all []string
	for _, i := range images {
		all = append(all, filepath.Join(folder, filepath.Base(i.pkg)+".tar"))
	}
	return all
}
