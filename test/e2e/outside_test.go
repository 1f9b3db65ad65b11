//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/podid/podid/test/kubernetes/node"
)

// runs begins the names of the folders of all runs.
const runs = "podid-e2e-run-"

// clean removes what this run and those that were killed left: there is no
// other run, for only one has the lock.
func clean() error {
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), runs+"*"))
	failed := []error{err, node.RemoveGroups()}
	for _, f := range folders {
		failed = append(failed, os.RemoveAll(f))
	}
	return errors.Join(failed...)
}

// seen is what of this machine the tests must not change.
type seen struct{ mounts, links, files, groups []string }

// look takes stock.
func look() (s seen, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(mounts)) {
		s.mounts = append(s.mounts, strings.Fields(line)[4])
	}
	links, err := netlink.LinkList()
	if err != nil {
		return s, err
	}
	for _, l := range links {
		s.links = append(s.links, l.Attrs().Name)
	}
	for _, folder := range []string{"/etc", "/etc/cni/net.d", "/opt", "/run", "/run/netns", "/usr/libexec", "/var/lib", "/var/lib/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log"} {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return s, err
		}
		for _, e := range entries {
			s.files = append(s.files, filepath.Join(folder, e.Name()))
		}
	}
	s.groups, err = node.Groups()
	return s, err
}

// compare tells what there is now that was not there before, or names the
// folder of the run.
func (s seen) compare(after seen, folder string) error {
	var failed []error
	added := func(what string, before, after []string) {
		for _, a := range after {
			if !slices.Contains(before, a) {
				failed = append(failed, fmt.Errorf("the tests left the %s %s", what, a))
			}
		}
	}
	added("mount", s.mounts, after.mounts)
	added("network link", s.links, after.links)
	added("file", s.files, after.files)
	added("cgroup", nil, after.groups)
	processes, err := filepath.Glob("/proc/[0-9]*")
	failed = append(failed, err)
	for _, p := range processes {
		command, err := os.ReadFile(p + "/cmdline")
		if err == nil && strings.Contains(string(command), folder) {
			failed = append(failed, fmt.Errorf("the tests left process %s: %s", filepath.Base(p), strings.ReplaceAll(string(command), "\x00", " ")))
		}
	}
	return errors.Join(failed...)
}
