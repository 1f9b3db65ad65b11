package kubeconfig

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"

	"github.com/podid/podid/internal/accesskey"
)

// replicaTimeout bounds what is asked of one replica.
const replicaTimeout = 30 * time.Second

// Replica is one pod of podid's server, as a client sees it.
type Replica struct {
	Name     string
	Endpoint string // URL of its APIs
	Client   *http.Client
	Err      error // it could not be asked
}

// EachReplica calls use for each pod of podid's server, one at a time, with a
// client that says who asks: the user of the kubeconfig, by their token, or the
// user of an access key, if keys has one. A replica that cannot be reached is
// among them, with an Err. Its own error is that nobody can be asked.
func (k *Cluster) EachReplica(ctx context.Context, keys aws.CredentialsProvider, use func(context.Context, Replica) error) error {
	info, err := k.Info(ctx)
	if err != nil {
		return err
	}
	roots, err := k.roots(ctx, info)
	if err != nil {
		return err
	}
	list, err := k.client.CoreV1().Pods(k.config.PodidNamespace).List(ctx, metav1.ListOptions{LabelSelector: serverSelector})
	if err != nil {
		return fmt.Errorf("looking for podid's server: %w", err)
	}
	if len(list.Items) == 0 {
		return fmt.Errorf("there is no pod of podid's server in namespace %s (elsewhere: --podid-namespace)", k.config.PodidNamespace)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue // it holds nothing any more
		}
		if err := k.oneReplica(ctx, pod, roots, keys, info.Cluster.Region, use); err != nil {
			return err
		}
	}
	return nil
}

// At returns podid's server at an address, HOST:PORT, as EachReplica shows the
// replicas: behind a Service or the like, any of them may answer.
func (k *Cluster) At(ctx context.Context, address string, keys aws.CredentialsProvider) (Replica, error) {
	info, err := k.Info(ctx)
	if err != nil {
		return Replica{}, err
	}
	roots, err := k.roots(ctx, info)
	if err != nil {
		return Replica{}, err
	}
	r := Replica{Name: address, Endpoint: "https://" + k.serverName()}
	r.Client, err = k.clientOf(roots, address, keys, info.Cluster.Region)
	return r, err
}

// roots are those that vouch for podid's server.
func (k *Cluster) roots(ctx context.Context, info Info) (*x509.CertPool, error) {
	authority, err := k.authority(ctx, info)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("what podid says of who vouches for its server holds no certificate")
	}
	return roots, nil
}

// serverName is what the server's certificate is for, whatever the address it is
// reached at.
func (k *Cluster) serverName() string { return "podid." + k.config.PodidNamespace + ".svc" }

func (k *Cluster) oneReplica(ctx context.Context, pod *corev1.Pod, roots *x509.CertPool, keys aws.CredentialsProvider, region string, use func(context.Context, Replica) error) error {
	r := Replica{Name: pod.Name}
	if !ready(pod) {
		r.Err = errors.New("the pod is not ready")
		return use(ctx, r)
	}
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	d := &door{cluster: k}
	opened := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	used, failed := false, error(nil)
	group.Go(func() error {
		err := d.to(ctx, pod, func() { close(opened) })
		if ctx.Err() != nil { // it was closed here
			return nil
		}
		return cmp.Or(err, errors.New("the connection was lost"))
	})
	group.Go(func() error {
		defer cancel()
		select {
		case <-ctx.Done():
			return nil // the door says why
		case <-opened:
		}
		used = true // and what becomes of the door, use hears of from its request
		r.Endpoint = "https://" + k.serverName()
		if r.Client, failed = k.clientOf(roots, fmt.Sprintf("127.0.0.1:%d", d.port), keys, region); failed != nil {
			return failed
		}
		failed = use(ctx, r)
		return failed
	})
	err := group.Wait()
	if used {
		return failed
	}
	if r.Err = err; err == nil {
		r.Err = ctx.Err()
	}
	return use(context.WithoutCancel(ctx), r)
}

// clientOf makes a client that says who asks, and reaches one address alone.
func (k *Cluster) clientOf(roots *x509.CertPool, address string, keys aws.CredentialsProvider, region string) (*http.Client, error) {
	var dialer net.Dialer
	base := &http.Transport{
		DisableKeepAlives: true, // there is one request
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: k.serverName(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
	}
	if keys != nil {
		return &http.Client{Transport: accesskey.Signing{Base: base, Keys: keys, Region: region}}, nil
	}
	c, err := k.rest.TransportConfig()
	if err != nil {
		return nil, err
	}
	c.Impersonate = transport.ImpersonationConfig{} // podid's server does not know that
	wrapped, err := transport.HTTPWrappersForConfig(c, proven{base})
	return &http.Client{Transport: wrapped}, err
}

// ErrNoToken says that a kubeconfig proves its user to the API server alone.
var ErrNoToken = errors.New("the kubeconfig has no token, which podid's server would need: its user proves itself by a certificate. " +
	"Name the Secret of a podid access key of yours by --access-key-secret NAMESPACE/NAME")

// proven sends no request that does not say who asks.
type proven struct{ *http.Transport }

func (p proven) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") == "" {
		return nil, ErrNoToken
	}
	return p.Transport.RoundTrip(r)
}
