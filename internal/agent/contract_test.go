package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/test/clients"
)

func TestAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := run(t, agent.Config{Upstream: &upstream{answer: grants(time.Hour)}})
		defer n.stop()
		response, text := n.raw("GET /v1/credentials HTTP/1.1\r\nHost: 169.254.170.23\r\nConnection: close\r\nAuthorization: " + token("app-0", time.Hour) + "\r\n\r\n")
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("status %d, Content-Type %q", response.StatusCode, response.Header.Get("Content-Type"))
		}
		want := `{"AccessKeyId":"ASIA1","SecretAccessKey":"secret-key-of-ASIA1","Token":"session-token","AccountId":"444455556666","Expiration":"` +
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano) + `"}`
		if text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	})
}

// TestRefusals holds what the agent refuses without asking the upstream.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		const (
			host  = "Host: 169.254.170.23\r\n"
			other = "Access Denied. Called agent through invalid address, please use either [169.254.170.23] address not "
			parse = "Service account token cannot be parsed: "
			claim = "Service account token failed basic claim validations: "
		)
		good := "Authorization: " + token("app-0", time.Hour) + "\r\n"
		auth := func(token string) string { return host + "Authorization: " + token + "\r\n" }
		for name, c := range map[string]struct {
			request, headers string
			status           int
			text             string
		}{
			"another name":                 {"GET /v1/credentials", "Host: metadata.example.com\r\n" + good, 403, other + "metadata.example.com"},
			"localhost":                    {"GET /v1/credentials", "Host: localhost\r\n" + good, 403, other + "localhost"},
			"another address":              {"GET /v1/credentials", "Host: 169.254.169.254\r\n" + good, 403, other + "169.254.169.254"},
			"no host":                      {"GET /v1/credentials", "Host:\r\n" + good, 403, other},
			"address in a name":            {"GET /v1/credentials", "Host: 169.254.170.23.nip.io\r\n" + good, 403, other + "169.254.170.23.nip.io"},
			"address mapped to IPv6":       {"GET /v1/credentials", "Host: [::ffff:169.254.170.23]\r\n" + good, 403, other + "[::ffff:169.254.170.23]"},
			"brackets about IPv4":          {"GET /v1/credentials", "Host: [169.254.170.23]\r\n" + good, 403, other + "[169.254.170.23]"},
			"port without number":          {"GET /v1/credentials", "Host: 169.254.170.23:\r\n" + good, 403, other + "169.254.170.23:"},
			"wrong host, wrong path":       {"GET /", "Host: example.com\r\n", 403, other + "example.com"},
			"a host in the target":         {"GET http://example.com/v1/credentials", host + good, 403, other + "example.com"},
			"no token":                     {"GET /v1/credentials", host, 400, "Service account token cannot be empty"},
			"empty token":                  {"GET /v1/credentials", auth(""), 400, "Service account token cannot be empty"},
			"two tokens":                   {"GET /v1/credentials", host + good + good, 400, parse + "more than one Authorization header"},
			"token too long":               {"GET /v1/credentials", auth(strings.Repeat("a", 16<<10+1)), 400, parse + "token is too long"},
			"bearer":                       {"GET /v1/credentials", auth("Bearer " + token("app-0", time.Hour)), 400, parse + "token header is malformed"},
			"garbage":                      {"GET /v1/credentials", auth("garbage"), 400, parse + "token does not have three parts"},
			"three dots":                   {"GET /v1/credentials", auth("a.b.c.d"), 400, parse + "token does not have three parts"},
			"no signature":                 {"GET /v1/credentials", auth(strings.TrimSuffix(token("app-0", time.Hour), "c2lnbmF0dXJl")), 400, parse + "token does not have three parts"},
			"claims are a list":            {"GET /v1/credentials", auth(jwt(`[1]`)), 400, parse + "token claims are malformed"},
			"claims are null":              {"GET /v1/credentials", auth(jwt(`null`)), 400, parse + "token claims are malformed"},
			"exp is text":                  {"GET /v1/credentials", auth(jwt(`{"exp":"tomorrow"}`)), 400, parse + "token claims are malformed"},
			"no exp":                       {"GET /v1/credentials", auth(jwt(`{"iat":1}`)), 400, parse + "token does not say when it expires"},
			"exp after the end of time":    {"GET /v1/credentials", auth(jwt(`{"exp":1e300}`)), 400, parse + "token expires at no time there is"},
			"exp before 1970":              {"GET /v1/credentials", auth(jwt(`{"exp":-1}`)), 400, parse + "token expires at no time there is"},
			"expired":                      {"GET /v1/credentials", auth(token("app-0", -time.Second)), 400, claim + "token is expired"},
			"expired to the second":        {"GET /v1/credentials", auth(token("app-0", 0)), 400, claim + "token is expired"},
			"not yet valid":                {"GET /v1/credentials", auth(jwt(fmt.Sprintf(`{"aud":"pods.eks.amazonaws.com","exp":%d,"nbf":%d}`, time.Now().Unix()+9000, time.Now().Unix()+901))), 400, claim + "token is not valid yet"},
			"no audience":                  {"GET /v1/credentials", auth(jwt(`{"exp":9999999999}`)), 400, claim + "token is not for the audience pods.eks.amazonaws.com"},
			"the API server's audience":    {"GET /v1/credentials", auth(jwt(`{"exp":9999999999,"aud":["https://kubernetes.default.svc"]}`)), 400, claim + "token is not for the audience pods.eks.amazonaws.com"},
			"an audience of numbers":       {"GET /v1/credentials", auth(jwt(`{"exp":9999999999,"aud":[1]}`)), 400, parse + "token claims are malformed"},
			"method POST":                  {"POST /v1/credentials", host + good + "Content-Length: 0\r\n", 405, "Method Not Allowed"},
			"method PUT":                   {"PUT /v1/credentials", host + good + "Content-Length: 0\r\n", 405, "Method Not Allowed"},
			"another path":                 {"GET /latest/meta-data", host + good, 404, "404 page not found"},
			"a path below":                 {"GET /v1/credentials/x", host + good, 404, "404 page not found"},
			"stock agent's path with dots": {"GET /v1/x/../credentials", host + good, 307, ""},
		} {
			response, text := n.raw(c.request + " HTTP/1.1\r\n" + c.headers + "Connection: close\r\n\r\n")
			if response.StatusCode != c.status || c.text != "" && text != c.text+"\n" {
				t.Errorf("%s: got %d %q, want %d %q", name, response.StatusCode, text, c.status, c.text)
			}
			if c.status >= 400 && response.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s: Content-Type %q", name, response.Header.Get("Content-Type"))
			}
		}
		if up.counted() != 0 {
			t.Errorf("the upstream was asked %d times", up.counted())
		}
	})
}

func TestHostForms(t *testing.T) {
	v6, err := net.Listen("tcp", "[::1]:0")
	clients.Require(t, "ipv6", err == nil, fmt.Sprint("no IPv6 here: ", err))
	v4, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{Upstream: &upstream{answer: grants(time.Hour)}, Listeners: []net.Listener{v4, v6}})
	if err != nil {
		t.Fatal(err)
	}
	go a.Run(t.Context())
	for _, address := range []string{v4.Addr().String(), v6.Addr().String()} {
		for host, want := range map[string]int{
			"127.0.0.1": 200, "127.0.0.1:80": 200, "[::1]": 200, "[::1]:8080": 200, "[0:0::1]": 200, // either, whichever was dialled
			"127.0.0.2": 403, "::1": 403, "[::2]": 403, "localhost:80": 403,
		} {
			r, err := http.NewRequest("GET", "http://"+address+"/v1/credentials", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			r.Header.Set("Authorization", token("app-0", time.Hour))
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				continue
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s, Host %s: status %d, want %d", address, host, response.StatusCode, want)
			}
		}
	}
}

func TestOnlyTheNodeCanBeListenedTo(t *testing.T) {
	up := &upstream{answer: grants(time.Hour)}
	for address, ok := range map[string]bool{
		"127.0.0.1": true, "::1": true, "169.254.170.23": true, "fd00:ec2::23": true, "fe80::1": true,
		"0.0.0.0": false, "::": false, "10.0.0.1": false, "192.0.2.1": false, "fd00:ec3::23": false,
	} {
		listener := addressed{&pipes{}, &net.TCPAddr{IP: net.ParseIP(address)}}
		if _, err := agent.New(agent.Config{Upstream: up, Listeners: []net.Listener{listener}}); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := agent.New(agent.Config{Upstream: up}); err == nil {
		t.Error("no listener: accepted")
	}
	if _, err := agent.New(agent.Config{Listeners: []net.Listener{&pipes{}}}); err == nil {
		t.Error("no upstream: accepted")
	}
}

type addressed struct {
	net.Listener
	address net.Addr
}

func (a addressed) Addr() net.Addr { return a.address }

func TestUpstreamRefusalsReachThePod(t *testing.T) {
	for name, c := range map[string]struct {
		answer     int
		code       string
		status     int
		text       string
		retryAfter string
	}{
		"refused":        {404, "ResourceNotFoundException", 404, "[r-1]: (ResourceNotFoundException): no., fault: client", ""},
		"throttled":      {429, "ThrottlingException", 429, "[r-1]: (ThrottlingException): no., fault: client", "2"},
		"broken":         {500, "InternalServerException", 500, "[r-1]: (InternalServerException): no., fault: server", ""},
		"unavailable":    {503, "ServiceUnavailableException", 503, "[r-1]: (ServiceUnavailableException): no., fault: server", "1"},
		"not an answer":  {302, "UnknownError", 500, "Unable to fetch credentials from EKS Auth", ""},
		"a strange code": {999, "UnknownError", 500, "Unable to fetch credentials from EKS Auth", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := run(t, agent.Config{Upstream: &upstream{answer: refuses(c.answer, c.code, 0)}})
				defer n.stop()
				request := "GET /v1/credentials HTTP/1.1\r\nHost: 169.254.170.23\r\nConnection: close\r\nAuthorization: " + token("app-0", time.Hour) + "\r\n"
				response, text := n.raw(request + "\r\n")
				if response.StatusCode != c.status || text != c.text+"\n" || response.Header.Get("Retry-After") != c.retryAfter {
					t.Errorf("got %d %q, Retry-After %q", response.StatusCode, text, response.Header.Get("Retry-After"))
				}
				response, text = n.raw(request + "Accept: application/json\r\n\r\n")
				var e struct{ Code, Message string }
				if err := json.Unmarshal([]byte(text), &e); err != nil || e.Message != c.text || response.Header.Get("Content-Type") != "application/json" {
					t.Errorf("as JSON: %s", text)
				}
			})
		})
	}
}

func TestUnusableGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := grant("ASIA1", time.Now())
		noARN := grant("ASIA2", time.Now().Add(time.Hour))
		noARN.Session.AssumedRoleARN = "target"
		up := &upstream{}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		for name, g := range map[string]*eksauthGrant{"none": nil, "expired": expired, "no ARN": noARN} {
			up.becomes(always(g))
			if _, status, text := n.ask(token(name, time.Hour)); status != 500 || text != "Unable to fetch credentials from EKS Auth\n" {
				t.Errorf("%s: %d %q", name, status, text)
			}
		}
	})
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func TestTheLogHasNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up, Logger: logTo(&log)})
		defer n.stop()
		good := token("app-0", time.Hour)
		n.mustAsk(good)
		up.becomes(isAway)
		bad := token("app-1\nforged=line", time.Hour)
		n.ask(bad)
		n.ask("Bearer " + good)
		written := log.String()
		for _, secret := range []string{"secret-key-of", "session-token", good, bad, strings.Split(good, ".")[1], "\nforged"} {
			if strings.Contains(written, secret) {
				t.Errorf("the log has %q:\n%s", secret, written)
			}
		}
		for _, fact := range []string{"claimedPod=default/app-0", "a-abcdefghijklmnop1", "ASIA1", targetRole, "unexpected EOF"} {
			if !strings.Contains(written, fact) {
				t.Errorf("the log lacks %q:\n%s", fact, written)
			}
		}
	})
}
