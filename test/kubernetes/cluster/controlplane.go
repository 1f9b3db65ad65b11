package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// errEnded says that a server ended at once, as it does when its port is taken.
var errEnded = errors.New("ended while it started")

// certify makes what kubeadm makes in /etc/kubernetes/pki.
func (c *Cluster) certify() error {
	a, err := NewAuthority("kubernetes")
	if err != nil {
		return err
	}
	c.authority = a
	if err := os.WriteFile(c.path("ca.crt"), a.pem, 0o600); err != nil {
		return err
	}
	api, err := a.server("kube-apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", c.options.Address, firstServiceAddress)
	if err := c.write("apiserver", api, err); err != nil {
		return err
	}
	kubelet, err := a.client("kube-apiserver-kubelet-client", "system:masters")
	if err := c.write("apiserver-kubelet", kubelet, err); err != nil {
		return err
	}
	private, public, err := tokenKeys()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path("sa.key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.path("sa.pub"), public, 0o600)
}

const (
	serviceRange        = "10.96.0.0/16"
	firstServiceAddress = "10.96.0.1" // the API server's own
)

// startAPI starts etcd and the API server, on ports that nobody has.
func (c *Cluster) startAPI(etcd, apiServer string) error {
	ports, err := freePorts(c.options.Address, 3)
	if err != nil {
		return err
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	store, err := c.run(string(Etcd), etcd,
		"--name=etcd", "--data-dir="+c.path(fmt.Sprintf("etcd-%d", ports[0])),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=etcd="+peer,
		"--unsafe-no-fsync", // nobody pulls the plug on a test
		"--log-level=warn")
	if err != nil {
		return err
	}
	address := net.JoinHostPort(c.options.Address, fmt.Sprint(ports[2]))
	api, err := c.run(string(APIServer), apiServer, append([]string{
		"--etcd-servers=" + client,
		"--bind-address=" + c.options.Address, "--advertise-address=" + c.options.Address, fmt.Sprintf("--secure-port=%d", ports[2]),
		"--endpoint-reconciler-type=" + c.reconciler(),
		"--tls-cert-file=" + c.path("apiserver.crt"), "--tls-private-key-file=" + c.path("apiserver.key"), "--client-ca-file=" + c.path("ca.crt"),
		"--service-account-issuer=" + c.options.Issuer, "--api-audiences=" + c.options.Issuer,
		"--service-account-key-file=" + c.path("sa.pub"), "--service-account-signing-key-file=" + c.path("sa.key"),
		"--kubelet-client-certificate=" + c.path("apiserver-kubelet.crt"), "--kubelet-client-key=" + c.path("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + c.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		// Webhooks that are Services are called where their pods are.
		"--enable-aggregator-routing=true",
		"--profiling=false",
	}, c.options.APIServerFlags...)...)
	if err != nil {
		return err
	}
	admin, err := c.user("podid-test-admin", "https://"+address, "system:masters")
	if err != nil {
		return err
	}
	c.Config = admin
	if err := c.waitReady(api, store); err != nil {
		c.processes = nil
		return errors.Join(err, api.stop(0), store.stop(0))
	}
	return nil
}

// reconciler is what keeps the endpoints of the Service kubernetes. A loopback
// address is no endpoint for the API server's own validation.
func (c *Cluster) reconciler() string {
	if ip := net.ParseIP(c.options.Address); ip != nil && ip.IsLoopback() {
		return "none"
	}
	return "lease"
}

// waitReady waits for what kubeadm waits for.
func (c *Cluster) waitReady(api, store *process) error {
	const patience = 90 * time.Second // other tests may have the processors
	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		return err
	}
	client.Timeout = 5 * time.Second
	var said error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case <-api.ended:
			return fmt.Errorf("the API server %w: %w\n%s", errEnded, api.err, c.tail(string(APIServer)))
		case <-store.ended:
			return fmt.Errorf("etcd %w: %w\n%s", errEnded, store.err, c.tail(string(Etcd)))
		case <-time.After(25 * time.Millisecond):
		}
		response, err := client.Get(c.Config.Host + "/readyz")
		if err != nil {
			said = err
			continue
		}
		response.Body.Close()
		if response.StatusCode == 200 {
			return nil
		}
		said = errors.New("readyz: " + response.Status)
	}
	return fmt.Errorf("the API server is not ready after %v: %w\n%s", patience, said, c.tail(string(APIServer)))
}

// startControllers starts the controller manager and the scheduler. It comes
// after readyz, or their first attempts fail and they wait for seconds.
func (c *Cluster) startControllers(manager, scheduler string) error {
	for _, user := range []string{"system:kube-controller-manager", "system:kube-scheduler"} {
		if err := c.writeKubeconfig(c.path(strings.TrimPrefix(user, "system:")+".kubeconfig"), user); err != nil {
			return err
		}
	}
	ports, err := freePorts("127.0.0.1", 2)
	if err != nil {
		return err
	}
	if _, err := c.run(string(ControllerManager), manager, append([]string{
		"--kubeconfig=" + c.path("kube-controller-manager.kubeconfig"), "--use-service-account-credentials",
		"--service-account-private-key-file=" + c.path("sa.key"), "--root-ca-file=" + c.path("ca.crt"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]), "--leader-elect=false",
		"--kube-api-qps=1000", "--kube-api-burst=2000",
	}, c.options.ControllerManagerFlags...)...); err != nil {
		return err
	}
	_, err = c.run(string(Scheduler), scheduler,
		"--kubeconfig="+c.path("kube-scheduler.kubeconfig"), "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[1]),
		"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return c.waitControllers(ctx)
}

// freePorts finds ports that nobody listens on.
func freePorts(address string, n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
