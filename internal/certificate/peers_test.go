package certificate

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestPeersKnowEachOtherByTheirCertificate: and by the current one, also on
// connections that are open since before it changed.
func TestPeersKnowEachOtherByTheirCertificate(t *testing.T) {
	r := rules{[]string{"podid.test"}, 10 * time.Hour, time.Hour, time.Minute, time.Minute}
	newCertificate := func() *tls.Certificate {
		s, _, err := state{}.next(r, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return s.leaf
	}
	first, second := newCertificate(), newCertificate()
	serving, asking := first, first
	replica := Peers{Current: func() (*tls.Certificate, error) { return serving, nil }}
	server := httptest.NewUnstartedServer(replica.Only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})))
	server.TLS = &tls.Config{
		ClientAuth: tls.RequestClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return serving, nil },
	}
	server.StartTLS()
	defer server.Close()
	// httptest adds a certificate of its own, which else is preferred.
	server.TLS.Certificates = nil
	other := &http.Client{Transport: &http.Transport{TLSClientConfig: Peers{Current: func() (*tls.Certificate, error) { return asking, nil }}.Client()}}
	ask := func(c *http.Client) int {
		response, err := c.Get(server.URL)
		if err != nil {
			return 0
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	if got := ask(other); got != http.StatusOK {
		t.Errorf("a replica: %d", got)
	}
	nobody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if got := ask(nobody); got != http.StatusForbidden {
		t.Errorf("without a certificate: %d", got)
	}
	serving = second
	if got := ask(other); got != http.StatusForbidden {
		t.Errorf("with the former certificate, on a connection that is open: %d", got)
	}
	if got := ask(other); got != 0 {
		t.Errorf("to one that serves with another certificate: %d", got)
	}
	asking = second
	if got := ask(other); got != http.StatusOK {
		t.Errorf("once both have the new one: %d", got)
	}
	if (Peers{Current: func() (*tls.Certificate, error) { return nil, io.EOF }}).Verify(tls.ConnectionState{}) == nil {
		t.Error("a replica without a certificate knows others")
	}
}
