package cluster

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// Authority signs certificates: those of one cluster, or whatever a test needs.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte { return a.pem }

// Server certifies a server with names and addresses, in PEM.
func (a *Authority) Server(names ...string) (certificate, key []byte, err error) {
	pair, err := a.server(names...)
	return pair.certificate, pair.key, err
}

// certified is a certificate with its key, both PEM.
type certified struct{ certificate, key []byte }

const year = 365 * 24 * time.Hour

// NewAuthority makes an authority with a key of its own.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := template(name, nil)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Authority{certificate, key, encode("CERTIFICATE", der)}, err
}

func template(name string, groups []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		// Kubernetes reads users from CN and groups from O.
		Subject:   pkix.Name{CommonName: name, Organization: groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(year),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, err
}

// client certifies a user. https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates
func (a *Authority) client(user string, groups ...string) (certified, error) {
	t, err := template(user, groups)
	if err != nil {
		return certified{}, err
	}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(t)
}

// server certifies a server with names and addresses.
func (a *Authority) server(names ...string) (certified, error) {
	t, err := template(names[0], nil)
	if err != nil {
		return certified{}, err
	}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	return a.issue(t)
}

func (a *Authority) issue(t *x509.Certificate) (certified, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certified{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.certificate, key.Public(), a.key)
	if err != nil {
		return certified{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return certified{encode("CERTIFICATE", der), encode("PRIVATE KEY", private)}, err
}

// tokenKeys make the key pair that signs service account tokens: RSA, as in
// clusters made by kubeadm and by EKS.
func tokenKeys() (private, public []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(crypto.PublicKey(key.Public()))
	return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), encode("PUBLIC KEY", der), err
}

func encode(kind string, der []byte) []byte {
	var b bytes.Buffer
	// Writing to memory cannot fail, and there are no headers to be wrong.
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	return b.Bytes()
}

// write keeps a certificate and its key in NAME.crt and NAME.key.
func (c *Cluster) write(name string, pair certified, err error) error {
	if err != nil {
		return fmt.Errorf("certifying %s: %w", name, err)
	}
	if err := os.WriteFile(c.path(name+".crt"), pair.certificate, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.path(name+".key"), pair.key, 0o600)
}
