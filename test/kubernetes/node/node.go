//go:build linux

// Package node powers machines of a test cluster on and off: a machine is a set
// of Linux namespaces with containerd, kubelet and kube-proxy inside, all real.
// It touches nothing outside its namespaces, its folder and its cgroups, and
// ends with the process that started it.
package node

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Config describes a machine. All fields are required.
type Config struct {
	Name string
	// Number tells apart up to 200 machines: their addresses and those of their pods.
	Number int
	// Folder keeps disks and logs. What is in it outlives the power.
	Folder string
	// Credentials is the folder that cluster.Kubelet filled.
	Credentials string
	// Kubelet and Proxy are the programs.
	Kubelet, Proxy string
	// Images are the archives that containerd has from the beginning: no registry
	// can be reached. Pause is the name of the image of every pod's sandbox.
	Images []string
	Pause  string
}

// Address is where the machine is reached.
func (c Config) Address() string { return fmt.Sprintf("%s.%d", network, 10+c.Number) }

func (c Config) pods() string        { return fmt.Sprintf("10.244.%d.0/24", c.Number) }
func (c Config) link() string        { return fmt.Sprintf("node%d", c.Number) }
func (c Config) log(n string) string { return filepath.Join(c.Folder, n+".log") }

// Node is a machine.
type Node struct {
	Config

	supply *exec.Cmd // ends the machine when it ends
	ended  chan struct{}
	off    bool // by Off
}

// environment carries a machine's Config to its first process.
const environment = "PODID_TEST_NODE"

// Start powers a machine on, and returns when it has its network.
func Start(c Config) (*Node, error) {
	for _, disk := range disks {
		if err := os.MkdirAll(filepath.Join(c.Folder, disk.name), 0o755); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.log("machine"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	n := &Node{Config: c, supply: exec.Command("/proc/self/exe"), ended: make(chan struct{})}
	n.supply.Env = append(os.Environ(), environment+"="+string(text), stage+"=supply")
	n.supply.Stderr = log
	n.supply.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := n.supply.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s has no power: %w\n%s", c.Name, err, n.Logs()), n.Off())
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return nil, errors.Join(err, n.Off())
	}
	if err := n.plug(pid); err != nil {
		return nil, errors.Join(err, n.Off())
	}
	return n, nil
}

// start keeps the thread for as long as the process lives: the kernel counts
// that thread as the parent (prctl(2), PR_SET_PDEATHSIG).
func (n *Node) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := n.supply.Start()
		started <- err
		if err == nil {
			_ = n.supply.Wait() // it never ends but by force
		}
		close(n.ended)
	}()
	return <-started
}

// Fell says whether the machine has ended by itself.
func (n *Node) Fell() bool {
	select {
	case <-n.ended:
		return !n.off
	default:
		return false
	}
}

// Off pulls the plug: everything on the machine ends at once, as in a power cut.
func (n *Node) Off() error {
	n.off = true
	if err := n.supply.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.ended
	// The kernel takes its time to remove the network of who is dead.
	err := n.cable(netlink.LinkDel)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		err = nil
	}
	return errors.Join(err, removeGroups(n.Name))
}

// Cut takes the machine off the network; what runs on it goes on.
func (n *Node) Cut() error { return n.cable(netlink.LinkSetDown) }

// Mend puts it back.
func (n *Node) Mend() error {
	if err := n.cable(netlink.LinkSetUp); err != nil {
		return err
	}
	return n.route()
}

func (n *Node) cable(set func(netlink.Link) error) error {
	l, err := netlink.LinkByName(n.link())
	if err != nil {
		return err
	}
	return set(l)
}

// plug connects the machine whose first process is pid.
func (n *Node) plug(pid int) error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("%w: call Network first", err)
	}
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: n.link(), MasterIndex: bridge.Attrs().Index},
		PeerName:  "eth0", PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("the cable of %s: %w", n.Name, err)
	}
	return n.Mend()
}

// route leads to the machine's pods.
func (n *Node) route() error {
	_, pods, err := net.ParseCIDR(n.pods())
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{Dst: pods, Gw: net.ParseIP(n.Address())})
}

// Logs returns the ends of the machine's logs.
func (n *Node) Logs() string {
	const most = 4000
	var all strings.Builder
	for _, name := range []string{"machine", "containerd", "kubelet", "proxy"} {
		text, err := os.ReadFile(n.log(name))
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&all, "-- %s of %s:\n%s\n", name, n.Name, text[max(0, len(text)-most):])
	}
	return all.String()
}
