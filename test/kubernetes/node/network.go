//go:build linux

package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	network    = "10.77.0"
	bridgeName = "machines"
)

// Gateway is the address of the namespace in which Network was called: the
// control plane, name service, and whatever the tests serve.
const Gateway = network + ".1"

// Network makes the network of the machines in this network namespace, which
// must be the test's own.
func Network() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkAdd(bridge), addAddress(bridge, Gateway), forward()); err != nil {
		return fmt.Errorf("the network of the machines: %w", err)
	}
	return netlink.LinkSetUp(bridge)
}

func addAddress(l netlink.Link, address string) error {
	return netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(24, 32)}})
}

// forward is a setting of the network namespace that asks.
func forward() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }

// connect waits for the cable, and sets the machine's end of it up.
func (c Config) connect() error {
	var eth0 netlink.Link
	var err error
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if eth0, err = netlink.LinkByName("eth0"); err == nil {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("no cable: %w", err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(lo), addAddress(eth0, c.Address()), netlink.LinkSetUp(eth0), forward()); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(Gateway)})
}
