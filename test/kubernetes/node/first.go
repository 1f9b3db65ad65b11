//go:build linux

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stage says which part of a machine this process is: its power supply, which
// joins the cgroups, or its first process, which is in all of the namespaces.
const stage = "PODID_TEST_NODE_STAGE"

// Main is for TestMain: in a process that is part of a machine it does that
// part and never returns; in all others it does nothing.
func Main() {
	var err error
	c := Config{}
	switch os.Getenv(stage) {
	case "":
		return
	case "supply":
		if err = json.Unmarshal([]byte(os.Getenv(environment)), &c); err == nil {
			err = c.supply()
		}
	case "first":
		if err = json.Unmarshal([]byte(os.Getenv(environment)), &c); err == nil {
			err = c.first()
		}
	}
	fmt.Fprintln(os.Stderr, c.Name, "ends:", err)
	os.Exit(1)
}

// supply starts the first process in cgroups and namespaces of its own, and
// tells its number. The machine ends when this does.
func (c Config) supply() error {
	if err := joinGroups(c.Name); err != nil {
		return err
	}
	first := exec.Command("/proc/self/exe")
	first.Env = append(os.Environ(), stage+"=first")
	first.Stderr = os.Stderr
	first.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWCGROUP,
	}
	if err := first.Start(); err != nil {
		return err
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err := makeRoom(all[0], filepath.Join(all[0].own, prefix+c.Name), "supply"); err != nil {
		return err
	}
	fmt.Println(first.Process.Pid)
	return first.Wait()
}

// first is what runs as process 1 of the machine.
func (c Config) first() error {
	if err := syscall.Sethostname([]byte(c.Name)); err != nil {
		return err
	}
	if err := c.mounts(); err != nil {
		return err
	}
	if err := c.configure(); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	services := map[int]service{} // by process
	run := func(s service) error {
		pid, err := c.run(s)
		services[pid] = s
		return err
	}
	if err := run(service{"containerd", "containerd", []string{"--config=/run/containerd.toml"}}); err != nil {
		return err
	}
	if err := c.loadImages(); err != nil {
		return err
	}
	if err := errors.Join(
		run(service{"kubelet", c.Kubelet, []string{"--config=/run/kubelet.yaml", "--kubeconfig=" + c.credential("kubelet.kubeconfig"),
			"--hostname-override=" + c.Name, "--node-ip=" + c.Address()}}),
		run(service{"proxy", c.Proxy, []string{"--config=/run/proxy.yaml"}}),
	); err != nil {
		return err
	}
	return reap(services, run)
}

// service is a program that runs as long as the machine does.
type service struct {
	name, file string
	args       []string
}

func (c Config) credential(name string) string { return filepath.Join(c.Credentials, name) }

// run starts one of the machine's services.
func (c Config) run(s service) (pid int, err error) {
	log, err := os.OpenFile(c.log(s.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(s.file, s.args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/run"}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release() // reap waits for it
}

// reap buries the dead, as process 1 must, and starts services again, as
// systemd does: a kubelet ends that finds containerd not quite ready.
func reap(services map[int]service, run func(service) error) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		s, found := services[pid]
		if !found {
			continue
		}
		delete(services, pid)
		fmt.Fprintf(os.Stderr, "%s ended (exit %d) and is started again\n", s.name, status.ExitStatus())
		time.Sleep(100 * time.Millisecond)
		if err := run(s); err != nil {
			return err
		}
	}
}

// loadImages hands the archives to containerd, once in a machine's life.
func (c Config) loadImages() error {
	if err := waitSocket("/run/containerd/containerd.sock"); err != nil {
		return err
	}
	done := filepath.Join(c.Folder, "images-loaded")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	for _, archive := range c.Images {
		if out, err := exec.Command("ctr", "--namespace=k8s.io", "images", "import", archive).CombinedOutput(); err != nil {
			return fmt.Errorf("the image %s: %w\n%s", archive, err, out)
		}
	}
	return os.WriteFile(done, nil, 0o644)
}

func waitSocket(path string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}
