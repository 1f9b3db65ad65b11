//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podid/podid/internal/agent/link"
)

// listen opens a listener for each address, whether it is on the node yet or
// not: it works as soon as it is, and again when it was away. IPv6 is left out
// on nodes without it, unless it was asked for.
func listen(ctx context.Context, o *options, logger *slog.Logger) ([]net.Listener, error) {
	config := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// Without it, binding itself says what is wrong.
			if network == "tcp6" {
				unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
			} else {
				unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
			}
		})
	}}
	var listeners []net.Listener
	for _, host := range o.addresses() {
		at := netip.AddrPortFrom(host, uint16(o.port))
		l, err := config.Listen(ctx, "tcp", at.String())
		switch {
		case err == nil:
			listeners = append(listeners, l)
		case len(o.hosts) == 0 && host.Is6() && len(listeners) > 0 && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)):
			logger.Info("no IPv6 on this node", "address", host.String())
		default:
			(&doors{pods: listeners}).close()
			return nil, explain(err, at)
		}
	}
	return listeners, nil
}

// explain adds to an error of binding what to do about it.
func explain(err error, at netip.AddrPort) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		if holder := link.Holder(at); holder != "" {
			return fmt.Errorf("%w: %s; end it, or use other --bind-hosts or --port", err, holder)
		}
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: ports below 1024 need CAP_NET_BIND_SERVICE", err)
	}
	return err
}

// doors are all the listeners of the server.
type doors struct {
	pods            []net.Listener
	probes, metrics net.Listener
}

func openDoors(ctx context.Context, o *options, logger *slog.Logger) (*doors, error) {
	d := &doors{}
	var err error
	if d.pods, err = listen(ctx, o, logger); err != nil {
		return nil, err
	}
	if d.probes, err = listenAt("localhost", o.probePort); err != nil {
		d.close()
		return nil, fmt.Errorf("probes: %w", err)
	}
	if d.metrics, err = listenAt(o.metricsAddress, o.metricsPort); err != nil {
		d.close()
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return d, nil
}

func listenAt(host string, port uint) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)))
}

func (d *doors) close() {
	for _, l := range append(d.pods, d.probes, d.metrics) {
		if l != nil {
			l.Close()
		}
	}
}
