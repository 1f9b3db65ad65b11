//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disks are the folders that outlive the power, and where the machine has them.
var disks = []struct{ name, at string }{
	{"kubelet", "/var/lib/kubelet"},
	{"containerd", "/var/lib/containerd"},
	{"podlogs", "/var/log/pods"},
}

// mounts gives the machine its own view of the files: those of the machine that
// it is a part of, with memory or a disk of its own wherever something is written.
func (c Config) mounts() error {
	groups, err := hierarchies() // while they can be seen
	if err != nil {
		return err
	}
	// Nothing that is mounted here is seen outside, and what the kubelet mounts is
	// seen by containers that ask for it.
	err = errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""),
		mountGroups(groups),
	)
	for _, memory := range []string{"/run", "/var/lib", "/var/log", "/opt"} {
		err = errors.Join(err, unix.Mount("tmpfs", memory, "tmpfs", 0, "mode=755,size=256m"))
	}
	if err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	for _, d := range disks {
		if err := errors.Join(os.MkdirAll(d.at, 0o755), unix.Mount(filepath.Join(c.Folder, d.name), d.at, "", unix.MS_BIND, "")); err != nil {
			return fmt.Errorf("the disk %s: %w", d.name, err)
		}
	}
	return coverSettings()
}

// mountGroups shows the machine its own cgroups as if they were all.
func mountGroups(all []hierarchy) error {
	const at = "/sys/fs/cgroup"
	if all[0].unified() {
		if err := unix.Mount("cgroup2", at, "cgroup2", 0, ""); err != nil {
			return err
		}
		return makeRoom(all[0], at, "first")
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range all {
		options := h.controller
		if strings.HasPrefix(options, "name=") {
			options = "none," + options
		}
		if err := errors.Join(os.Mkdir(h.mount, 0o755), unix.Mount("cgroup", h.mount, "cgroup", 0, options)); err != nil {
			return fmt.Errorf("%s: %w", h.mount, err)
		}
	}
	return nil
}

// coverSettings shows the kubelet the settings that it wants, so that it does
// not write those of the whole machine.
func coverSettings() error {
	for name, value := range map[string]string{
		"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		cover := "/run/settings/" + strings.ReplaceAll(name, "/", "-")
		if err := errors.Join(
			os.MkdirAll(filepath.Dir(cover), 0o755), os.WriteFile(cover, []byte(value+"\n"), 0o644),
			unix.Mount(cover, "/proc/sys/"+name, "", unix.MS_BIND, ""),
		); err != nil {
			return fmt.Errorf("the setting %s: %w", name, err)
		}
	}
	return nil
}
