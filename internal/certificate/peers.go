package certificate

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/http"
)

// Peers are those who have the key of the current certificate: the replicas, as
// all share it.
type Peers struct {
	// Current returns the certificate that this replica serves with.
	Current func() (*tls.Certificate, error)
}

// Verify tells whether a connection leads to a replica.
func (p Peers) Verify(c tls.ConnectionState) error {
	own, err := p.Current()
	if err != nil {
		return err
	}
	if len(c.PeerCertificates) == 0 || len(own.Certificate) == 0 || !bytes.Equal(c.PeerCertificates[0].Raw, own.Certificate[0]) {
		return errors.New("it has another certificate than this replica")
	}
	return nil
}

// Client is for connections to replicas, and shows that this is one. Verify stands
// in for the check of names and authorities, which addresses of pods have not.
func (p Peers) Client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: p.Verify,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.Current() },
	}
}

// Only serves h to replicas alone. The server has to request certificates of clients.
func (p Peers) Only(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || p.Verify(*r.TLS) != nil {
			w.Header().Set("Connection", "close") // another connection may have another certificate
			http.Error(w, "only replicas of this server may ask this", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
