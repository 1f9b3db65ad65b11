package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// addresses are the IP addresses that the agent is asked at.
type addresses []netip.Addr

// awsIPv6 holds the addresses of AWS's link-local services on IPv6 nodes
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
var awsIPv6 = netip.MustParsePrefix("fd00:ec2::/32")

func addressesOf(listeners []net.Listener) (addresses, error) {
	if len(listeners) == 0 {
		return nil, errors.New("agent: nothing to listen on")
	}
	var all addresses
	for _, listener := range listeners {
		tcp, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("agent: %s is not a TCP address", listener.Addr())
		}
		address := tcp.AddrPort().Addr().Unmap()
		if !address.IsLoopback() && !address.IsLinkLocalUnicast() && !awsIPv6.Contains(address) {
			return nil, fmt.Errorf("agent: %s can be reached from outside the node: want a loopback or link-local address", address)
		}
		all = append(all, address.WithZone(""))
	}
	return all, nil
}

// named tells whether host, the value of a Host header, is one of the
// addresses, with or without a port. Names never are: anybody can have one that
// points here (DNS rebinding).
func (all addresses) named(host string) bool {
	address, ok := hostAddress(host)
	return ok && slices.Contains(all, address)
}

// hostAddress reads "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]" and "[2001:db8::1]:80".
func hostAddress(host string) (address netip.Addr, ok bool) {
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		address, err := netip.ParseAddr(host[1 : n-1])
		return address, err == nil && address.Is6()
	}
	if !strings.Contains(host, ":") {
		address, err := netip.ParseAddr(host)
		return address, err == nil
	}
	withPort, err := netip.ParseAddrPort(host)
	return withPort.Addr(), err == nil
}
