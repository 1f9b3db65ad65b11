//go:build linux

// Package agent_test tries podid-agent as a process on a node of its own: a
// network namespace, in which pods have addresses.
package agent_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

const inside = "PODID_TEST_ON_A_NODE"

// binary is podid-agent, built as releases are.
var binary string

// TestMain runs the tests once more in a network namespace, if it may make one.
func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	if os.Getenv(inside) == "" {
		self := exec.Command("/proc/self/exe", os.Args[1:]...)
		self.Env = append(os.Environ(), inside+"=1")
		self.Stdout, self.Stderr = os.Stdout, os.Stderr
		self.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		err := self.Run()
		if _, ran := errors.AsType[*exec.ExitError](err); ran || err == nil {
			return self.ProcessState.ExitCode(), nil
		}
		if os.Getenv("PODID_REQUIRE_ROOT") != "" {
			return 0, fmt.Errorf("podid-agent on a node: making a network namespace needs root: %w", err)
		}
		fmt.Println("** NOT TESTED: podid-agent on a node. Making a network namespace needs root:", err)
		return 0, nil
	}
	folder, err := os.MkdirTemp("", "podid-agent-test")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // for processes of other users
		return 0, err
	}
	binary = filepath.Join(folder, "podid-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v0.0.0-test", "-o", binary, "github.com/podid/podid/cmd/podid-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building podid-agent: %w\n%s", err, out)
	}
	if err := setUpNode(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// setUpNode gives pods the addresses of 10.1.0.0/16.
func setUpNode() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	pods := &net.IPNet{IP: net.IPv4(10, 1, 0, 1), Mask: net.CIDRMask(16, 32)}
	return errors.Join(netlink.LinkSetUp(lo), netlink.AddrAdd(lo, &netlink.Addr{IPNet: pods}))
}

// eksAuth stands for podid's server: it believes every token.
type eksAuth struct {
	*httptest.Server
	calls   atomic.Int32
	answers atomic.Pointer[http.HandlerFunc]
	tells   atomic.Pointer[http.HandlerFunc] // of changes
}

func newEKSAuth(t *testing.T) *eksAuth {
	t.Helper()
	e := &eksAuth{}
	e.becomes(e.grants(time.Hour))
	nothing := refuses(404, "UnknownOperationException") // as AWS's own
	e.tells.Store(&nothing)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // the agent looks whether anybody is there
			return
		}
		if strings.HasSuffix(r.URL.Path, "/changes") {
			(*e.tells.Load())(w, r)
			return
		}
		e.calls.Add(1)
		(*e.answers.Load())(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *eksAuth) becomes(answer http.HandlerFunc) { e.answers.Store(&answer) }

// secretPart is in every secret that the server gives.
const secretPart = "s3cr3t"

func (e *eksAuth) grants(life time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, `{"subject":{"namespace":"default","serviceAccount":"app"},"audience":"pods.eks.amazonaws.com",
			"podIdentityAssociation":{"associationArn":"arn:a","associationId":"a-abcdefghijklmnop1"},
			"assumedRoleUser":{"arn":"arn:aws:sts::444455556666:assumed-role/r/s","assumeRoleId":"AROA:s"},
			"credentials":{"accessKeyId":"ASIA%d","secretAccessKey":"%s-key","sessionToken":"%s-%01000d","expiration":%d}}`,
			e.calls.Load(), secretPart, secretPart, 0, time.Now().Add(life).Unix())
	}
}

func after(d time.Duration, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(d):
			answer(w, r)
		case <-r.Context().Done():
		}
	}
}

func refuses(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-amzn-ErrorType", code)
		w.WriteHeader(status)
		io.WriteString(w, `{"message":"no."}`)
	}
}

// process is a podid-agent that runs.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *log
	once sync.Once
}

// log can be read while it is written.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.text.Write(p) }
func (l *log) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }

// start runs podid-agent server and waits until it serves.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := command(t, append([]string{"server", "--cluster-name", "example-cluster"}, args...)...)
	p.launch()
	eventually(t, 5*time.Second, "podid-agent serves", func() bool { return strings.Contains(p.log.String(), "serving metrics") })
	return p
}

func command(t *testing.T, args ...string) *process {
	p := &process{t: t, cmd: exec.Command(binary, args...), log: &log{}}
	p.cmd.Env = []string{"AWS_ACCESS_KEY_ID=AKIANODE", "AWS_SECRET_ACCESS_KEY=" + secretPart, "AWS_REGION=us-west-2"}
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p
}

func (p *process) launch() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			p.t.Logf("the log of podid-agent:\n%.5000s", p.log)
		}
	})
}

// stop ends it as the kubelet does, and returns its exit code.
func (p *process) stop() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.once.Do(func() { p.cmd.Wait() })
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.once.Do(func() { p.cmd.Wait() })
}

// pod is the address of the nth pod.
func pod(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}) }

// token is an unsigned token of the nth pod.
func token(n int) string {
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"aud":["pods.eks.amazonaws.com"],"exp":%d,"iss":"https://kubernetes.default.svc","pad":"%0500d",`+
		`"kubernetes.io":{"namespace":"default","pod":{"name":"app-%d","uid":"uid-%d"},"serviceaccount":{"name":"app","uid":"s"}}}`,
		time.Now().Add(24*time.Hour).Truncate(24*time.Hour).Unix(), 0, n, n)
	return part([]byte(`{"alg":"RS256"}`)) + "." + part([]byte(claims)) + "." + part([]byte("signature"))
}

const v4 = "169.254.170.23:80"

// dial connects as a pod does.
func dial(from netip.Addr, to string) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.Dial("tcp", to)
}

// answer is what a pod got.
type answer struct {
	status int
	id     string // of the access key
	text   string
	took   time.Duration
	err    error
}

// ask asks as the nth pod, once, as long as botocore would wait.
func ask(n int) answer { return askAt(n, v4) }

func askAt(n int, address string) answer {
	from := pod(n)
	if strings.HasPrefix(address, "[") {
		from = netip.Addr{}
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial(from, address) },
	}}
	r, err := http.NewRequest("GET", "http://"+address+"/v1/credentials", nil)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Authorization", token(n))
	began := time.Now()
	response, err := client.Do(r)
	if err != nil {
		return answer{err: err, took: time.Since(began)}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, text: string(text), err: err, took: time.Since(began)}
	var credentials struct{ AccessKeyId string }
	if a.status == http.StatusOK && json.Unmarshal(text, &credentials) == nil {
		a.id = credentials.AccessKeyId
	}
	return a
}

// mustAsk is ask where only credentials will do.
func mustAsk(t *testing.T, n int) answer {
	t.Helper()
	a := ask(n)
	if a.id == "" {
		t.Fatalf("pod %d got %d %s %v after %v", n, a.status, a.text, a.err, a.took)
	}
	return a
}

// together has so many pods ask at once.
func together(pods int) []answer {
	answers := make([]answer, pods)
	var all sync.WaitGroup
	for i := range pods {
		all.Go(func() { answers[i] = ask(i) })
	}
	all.Wait()
	return answers
}

func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// page fetches a probe or the metrics.
func page(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// metric reads one sample.
func metric(t *testing.T, name string) float64 {
	t.Helper()
	_, text := page(t, "http://127.0.0.1:2705/metrics")
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no metric %s in\n%s", name, text)
	return 0
}

// nothingLeaks waits until goroutines and descriptors are what they were.
func nothingLeaks(t *testing.T, during func()) {
	t.Helper()
	goroutines, descriptors := metric(t, "go_goroutines"), metric(t, "process_open_fds")
	during()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	const few = 8 // connections to the server are kept for a while
	var left string
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		g, d := metric(t, "go_goroutines"), metric(t, "process_open_fds")
		if g <= goroutines+3*few && d <= descriptors+few {
			return
		}
		left = fmt.Sprintf("%v goroutines and %v descriptors, of %v and %v before", g, d, goroutines, descriptors)
		if time.Now().After(end) {
			t.Fatal(left)
		}
	}
}
