//go:build linux

package link_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/podid/podid/internal/agent/link"
)

var (
	v4   = netip.MustParseAddr("169.254.170.23")
	v6   = netip.MustParseAddr("fd00:ec2::23")
	both = []netip.Addr{v4, v6}
)

// inNamespace runs the calling test in a network namespace of its own: once
// more, in a process that has one. It is true in that process.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const marker = "PODID_TEST_IN_NAMESPACE"
	if os.Getenv(marker) != "" {
		return true
	}
	self := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	self.Env = append(os.Environ(), marker+"=1")
	self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := self.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("NOT TESTED: links. Making a network namespace needs root: ", err)
	}
	t.Logf("in a namespace:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a namespace: %v", err)
	}
	return false
}

func keeper(t *testing.T, addresses ...netip.Addr) *link.Keeper {
	t.Helper()
	k, err := link.New(link.Config{Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ensure(t *testing.T, k *link.Keeper) {
	t.Helper()
	if err := k.Ensure(); err != nil {
		t.Fatal(err)
	}
}

func wantMissing(t *testing.T, want ...netip.Addr) {
	t.Helper()
	if missing, err := link.Missing(both); err != nil || fmt.Sprint(missing) != fmt.Sprint(want) {
		t.Errorf("missing %v, want %v (%v)", missing, want, err)
	}
}

// eventually polls, since the kernel tells of changes when it likes.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func present() bool {
	missing, err := link.Missing(both)
	return err == nil && len(missing) == 0
}

// reachable tells whether a server at the address can be talked to.
func reachable(t *testing.T, address netip.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(address, 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func mustLink(t *testing.T) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(link.Name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func loopbackUp(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMadeUsedAndRemoved(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loopbackUp(t)
	wantMissing(t, both...)
	k := keeper(t, both...)
	for range 3 {
		ensure(t, k)
		wantMissing(t)
	}
	reachable(t, v4)
	reachable(t, v6)
	on, err := netlink.AddrList(mustLink(t), netlink.FAMILY_V4)
	if err != nil || len(on) != 1 || on[0].IPNet.String() != "169.254.170.23/32" {
		t.Errorf("addresses %v, %v", on, err)
	}
	for range 2 {
		if err := k.Remove(); err != nil {
			t.Fatal(err)
		}
		wantMissing(t, both...)
	}
}

func TestWhatWasThereStays(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loopbackUp(t)
	ensure(t, keeper(t, both...)) // as an earlier init step did
	k := keeper(t, both...)
	ensure(t, k)
	if err := k.Remove(); err != nil {
		t.Fatal(err)
	}
	wantMissing(t)

	// A link that has one of them only.
	if err := netlink.AddrDel(mustLink(t), &netlink.Addr{IPNet: netlink.NewIPNet(v6.AsSlice())}); err != nil {
		t.Fatal(err)
	}
	ensure(t, k)
	wantMissing(t)
	if err := k.Remove(); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, v6)

	// The addresses on another link, and no link of ours.
	if err := netlink.LinkDel(mustLink(t)); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range both {
		if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())}); err != nil {
			t.Fatal(err)
		}
	}
	ensure(t, k)
	if _, err := netlink.LinkByName(link.Name); err == nil {
		t.Error("a link was made that nobody needs")
	}
	if err := k.Remove(); err != nil {
		t.Fatal(err)
	}
	wantMissing(t)
}

func TestRepairedWithinASecond(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loopbackUp(t)
	k := keeper(t, both...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	eventually(t, 5*time.Second, "made", present)
	listener, err := net.Listen("tcp", "169.254.170.23:80") // outlives whatever happens to its address
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, harm := range map[string]func(netlink.Link) error{
		"IPv4 address removed": func(l netlink.Link) error {
			return netlink.AddrDel(l, &netlink.Addr{IPNet: netlink.NewIPNet(v4.AsSlice())})
		},
		"IPv6 address removed": func(l netlink.Link) error {
			return netlink.AddrDel(l, &netlink.Addr{IPNet: netlink.NewIPNet(v6.AsSlice())})
		},
		"link set down": netlink.LinkSetDown,
		"link removed":  netlink.LinkDel,
	} {
		if err := harm(mustLink(t)); err != nil {
			t.Fatal(name, err)
		}
		eventually(t, time.Second, name, present)
		c, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
		if err != nil {
			t.Fatalf("%s: the listener is not reached any more: %v", name, err)
		}
		c.Close()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := k.Remove(); err != nil {
		t.Error(err)
	}
	wantMissing(t, both...)
}

func TestWithoutIPv6(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, where := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+where+"/disable_ipv6", []byte("1"), 0); err != nil {
			t.Skip("NOT TESTED: IPv6 switched off, which cannot be done here: ", err)
		}
	}
	loopbackUp(t)
	ensure(t, keeper(t, both...))
	wantMissing(t, v6)
	reachable(t, v4)
	if err := keeper(t, v6).Ensure(); err == nil {
		t.Error("no error, though nothing is left to be reached at")
	}
}

func TestWithoutTheRight(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	// Whoever lacks the right gets an error that says so: run once more, as nobody.
	self := exec.Command("/proc/self/exe", "-test.run=^TestEnsureIsRefused$", "-test.v")
	self.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	out, err := self.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "operation not permitted") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEnsureIsRefused is the child of TestWithoutTheRight.
func TestEnsureIsRefused(t *testing.T) {
	if os.Getenv("PODID_TEST_IN_NAMESPACE") == "" {
		t.Skip("runs as the child of TestWithoutTheRight")
	}
	err := keeper(t, both...).Ensure()
	if !errors.Is(err, syscall.EPERM) {
		t.Fatalf("got %v", err)
	}
	t.Log(err)
}

func TestHolder(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Log("not tried: ", err)
			continue
		}
		at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().(*net.TCPAddr).AddrPort().Port())
		if address == "[::1]:0" {
			at = netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
		}
		if got, want := link.Holder(at), fmt.Sprintf("process %d (link.test) listens on ", os.Getpid()); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", address, got)
		}
		l.Close()
		if got := link.Holder(at); got != "" {
			t.Errorf("%s: %q after it was closed", address, got)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := link.New(link.Config{}); err == nil {
		t.Error("no addresses: accepted")
	}
	if _, err := link.New(link.Config{Addresses: both, Name: "a-name-that-is-too-long"}); err == nil {
		t.Error("a name that is too long: accepted")
	}
}
