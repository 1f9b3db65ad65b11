//go:build linux

package agent_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const linkName = "pod-id-link0"

func hasLink() bool {
	_, err := netlink.LinkByName(linkName)
	return err == nil
}

func removeLink(t *testing.T) {
	t.Helper()
	l, err := netlink.LinkByName(linkName)
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOneProcessDoesItAll: it makes its link, repairs it, and takes it away.
func TestOneProcessDoesItAll(t *testing.T) {
	up := newEKSAuth(t)
	p := start(t, "--link", "create", "--endpoint", up.URL)
	mustAsk(t, 1)
	if a := askAt(1, "[fd00:ec2::23]:80"); a.id == "" {
		t.Errorf("by IPv6: %+v", a)
	}
	removeLink(t)
	began := time.Now()
	eventually(t, time.Second, "pods are served again after the link was removed", func() bool { return ask(1).id != "" })
	t.Logf("the link was back after %v", time.Since(began))
	if status, text := page(t, "http://localhost:2703/readyz"); status != 200 || text != "ok\n" {
		t.Errorf("readyz: %d %s", status, text)
	}
	if code := p.stop(); code != 0 || hasLink() {
		t.Errorf("exit code %d, and the link is still there: %v", code, hasLink())
	}
}

// TestInitThenUse: only the init step and what keeps the link may change the
// network; the server is nobody, and may do nothing but bind its port.
func TestInitThenUse(t *testing.T) {
	up := newEKSAuth(t)
	if out, err := exec.Command(binary, "init").CombinedOutput(); err != nil || !hasLink() {
		t.Fatalf("%v\n%s", err, out)
	}
	defer removeLink(t)
	if out, err := exec.Command(binary, "initialize").CombinedOutput(); err != nil { // as the stock agent's manifest says it
		t.Fatalf("a second time: %v\n%s", err, out)
	}
	keeper := command(t, "link")
	keeper.launch()

	p := command(t, "server", "--cluster-name", "example-cluster", "--endpoint", up.URL)
	p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
	p.cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE}
	p.launch()
	eventually(t, 5*time.Second, "podid-agent serves", func() bool { return strings.Contains(p.log.String(), "serving metrics") })
	mustAsk(t, 1)
	eventually(t, 5*time.Second, "ready", func() bool { status, _ := page(t, "http://localhost:2703/readyz"); return status == 200 })

	removeLink(t)
	eventually(t, time.Second, "pods are served again after the link was removed", func() bool { return ask(1).id != "" })
	if code := keeper.stop(); code != 0 || hasLink() {
		t.Errorf("podid-agent link: exit code %d, link there: %v", code, hasLink()) // it made the second one
	}
	status, text := page(t, "http://localhost:2703/readyz")
	if want := "on no link of this node: [169.254.170.23]; run podid-agent init, or the server with --link create\n"; status != 503 || text != want {
		t.Errorf("readyz: %d %s", status, text)
	}
	if status, _ := page(t, "http://localhost:2703/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if out, err := exec.Command(binary, "init").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mustAsk(t, 1) // the same process, never the wiser
}

// TestAnotherAgentIsThere: whoever holds the port is named.
func TestAnotherAgentIsThere(t *testing.T) {
	other, err := net.Listen("tcp", "0.0.0.0:80")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	up := newEKSAuth(t)
	out, err := exec.Command(binary, "server", "-c", "c", "--link", "create", "--region", "us-west-2", "--endpoint", up.URL).CombinedOutput()
	comm, _ := os.ReadFile("/proc/self/comm")
	if err == nil || !strings.Contains(string(out), "("+strings.TrimSpace(string(comm))+") listens on ") || !strings.Contains(string(out), "address already in use") {
		t.Errorf("%v\n%s", err, out)
	}
	if hasLink() {
		t.Error("the link is left behind")
	}
}

// TestWithoutTheRightToBind says which one is missing.
func TestWithoutTheRightToBind(t *testing.T) {
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || strings.TrimSpace(string(text)) != "1024" {
		t.Skip("NOT TESTED: binding port 80 without the right, which everybody has here")
	}
	cmd := exec.Command(binary, "server", "-c", "c", "--region", "us-west-2", "--endpoint", newEKSAuth(t).URL)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "CAP_NET_BIND_SERVICE") {
		t.Errorf("%v\n%s", err, out)
	}
}
