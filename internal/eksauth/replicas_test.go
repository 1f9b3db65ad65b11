package eksauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/test/clients"
)

// replicaServer answers as a replica of podid's server does, and counts.
type replicaServer struct {
	*httptest.Server
	calls atomic.Int32
}

func newReplica(t *testing.T, answer http.HandlerFunc) *replicaServer {
	t.Helper()
	r := &replicaServer{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.calls.Add(1)
		io.Copy(io.Discard, q.Body)
		answer(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func good(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, goodReply) }

func failing(status int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
	}
}

// silentAddress takes connections and says nothing, as a server whose process
// hangs does.
func silentAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

// deadAddress refuses connections.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "http://" + l.Addr().String()
}

const agentToken = "eyJhbGciOiJSUzI1NiJ9.eyJhZ2VudCI6MX0.c2lnbmF0dXJl"

func bearer(t *testing.T, endpoints ...string) *eksauth.Client {
	t.Helper()
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: "c", Endpoint: endpoints[0], Replicas: endpoints[1:],
		Token: func() (identity.Secret, error) { return agentToken, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestADeadReplicaCostsLittle asks often enough that the dead one is first in
// line at least once, whatever the chance.
func TestADeadReplicaCostsLittle(t *testing.T) {
	for name, dead := range map[string]string{"refuses": deadAddress(t), "silent": silentAddress(t)} {
		t.Run(name, func(t *testing.T) {
			paid := 0
			for range 10 {
				alive := newReplica(t, good)
				c := bearer(t, dead, alive.URL)
				for i := range 3 {
					began := time.Now()
					if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
						t.Fatal(err)
					}
					took := time.Since(began)
					if took > 240*time.Millisecond {
						paid++
					}
					if took > 600*time.Millisecond || i > 0 && took > 240*time.Millisecond {
						t.Errorf("call %d took %v", i, took)
					}
				}
				if n := alive.calls.Load(); n != 3 {
					t.Errorf("the replica that lives was asked %d times", n)
				}
			}
			if name == "silent" && paid == 0 {
				t.Error("the silent replica was never asked first: this test proves nothing")
			}
		})
	}
}

// TestASlowReplicaIsNotAskedTwice: one that says that it lives is waited for,
// though roles take their time, so that they are not assumed twice.
func TestASlowReplicaIsNotAskedTwice(t *testing.T) {
	slow := func(w http.ResponseWriter, q *http.Request) {
		select {
		case <-time.After(700 * time.Millisecond):
		case <-q.Context().Done():
		}
		good(w, q)
	}
	a, b := newReplica(t, slow), newReplica(t, slow)
	if _, err := bearer(t, a.URL, b.URL).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if n := a.calls.Load() + b.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// TestTheServerSaysThatItLives before roles are assumed: podid's own handler,
// over TLS, on a machine so busy that a connection takes its time.
func TestTheServerSaysThatItLives(t *testing.T) {
	var assumed atomic.Int32
	s := &service{issue: func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
		assumed.Add(1)
		time.Sleep(600 * time.Millisecond) // STS does
		return granted(ctx, r)
	}}
	handler := s.handler(t)
	file := filepath.Join(t.TempDir(), "ca.crt")
	var endpoints []string
	for range 2 {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			time.Sleep(150 * time.Millisecond) // as long as the machine takes to get to it
			handler.ServeHTTP(w, q)
		}))
		server.Listener = busy{server.Listener}
		server.StartTLS()
		t.Cleanup(server.Close)
		endpoints = append(endpoints, server.URL)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: cluster.Name, Region: cluster.Region, Endpoint: endpoints[0], Replicas: endpoints[1:], Credentials: nodeKey, CAFile: file,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if n := assumed.Load(); n != 1 {
		t.Errorf("roles were assumed %d times", n)
	}
}

// busy is a listener whose connections are slow to begin.
type busy struct{ net.Listener }

func (b busy) Accept() (net.Conn, error) {
	time.Sleep(150 * time.Millisecond)
	return b.Listener.Accept()
}

// TestOneThatLivesIsWaitedFor, also when it was slow to say so, and the other
// one, asked meanwhile, has failed.
func TestOneThatLivesIsWaitedFor(t *testing.T) {
	for range 20 {
		var slowCalls, brokenCalls atomic.Int32
		slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			slowCalls.Add(1)
			time.Sleep(270 * time.Millisecond)
			io.Copy(io.Discard, q.Body)
			time.Sleep(400 * time.Millisecond)
			good(w, q)
		}))
		t.Cleanup(slow.Close)
		broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			brokenCalls.Add(1)
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(broken.Close)
		if _, err := bearer(t, slow.URL, broken.URL).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if slowCalls.Load() != 1 {
			t.Errorf("the slow one was asked %d times, the broken one %d", slowCalls.Load(), brokenCalls.Load())
		}
		if brokenCalls.Load() == 1 {
			return // the slow one was asked first, and the broken one beside it
		}
	}
	t.Error("which one was asked first never mattered: this proves nothing")
}

func TestWhatIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int // of the error
		calls  int32
	}{
		"broken":      {failing(500, ""), 500, 3},
		"a proxy":     {failing(502, ""), 502, 3},
		"unavailable": {failing(503, ""), 503, 3},
		"told when":   {failing(503, "1"), 503, 1},
		"throttled":   {failing(429, ""), 429, 1},
		"refused":     {failing(400, ""), 400, 1},
		"forbidden":   {failing(403, ""), 403, 1},
		"redirected":  {failing(307, ""), 307, 1},
		"garbage":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, 0, 3},
	} {
		a, b := newReplica(t, c.answer), newReplica(t, c.answer)
		began := time.Now()
		_, err := bearer(t, a.URL, b.URL).AssumeRoleForPodIdentity(t.Context(), token)
		e, refused := errors.AsType[*eksauth.Error](err)
		if err == nil || refused != (c.status != 0) || refused && e.Status != c.status {
			t.Errorf("%s: got %v", name, err)
		}
		if n := a.calls.Load() + b.calls.Load(); n != c.calls || c.calls == 3 && (a.calls.Load() == 0 || b.calls.Load() == 0) {
			t.Errorf("%s: %d calls of one and %d of the other", name, a.calls.Load(), b.calls.Load())
		}
		if took := time.Since(began); took > 900*time.Millisecond {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// TestARefusalOutweighsSilence: what a replica said is told, and not that
// another one could not be reached.
func TestARefusalOutweighsSilence(t *testing.T) {
	_, err := bearer(t, newReplica(t, failing(503, "")).URL, deadAddress(t)).AssumeRoleForPodIdentity(t.Context(), token)
	if e, ok := errors.AsType[*eksauth.Error](err); !ok || e.Status != 503 {
		t.Errorf("got %v", err)
	}
}

func TestOneAddressIsTriedAgain(t *testing.T) {
	var calls atomic.Int32
	flapping := newReplica(t, func(w http.ResponseWriter, q *http.Request) {
		if calls.Add(1) < 3 {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		good(w, q)
	})
	if _, err := bearer(t, flapping.URL).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Error(err)
	}
	if _, err := bearer(t, deadAddress(t)).AssumeRoleForPodIdentity(t.Context(), token); err == nil {
		t.Error("an answer out of nothing")
	}
}

func TestNobodyAnswers(t *testing.T) {
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: "c", Endpoint: silentAddress(t), Replicas: []string{silentAddress(t)}, Timeout: 400 * time.Millisecond,
		Token: func() (identity.Secret, error) { return agentToken, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := c.Reach(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Reach: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestANameWithManyAddresses: each of them is a replica, and asked by the name.
func TestANameWithManyAddresses(t *testing.T) {
	var asked, host [2]atomic.Value
	var servers [2]*httptest.Server
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	for i, address := range []string{"127.0.0.1", "127.0.0.2"} {
		if i > 0 {
			l, err = net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
			clients.Require(t, "loopback", err == nil, fmt.Sprint("no second address of it: ", err))
		}
		servers[i] = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			asked[i].Store(true)
			host[i].Store(q.Host)
			good(w, q)
		}))
		servers[i].Listener.Close()
		servers[i].Listener = l
		servers[i].Start()
		t.Cleanup(servers[i].Close)
	}
	lookups := 0
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: "c", Region: "r", Credentials: nodeKey, Endpoint: fmt.Sprintf("http://podid.podid.svc:%d", port),
		LookUp: func(_ context.Context, name string) ([]netip.Addr, error) {
			switch lookups++; lookups {
			case 1:
				return nil, errors.New("no such host " + name)
			case 2:
				return nil, nil
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.2")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err == nil || !strings.Contains(err.Error(), "no such host podid.podid.svc") {
		t.Errorf("a name without addresses: %v", err)
	}
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err == nil || !strings.Contains(err.Error(), "podid.podid.svc has no address") {
		t.Errorf("a name with no addresses: %v", err)
	}
	for range 5 {
		if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	first := 0
	if asked[1].Load() != nil {
		first = 1
	}
	if asked[1-first].Load() != nil || lookups != 3 {
		t.Errorf("an agent does not keep to its replica, or looks it up %d times", lookups)
	}
	servers[first].Close()
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if got := host[1-first].Load(); got != fmt.Sprintf("podid.podid.svc:%d", port) {
		t.Errorf("the other one was asked as Host %v", got)
	}
}

// TestANameThatIsNotFound does not hold up the replicas that are.
func TestANameThatIsNotFound(t *testing.T) {
	up := newReplica(t, good)
	port := up.Listener.Addr().(*net.TCPAddr).Port
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: "c", Region: "r", Credentials: nodeKey,
		Endpoint: "http://lost.example", Replicas: []string{fmt.Sprintf("http://found.example:%d", port)},
		LookUp: func(ctx context.Context, name string) ([]netip.Addr, error) {
			if name == "found.example" {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			<-ctx.Done() // as when no name server answers
			return nil, ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 3 {
		if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// TestTheAgentsOwnToken: it is read again for each call, and sent beside the pod's.
func TestTheAgentsOwnToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	var got, host string
	server := newReplica(t, func(w http.ResponseWriter, q *http.Request) {
		got, host = q.Header.Get("Authorization"), q.Host
		w.Header().Set(eksauth.LeaseHeader, "900")
		good(w, q)
	})
	c, err := eksauth.NewClient(eksauth.ClientConfig{Cluster: "c", Endpoint: server.URL, Token: eksauth.TokenFile(file)})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{agentToken, strings.Replace(agentToken, "MX0", "Mn0", 1) + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := c.AssumeRoleForPodIdentity(t.Context(), token)
		if err != nil || g.Lease != 15*time.Minute {
			t.Errorf("got %+v, %v", g, err)
		}
		if want := "Bearer " + strings.TrimSpace(text); got != want || "http://"+host != server.URL {
			t.Errorf("sent %q to %q, want %q", got, host, want)
		}
	}
	for name, text := range map[string]string{"empty": "", "not a token": "a b", "header injection": agentToken + "\r\nX-A: b", "endless": agentToken + strings.Repeat("a", 16<<10)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheCAFileIsReadAgain: a connection is trusted as the file says when it is made.
func TestTheCAFileIsReadAgain(t *testing.T) {
	start := func() (*httptest.Server, []byte) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(good))
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told of handshakes that fail
		s.StartTLS()
		t.Cleanup(s.Close)
		return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	}
	server, certificate := start()
	file := filepath.Join(t.TempDir(), "ca.crt")
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := eksauth.ClientConfig{Cluster: "c", Endpoint: server.URL, CAFile: file, Token: func() (identity.Secret, error) { return agentToken, nil }}
	if _, err := eksauth.NewClient(config); err == nil {
		t.Error("a CA file that does not exist: accepted")
	}
	write([]byte("nothing"))
	if _, err := eksauth.NewClient(config); err == nil {
		t.Error("a CA file without certificates: accepted")
	}
	write(certificate)
	c, err := eksauth.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	write(otherCA(t))
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another CA: %v", err)
	}
	write(certificate)
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Errorf("the CA again: %v", err)
	}
	config.CAFile = ""
	if c, err = eksauth.NewClient(config); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err == nil {
		t.Error("trusted without its CA")
	}
}

func TestReach(t *testing.T) {
	refusing := newReplica(t, failing(http.StatusForbidden, ""))
	if err := bearer(t, deadAddress(t), refusing.URL).Reach(t.Context()); err != nil {
		t.Errorf("a server that answers: %v", err)
	}
	if err := bearer(t, deadAddress(t)).Reach(t.Context()); err == nil {
		t.Error("nothing answers, and it was reached")
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	some := func() (identity.Secret, error) { return agentToken, nil }
	for name, c := range map[string]eksauth.ClientConfig{
		"token without endpoint":  {Cluster: "c", Token: some},
		"token and credentials":   {Cluster: "c", Region: "r", Endpoint: "https://x", Token: some, Credentials: nodeKey},
		"token over http":         {Cluster: "c", Endpoint: "http://podid.podid.svc", Token: some},
		"token to localhost":      {Cluster: "c", Endpoint: "http://localhost:1", Token: some},
		"replica over http":       {Cluster: "c", Endpoint: "https://a", Replicas: []string{"http://b"}, Token: some},
		"replicas without a base": {Cluster: "c", Region: "r", Credentials: nodeKey, Replicas: []string{"https://b"}},
		"user in the URL":         {Cluster: "c", Endpoint: "https://u:p@a", Token: some},
		"no host":                 {Cluster: "c", Endpoint: "https://:443", Token: some},
	} {
		if _, err := eksauth.NewClient(c); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), agentToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, endpoint := range []string{"https://podid.podid.svc", "https://10.0.0.1:8443", "http://127.0.0.1:1", "http://[::1]:1"} {
		if _, err := eksauth.NewClient(eksauth.ClientConfig{Cluster: "c", Endpoint: endpoint, Token: some}); err != nil {
			t.Error(err)
		}
	}
}

// otherCA is a certificate that vouches for nothing here.
func otherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestAReplicaThatCameLater: where all that are known fail, the name is looked
// up again at once, and not when that would be due.
func TestAReplicaThatCameLater(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(good))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	var lookups atomic.Int64
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: "c", Region: "r", Credentials: nodeKey, Endpoint: fmt.Sprintf("http://podid.podid.svc:%d", port),
		LookUp: func(context.Context, string) ([]netip.Addr, error) {
			if lookups.Add(1) == 1 {
				return []netip.Addr{netip.MustParseAddr("127.0.0.9")}, nil // where nobody listens
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.9"), netip.MustParseAddr("127.0.0.1")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for {
		_, err := c.AssumeRoleForPodIdentity(t.Context(), token)
		if err == nil {
			break
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("after %d lookups: %v", lookups.Load(), err)
		}
	}
	if n := lookups.Load(); n > 3 {
		t.Errorf("%d lookups", n)
	}
}
