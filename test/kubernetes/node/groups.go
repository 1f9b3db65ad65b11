//go:build linux

package node

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prefix begins the name of every cgroup that machines make.
const prefix = "podid-node-"

// hierarchy is one tree of cgroups: on version 1 one for each controller.
type hierarchy struct {
	mount      string // where it is mounted
	controller string // "memory", "cpu,cpuacct", "name=systemd"; empty: version 2
	own        string // the folder that machines' groups are made in
}

func (h hierarchy) unified() bool { return h.controller == "" }

// hierarchies looks at what the machine has. Systems with both versions keep
// the controllers in version 1, and version 2 is left alone.
func hierarchies() ([]hierarchy, error) {
	var s unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &s); err != nil {
		return nil, fmt.Errorf("this machine has no cgroups: %w", err)
	}
	unified := s.Type == unix.CGROUP2_SUPER_MAGIC
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []hierarchy
	for lines := bufio.NewScanner(f); lines.Scan(); { // "4:memory:/some/group"
		part := strings.SplitN(lines.Text(), ":", 3)
		if len(part) != 3 || (part[1] == "") != unified {
			continue
		}
		h := hierarchy{mount: "/sys/fs/cgroup", controller: part[1]}
		if !unified {
			h.mount = filepath.Join(h.mount, strings.TrimPrefix(part[1], "name="))
		}
		h.own = filepath.Join(h.mount, part[2])
		if unified {
			h.own = h.mount // only the topmost group may have processes and groups with controllers
		}
		if _, err := os.Stat(h.own); err != nil {
			return nil, fmt.Errorf("the cgroup of this process: %w", err)
		}
		all = append(all, h)
	}
	if len(all) == 0 {
		return nil, errors.New("this machine has no cgroups")
	}
	return all, nil
}

// joinGroups moves this process into cgroups of the machine's own, below those
// that it is in already.
func joinGroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		group := filepath.Join(h.own, prefix+name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		if h.controller == "cpuset" { // empty at first, and then nobody can join
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
				value, err := os.ReadFile(filepath.Join(h.own, f))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(group, f), value, 0o644); err != nil {
					return err
				}
			}
		}
		if h.unified() {
			if err := passOnControllers(h.own); err != nil {
				return err
			}
		}
		if err := join(group); err != nil {
			return err
		}
	}
	return nil
}

// join moves this process.
func join(group string) error {
	return os.WriteFile(filepath.Join(group, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0o644)
}

// passOnControllers lets groups below have all controllers that this one has.
func passOnControllers(group string) error {
	has, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for c := range strings.FieldsSeq(string(has)) {
		if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return fmt.Errorf("the controller %s for groups below %s: %w", c, group, err)
		}
	}
	return nil
}

// makeRoom moves this process to a group below its machine's, for in version 2
// a group with processes of its own passes no controllers on. top is where the
// machine's group is seen.
func makeRoom(h hierarchy, top, name string) error {
	if !h.unified() {
		return nil
	}
	group := filepath.Join(top, name)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	return join(group)
}

// removeGroups removes a machine's cgroups. Its processes are dead, and leave
// a moment later.
func removeGroups(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	var failed []error
	for _, h := range all {
		failed = append(failed, removeTree(filepath.Join(h.own, prefix+name)))
	}
	return errors.Join(failed...)
}

func removeTree(group string) error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var folders []string
		err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return err
		})
		for i := len(folders) - 1; i >= 0 && err == nil; i-- {
			err = syscall.Rmdir(folders[i])
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) && len(folders) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the cgroup %s: %w", group, err)
		}
	}
}

// Groups returns the cgroups of all machines, of whatever run, that there are.
func Groups() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, h := range all {
		err := filepath.WalkDir(h.mount, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // somebody else's, gone meanwhile
				return nil
			}
			if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), prefix) {
				groups = append(groups, path)
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// RemoveGroups removes the cgroups that killed runs left.
func RemoveGroups() error {
	groups, err := Groups()
	failed := []error{err}
	for _, g := range groups {
		failed = append(failed, removeTree(g))
	}
	return errors.Join(failed...)
}
