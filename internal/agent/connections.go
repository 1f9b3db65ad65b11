package agent

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

const (
	// maxConnections bounds the pods' connections, so that pods that open them
	// without end cost the node some 40 MB and not all it has.
	maxConnections = 4096
	// maxFromPod bounds those of one address, so that one pod cannot keep the
	// others out; maxFromNode, those of all that share the node's own.
	maxFromPod  = maxConnections / 8
	maxFromNode = maxConnections * 3 / 4
)

// connections counts the pods' connections, of all listeners together.
type connections struct {
	callers []netip.Prefix // who may connect, besides the node itself; none: whoever can

	mu         sync.Mutex
	from       map[netip.Addr]int
	open       int
	turnedAway uint64
}

func (c *connections) counted() (open int, turnedAway uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.turnedAway
}

// enter tells whether a connection may stay; if so, leave is to follow.
func (c *connections) enter(remote, local netip.Addr) bool {
	// The node's own processes ask from a loopback address, or from the one they ask at.
	own := remote.IsLoopback() || remote == local
	welcome := own || len(c.callers) == 0 || slices.ContainsFunc(c.callers, func(p netip.Prefix) bool { return p.Contains(remote) })
	most := maxFromPod
	if own {
		most = maxFromNode
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !welcome || c.from[remote] >= most {
		c.turnedAway++
		return false
	}
	c.from[remote]++
	c.open++
	return true
}

func (c *connections) leave(remote netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.from[remote]--; c.from[remote] == 0 {
		delete(c.from, remote)
	}
}

// countedListener closes connections that may not stay before anything is read.
type countedListener struct {
	net.Listener
	connections *connections
}

func (l countedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		remote := sourceOf(conn.RemoteAddr().String())
		if l.connections.enter(remote, sourceOf(conn.LocalAddr().String())) {
			return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.connections.leave(remote) })}, nil
		}
		conn.Close()
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
