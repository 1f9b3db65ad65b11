//go:build linux

// Package link keeps the addresses at which pods find the agent on its node. It
// puts them on a link of their own, which goes nowhere.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Name is the link of EKS's own agent
// (https://github.com/aws/eks-pod-identity-agent/blob/main/configuration/config.go).
const Name = "pod-id-link0"

// Config says what a Keeper keeps.
type Config struct {
	// Addresses are to be on the node. Required.
	Addresses []netip.Addr
	// Name of the link that takes those that are not. Empty: Name.
	Name string
	// Logger takes one line for each change that the Keeper makes. Nil: nowhere.
	Logger *slog.Logger
}

// Keeper puts addresses on the node and keeps them there. It needs CAP_NET_ADMIN.
type Keeper struct {
	name      string
	addresses []netip.Addr
	logger    *slog.Logger

	mu    sync.Mutex
	made  int          // index of the link, if the Keeper made it
	added []netip.Addr // to a link that was there
}

// New checks c. It changes nothing.
func New(c Config) (*Keeper, error) {
	if len(c.Addresses) == 0 {
		return nil, errors.New("link: no address to keep")
	}
	if c.Name == "" {
		c.Name = Name
	}
	if len(c.Name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("link: %q is longer than the %d characters of a link's name", c.Name, unix.IFNAMSIZ-1)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{name: c.Name, addresses: c.Addresses, logger: c.Logger}, nil
}

// Ensure puts on the node what it lacks of the addresses. Those that are there
// already, on whatever link, are left as they are. Without IPv6 the IPv6
// addresses are left out, as long as there are others.
func (k *Keeper) Ensure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.ensureLocked()
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: it takes CAP_NET_ADMIN", err)
	}
	return err
}

func (k *Keeper) ensureLocked() error {
	missing, err := Missing(k.addresses)
	if err != nil || len(missing) == 0 {
		return err
	}
	own, err := k.linkLocked()
	if err != nil {
		return fmt.Errorf("making the link %s: %w", k.name, err)
	}
	if own.Attrs().Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(own); err != nil {
			return fmt.Errorf("setting the link %s up: %w", k.name, err)
		}
	}
	for _, address := range missing {
		err := netlink.AddrReplace(own, onLink(address))
		switch {
		case err == nil:
			k.logger.Info("put an address on the node", "address", address.String(), "link", k.name)
			if k.made != own.Attrs().Index && !slices.Contains(k.added, address) {
				k.added = append(k.added, address)
			}
		case address.Is6() && ipv6IsOff(err) && slices.ContainsFunc(k.addresses, netip.Addr.Is4):
			k.logger.Debug("IPv6 is off on this node", "address", address.String())
		default:
			return fmt.Errorf("putting %s on the link %s: %w", address, k.name, err)
		}
	}
	return nil
}

// onLink is an address as it is put on a link: alone in its network, and usable
// at once, since nobody else on the link could have it (RFC 4862 section 5.4).
func onLink(address netip.Addr) *netlink.Addr {
	a := &netlink.Addr{IPNet: netlink.NewIPNet(address.AsSlice())}
	if address.Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// ipv6IsOff tells whether that is why an address was refused: the kernel has no
// IPv6, or it is disabled on the link.
func ipv6IsOff(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// linkLocked returns the link, made now if need be.
func (k *Keeper) linkLocked() (netlink.Link, error) {
	for range 2 {
		own, err := netlink.LinkByName(k.name)
		if err == nil {
			return own, nil
		}
		if _, absent := errors.AsType[netlink.LinkNotFoundError](err); !absent {
			return nil, err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = k.name
		var made netlink.Link = &netlink.Dummy{LinkAttrs: attrs}
		err = netlink.LinkAdd(made)
		if errors.Is(err, unix.EOPNOTSUPP) { // not every kernel has dummy links, but those that run containers have bridges
			made = &netlink.Bridge{LinkAttrs: attrs}
			err = netlink.LinkAdd(made)
		}
		switch {
		case err == nil:
			k.made, k.added = made.Attrs().Index, nil
			k.logger.Info("made a link", "link", k.name, "type", made.Type())
			return made, nil
		case !errors.Is(err, unix.EEXIST):
			return nil, err
		}
	}
	return nil, unix.EEXIST
}

// Remove takes away what the Keeper has put on the node.
func (k *Keeper) Remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	own, err := netlink.LinkByName(k.name)
	if _, absent := errors.AsType[netlink.LinkNotFoundError](err); absent {
		return nil
	}
	if err != nil {
		return err
	}
	if own.Attrs().Index == k.made {
		return netlink.LinkDel(own)
	}
	for _, address := range k.added {
		if err := netlink.AddrDel(own, onLink(address)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	return nil
}

const (
	// checkEvery is how often Run looks, whatever it has heard.
	checkEvery = 10 * time.Second
	// checkAtMost is how often Run looks while it hears of changes without end,
	// as on a node where pods come and go.
	checkAtMost = 200 * time.Millisecond
)

// Run puts back what others take away, until ctx ends. It does not Remove.
func (k *Keeper) Run(ctx context.Context) error {
	changes := make(chan struct{}, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		k.listen(ctx, changes)
	}()
	defer func() { <-listening }()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var said string
	for {
		err := k.Ensure()
		if err != nil && err.Error() != said {
			k.logger.Error("pods may not reach the agent", "error", err)
		}
		said = fmt.Sprint(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(checkAtMost):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-tick.C:
		}
	}
}

// Missing returns those of the addresses that are on no link of the node that
// is up.
func Missing(addresses []netip.Addr) ([]netip.Addr, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing the links: %w", err)
	}
	missing := slices.Clone(addresses)
	for _, l := range links {
		if l.Flags&net.FlagUp == 0 {
			continue
		}
		on, err := l.Addrs()
		if err != nil {
			continue // it has gone since
		}
		for _, a := range on {
			if n, ok := a.(*net.IPNet); ok {
				address, _ := netip.AddrFromSlice(n.IP)
				missing = slices.DeleteFunc(missing, func(m netip.Addr) bool { return m == address.Unmap() })
			}
		}
	}
	return missing, nil
}
