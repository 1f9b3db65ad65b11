package server

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/certificate"
)

// Certificate says where the serving certificate is kept: in files that
// something else renews, or in a Secret that podid keeps itself.
type Certificate struct {
	// CertFile and KeyFile are the files, in PEM. "": podid keeps its own.
	CertFile, KeyFile string
	// Secret is where podid keeps its own, in the server's namespace, ConfigMap
	// where it publishes the authority, in that of the agents; MutatingWebhook and
	// ValidatingWebhook are the configurations that are given it (see certificate.Config).
	Secret, ConfigMap, MutatingWebhook, ValidatingWebhook string
	// Names are what podid's own is for.
	Names []string
}

// keeper has the current certificate.
type keeper struct {
	get func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	run func(context.Context) error
}

func newKeeper(config Config, live client.Client) (*keeper, error) {
	c := config.Certificate
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("the serving certificate: name both files, that of the certificate and that of its key")
	}
	if c.CertFile != "" {
		files, err := certwatcher.New(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		return &keeper{files.GetCertificate, files.Start}, nil
	}
	own, err := certificate.New(certificate.Config{
		Client: live, Namespace: config.Namespace, Secret: c.Secret,
		ConfigMap: c.ConfigMap, ConfigMapNamespace: config.AgentServiceAccount.Namespace,
		MutatingWebhook: c.MutatingWebhook, ValidatingWebhook: c.ValidatingWebhook, Names: c.Names, Logger: config.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &keeper{own.GetCertificate, own.Run}, nil
}

// current returns the certificate that is served with.
func (k *keeper) current() (*tls.Certificate, error) { return k.get(&tls.ClientHelloInfo{}) }

// ends returns when the current certificate does; zero, if there is none.
func (k *keeper) ends() time.Time {
	c, err := k.current()
	if err != nil || c == nil || c.Leaf == nil {
		return time.Time{}
	}
	return c.Leaf.NotAfter
}
