//go:build linux

package link

import (
	"context"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// listen tells of changes of links and addresses, until ctx ends. Which changes
// they are does not matter to those who look for themselves.
func (k *Keeper) listen(ctx context.Context, changes chan<- struct{}) {
	for ctx.Err() == nil {
		if err := listenOnce(ctx, changes); err != nil {
			k.logger.Debug("hearing of no changes of links", "error", err)
		}
		select { // a check every few seconds remains
		case <-ctx.Done():
		case <-time.After(checkEvery):
		}
	}
}

func listenOnce(ctx context.Context, changes chan<- struct{}) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	for {
		_, _, err := s.Receive()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err != unix.ENOBUFS { // so many changes that some were lost are changes too
			return err
		}
		select {
		case changes <- struct{}{}:
		default: // one is known already, and has not been looked at yet
		}
	}
}
