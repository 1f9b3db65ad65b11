//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/test/kubernetes/cluster"
	"github.com/podid/podid/test/kubernetes/node"
)

// world is the cluster that all tests share.
var world struct {
	*cluster.Cluster
	folder string
	nodes  []*node.Node
}

const nodes = 2

// within runs the tests as process 1 of their namespaces.
func within(m *testing.M) (code int, err error) {
	world.folder = os.Getenv(inside)
	if err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		syscall.Sethostname([]byte("control-plane")),
		node.Network(),
	); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, down()) }()
	if err := up(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// up starts the control plane and the machines.
func up() error {
	log.SetLogger(logr.Discard()) // the clients' own, which nobody reads
	began := time.Now()
	c, err := cluster.New(cluster.Options{
		Controllers: true, Address: node.Gateway,
		ControllerManagerFlags: []string{"--node-monitor-period=1s", "--node-monitor-grace-period=8s"},
	})
	if err != nil {
		return err
	}
	world.Cluster = c
	if err := serve(); err != nil {
		return err
	}
	fmt.Printf("the control plane started in %.1f s\n", time.Since(began).Seconds())
	kubelet, err := cluster.Build(cluster.Newest, cluster.Kubelet)
	if err != nil {
		return err
	}
	proxy, err := cluster.Build(cluster.Newest, cluster.Proxy)
	if err != nil {
		return err
	}
	for number := range nodes {
		name := fmt.Sprintf("node-%d", number+1)
		config := node.Config{
			Name: name, Number: number + 1, Folder: filepath.Join(world.folder, name),
			Credentials: filepath.Join(world.folder, name, "credentials"), Kubelet: kubelet, Proxy: proxy,
			Images: archives(world.folder), Pause: images[0].name,
		}
		if err := c.Kubelet(name, config.Address(), config.Credentials); err != nil {
			return err
		}
		n, err := node.Start(config)
		if err != nil {
			return err
		}
		world.nodes = append(world.nodes, n)
	}
	return nil
}

// serve serves what the cluster finds around itself: the small AWS, and names.
func serve() error {
	if err := serveAWS(world.folder); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(world.Config)
	if err != nil {
		return err
	}
	aws, err := netip.ParseAddr(node.Gateway)
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", net.JoinHostPort(node.Gateway, "53"))
	if err != nil {
		return err
	}
	go (&names{client: client, aws: aws}).serve(socket)
	return nil
}

// down ends everything in order, which the namespaces would do by force.
func down() error {
	var failed []error
	for _, n := range world.nodes {
		failed = append(failed, n.Off())
	}
	if world.Cluster != nil {
		failed = append(failed, world.Stop())
	}
	return errors.Join(failed...)
}
