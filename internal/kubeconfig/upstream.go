package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/eksauth"
)

// authorityField is where the ConfigMap of podid's authority has it.
const authorityField = "ca.crt"

// WithServer calls use with a client of the EKS Auth API of podid's server in the
// cluster, whose calls keys sign: a podid access key, for the region of the
// cluster. The client works until use returns.
func (k *Cluster) WithServer(ctx context.Context, keys aws.CredentialsProvider, use func(context.Context, *eksauth.Client) error) error {
	info, err := k.Info(ctx)
	if err != nil {
		return err
	}
	authority, err := k.authority(ctx, info)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "podid-ca-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	caFile := filepath.Join(dir, authorityField)
	if err := os.WriteFile(caFile, authority, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &door{cluster: k}
	opened := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.run(ctx, func() { close(opened) }) })
	group.Go(func() error {
		defer cancel()
		select {
		case <-ctx.Done():
			return nil // run says why
		case <-opened:
		}
		client, err := eksauth.NewClient(eksauth.ClientConfig{
			Cluster: info.Cluster.Name, Region: info.Cluster.Region, Credentials: keys, CAFile: caFile,
			// The server's certificate is for its name, and signatures cover it; the
			// address is that of the door.
			Endpoint: fmt.Sprintf("https://%s:%d", k.serverName(), d.port),
			LookUp: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
			},
		})
		if err != nil {
			return err
		}
		return use(ctx, client)
	})
	return group.Wait()
}

// authority returns the certificates that vouch for podid's server.
func (k *Cluster) authority(ctx context.Context, info Info) ([]byte, error) {
	if k.config.AuthorityFile != "" {
		return os.ReadFile(k.config.AuthorityFile)
	}
	namespace, name, found := strings.Cut(info.authority, "/")
	if !found {
		return nil, errors.New("podid does not say who vouches for its server: give the certificates by --certificate-authority")
	}
	m, err := k.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("the certificates of podid's authority: %w (or give them by --certificate-authority)", err)
	}
	return []byte(m.Data[authorityField]), nil
}
