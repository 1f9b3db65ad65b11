package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/kubeconfig"
)

// serverTimeout bounds what is asked of the server that --server names.
const serverTimeout = 30 * time.Second

// ofServer asks the one podid that --server names: podid's server, as the user of
// the kubeconfig or of the access key in AWS's own settings; or podid dev, which
// asks nobody who they are.
func (a *auditing) ofServer(cmd *cobra.Command, where place, found *audited) error {
	at, err := serverURL(a.server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), serverTimeout)
	defer cancel()
	var r kubeconfig.Replica
	switch {
	case at.Scheme == "http":
		r = kubeconfig.Replica{Endpoint: devenv.AuditDoor("http://" + at.Host), Client: new(http.Client)}
	case where == atCluster:
		r, err = a.asUser(ctx, cmd, at)
	default:
		r, err = a.asKey(ctx, at)
	}
	if err != nil {
		return err
	}
	reply, err := audit.Ask(ctx, r.Client, r.Endpoint, audit.Query{Filter: a.filter, Limit: a.limit})
	if sent, ok := errors.AsType[*url.Error](err); ok {
		err = sent.Err // the URL in it may not be the one that was given
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown && where != atCluster {
		err = fmt.Errorf("%w: AWS_CA_BUNDLE names the file with the certificates of podid's authority", err)
	}
	if err != nil {
		return fmt.Errorf("asking podid at %s: %w", a.server, err)
	}
	a.add(found, reply)
	return nil
}

// serverURL reads --server. Without TLS, what says who asks would be for all to see:
// that is for podid dev alone, on the same machine.
func serverURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("--server %q: want https://HOST:PORT, where podid's server has its APIs, or http://127.0.0.1:PORT of podid dev", text)
	}
	if address, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return nil, fmt.Errorf("--server %s: podid's server is asked by https; http is for podid dev, on this machine's loopback", text)
	}
	return u, nil
}

// asUser is the server as the user of the kubeconfig reaches it.
func (a *auditing) asUser(ctx context.Context, cmd *cobra.Command, at *url.URL) (kubeconfig.Replica, error) {
	k, err := a.cluster(cmd)
	if err != nil {
		return kubeconfig.Replica{}, err
	}
	keys, err := a.keys(ctx, k)
	if err != nil {
		return kubeconfig.Replica{}, err
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	return k.At(ctx, net.JoinHostPort(at.Hostname(), port), keys)
}

// keys are those of --access-key-secret; nil: there is none.
func (a *auditing) keys(ctx context.Context, k *kubeconfig.Cluster) (aws.CredentialsProvider, error) {
	if a.keySecret == "" {
		return nil, nil
	}
	return k.KeyFor(ctx, a.keySecret, accesskey.UseEKS)
}

// asKey is the server as AWS's own settings reach it: environment, profile, and
// AWS_CA_BUNDLE for who vouches for the server.
func (a *auditing) asKey(ctx context.Context, at *url.URL) (kubeconfig.Replica, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(a.region)) // "": that of the environment
	if err != nil {
		return kubeconfig.Replica{}, err
	}
	if c.Region == "" {
		return kubeconfig.Replica{}, errors.New("no region: give --region or set AWS_REGION, as the podid access key that asks signs for the cluster's region; or name a Kubernetes cluster by --context or --kubeconfig, whose user asks")
	}
	transport := http.DefaultTransport
	if given, ok := c.HTTPClient.(*awshttp.BuildableClient); ok { // it trusts what AWS_CA_BUNDLE says
		transport = given.GetTransport()
	}
	return kubeconfig.Replica{Endpoint: "https://" + at.Host, Client: &http.Client{
		Transport:     accesskey.Signing{Base: transport, Keys: c.Credentials, Region: c.Region},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}
