package eksauth_test

import (
	"context"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/issue"
)

// cutOff is a network that can lose all that comes from a server, as when its
// node loses its power: no connection is closed.
type cutOff struct {
	net.Listener
	cut atomic.Bool
}

func (c *cutOff) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return &cutConn{conn, c}, err
}

type cutConn struct {
	net.Conn
	network *cutOff
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.network.cut.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// aliveServer starts podid's own handler behind a network.
func aliveServer(t *testing.T, issue func(context.Context, issue.Request) (*issue.Grant, error)) (string, *cutOff) {
	t.Helper()
	server := httptest.NewUnstartedServer((&service{issue: issue}).handler(t))
	network := &cutOff{Listener: server.Listener}
	server.Listener = network
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, network
}

// TestGoneInTheMiddle: a server that lived when the call began, and whose node
// then is gone, does not cost the whole time of the call.
func TestGoneInTheMiddle(t *testing.T) {
	var networks [2]*cutOff
	var asked atomic.Int32
	var first sync.Once
	var urls [2]string
	for i := range urls {
		urls[i], networks[i] = aliveServer(t, func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
			asked.Add(1)
			first.Do(func() {
				time.Sleep(50 * time.Millisecond) // it has said that it lives
				networks[i].cut.Store(true)
			})
			return granted(ctx, r)
		})
	}
	c, err := eksauth.NewClient(eksauth.ClientConfig{Cluster: cluster.Name, Region: cluster.Region, Endpoint: urls[0], Replicas: urls[1:], Credentials: nodeKey})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if asked.Load() != 2 || took > 1500*time.Millisecond { // 650 ms on an idle machine
		t.Errorf("%d servers were asked, after %v", asked.Load(), took)
	}
	began = time.Now()
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil || time.Since(began) > 240*time.Millisecond {
		t.Errorf("the next call: %v after %v", err, time.Since(began))
	}
}

// TestLongWork: as long as a server says that it lives, it alone is asked.
func TestLongWork(t *testing.T) {
	var asked atomic.Int32
	slow := func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
		asked.Add(1)
		time.Sleep(2 * time.Second) // more than ten signs of life, and more than net/http's own limit
		return granted(ctx, r)
	}
	a, _ := aliveServer(t, slow)
	b, _ := aliveServer(t, slow)
	c, err := eksauth.NewClient(eksauth.ClientConfig{Cluster: cluster.Name, Region: cluster.Region, Endpoint: a, Replicas: []string{b}, Credentials: nodeKey})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 1 {
		t.Errorf("%d servers were asked", asked.Load())
	}
}
