package agent_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

// upstream answers as the function says, and counts.
type upstream struct {
	answer func(ctx context.Context, token string) (*eksauth.Grant, error)

	mu              sync.Mutex
	calls           int
	inFlight, worst int
}

func (u *upstream) AssumeRoleForPodIdentity(ctx context.Context, token identity.Secret) (*eksauth.Grant, error) {
	u.mu.Lock()
	u.calls++
	u.inFlight++
	u.worst = max(u.worst, u.inFlight)
	answer := u.answer
	u.mu.Unlock()
	defer func() { u.mu.Lock(); u.inFlight--; u.mu.Unlock() }()
	return answer(ctx, token.Reveal())
}

func (u *upstream) counted() int { u.mu.Lock(); defer u.mu.Unlock(); return u.calls }

// becomes changes how it answers.
func (u *upstream) becomes(answer func(context.Context, string) (*eksauth.Grant, error)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

const targetRole = "arn:aws:sts::444455556666:assumed-role/target/eks-example-c-app-0-uuid"

// grants gives credentials of the given life, each with its own key id.
func grants(life time.Duration) func(context.Context, string) (*eksauth.Grant, error) {
	var mu sync.Mutex
	n := 0
	return func(context.Context, string) (*eksauth.Grant, error) {
		mu.Lock()
		defer mu.Unlock()
		n++
		return grant(fmt.Sprintf("ASIA%d", n), time.Now().Add(life)), nil
	}
}

func grant(id string, expires time.Time) *eksauth.Grant {
	return &eksauth.Grant{
		Namespace: "default", ServiceAccount: "app", AssociationID: "a-abcdefghijklmnop1",
		Session: identity.Session{
			Credentials:    identity.Credentials{AccessKeyID: id, SecretAccessKey: "secret-key-of-" + identity.Secret(id), SessionToken: "session-token", Expires: expires},
			AssumedRoleARN: targetRole, AssumedRoleID: "AROAEXAMPLE:eks-example-c-app-0-uuid",
		},
	}
}

// refuses answers with an exception.
func refuses(status int, code string, retryAfter time.Duration) func(context.Context, string) (*eksauth.Grant, error) {
	return func(context.Context, string) (*eksauth.Grant, error) {
		return nil, &eksauth.Error{Status: status, Code: code, Message: "no.", RequestID: "r-1", RetryAfter: retryAfter}
	}
}

// isAway answers nothing and fails like a network.
func isAway(context.Context, string) (*eksauth.Grant, error) {
	return nil, &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
}

// hangs answers nothing for as long as it is let.
func hangs(ctx context.Context, _ string) (*eksauth.Grant, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// token makes an unsigned token of a pod.
func token(pod string, life time.Duration) string {
	now := time.Now()
	return jwt(fmt.Sprintf(`{"aud":["pods.eks.amazonaws.com"],"exp":%d,"iat":%d,"nbf":%d,"iss":"https://kubernetes.default.svc",`+
		`"kubernetes.io":{"namespace":"default","pod":{"name":%q,"uid":%q},"serviceaccount":{"name":"app","uid":"s"}}}`,
		now.Add(life).Unix(), now.Unix(), now.Unix(), pod, "uid-of-"+pod))
}

func jwt(claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
}

// pipes is a listener without a network, so that a test's clock can run ahead.
// It passes for 169.254.170.23, and each connection for that of another pod.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed atomic.Uint32
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(169, 254, 170, 23), Port: 80} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	from, ok := ctx.Value(fromPod{}).(string)
	if !ok {
		n := p.dialed.Add(1)
		from = fmt.Sprintf("10.%d.%d.%d:40000", n>>16&255, n>>8&255, n&255)
	}
	select {
	case p.conns <- piped{there, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}:
		return here, nil
	case <-p.closed:
	case <-ctx.Done():
	}
	return nil, net.ErrClosed
}

// fromPod is the address, in a context, that a request is to come from.
type fromPod struct{}

type piped struct {
	net.Conn
	from net.Addr
}

func (p piped) RemoteAddr() net.Addr { return p.from }

// node is a running agent and a pod's way to it.
type node struct {
	t     *testing.T
	agent *agent.Agent
	http  *http.Client
	stop  func()
}

// run starts an agent; use it in a synctest bubble.
func run(t *testing.T, c agent.Config) *node {
	t.Helper()
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	c.Listeners = []net.Listener{listener}
	a, err := agent.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	transport := &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}
	return &node{t, a, &http.Client{Transport: transport}, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})}
}

type credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	AccountID       string `json:"AccountId"`
	Expiration      time.Time
}

// ask returns credentials, or the status and text of a refusal.
func (n *node) ask(token string) (credentials, int, string) {
	n.t.Helper()
	return n.askWithin(context.Background(), token)
}

func (n *node) askWithin(ctx context.Context, token string) (credentials, int, string) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://169.254.170.23/v1/credentials", nil)
	if err != nil {
		n.t.Error(err)
		return credentials{}, 0, err.Error()
	}
	r.Header.Set("Authorization", token)
	response, err := n.http.Do(r)
	if err != nil {
		return credentials{}, 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Error(err)
	}
	var c credentials
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, &c); err != nil {
			n.t.Error(err)
		}
	}
	return c, response.StatusCode, string(text)
}

// mustAsk is ask where only credentials will do.
func (n *node) mustAsk(token string) credentials {
	n.t.Helper()
	c, status, text := n.ask(token)
	if status != http.StatusOK {
		n.t.Fatalf("status %d: %s", status, text)
	}
	return c
}

// raw sends a request as it is written.
func (n *node) raw(request string) (*http.Response, string) {
	n.t.Helper()
	conn, err := n.http.Transport.(*http.Transport).DialContext(context.Background(), "", "")
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	return response, string(text)
}

func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type eksauthGrant = eksauth.Grant

func always(g *eksauth.Grant) func(context.Context, string) (*eksauth.Grant, error) {
	return func(context.Context, string) (*eksauth.Grant, error) { return g, nil }
}
