package kubeconfig

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
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
	authority, err := k.authority(ctx, info)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("what podid says of who vouches for its server holds no certificate")
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
		// The server's certificate is for its name; the address is that of the door.
		host := "podid." + k.config.PodidNamespace + ".svc"
		r.Endpoint = fmt.Sprintf("https://%s:%d", host, d.port)
		if r.Client, failed = k.clientOf(roots, host, d.port, keys, region); failed != nil {
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

// clientOf makes a client that says who asks, and of which only the door's port
// is reached.
func (k *Cluster) clientOf(roots *x509.CertPool, host string, port uint16, keys aws.CredentialsProvider, region string) (*http.Client, error) {
	var dialer net.Dialer
	base := &http.Transport{
		DisableKeepAlives: true, // there is one request
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}
	if keys != nil {
		return &http.Client{Transport: signing{base, keys, region}}, nil
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

// signing signs requests that have no body.
type signing struct {
	*http.Transport
	keys   aws.CredentialsProvider
	region string
}

func (s signing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	keys, err := s.keys.Retrieve(r.Context())
	if err != nil {
		return nil, err
	}
	nothing := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, r, hex.EncodeToString(nothing[:]), accesskey.UseEKS, s.region, time.Now()); err != nil {
		return nil, fmt.Errorf("signing the request: %w", err)
	}
	return s.Transport.RoundTrip(r)
}
