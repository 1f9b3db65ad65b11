//go:build linux

package agent_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counts returns how many of the answers were credentials.
func counts(answers []answer) (served int, worst time.Duration) {
	for _, a := range answers {
		if a.id != "" {
			served++
		}
		worst = max(worst, a.took)
	}
	return served, worst
}

// TestServerFaults: pods that have credentials notice nothing, pods that have
// none are told quickly, and both are served as soon as the server is back.
func TestServerFaults(t *testing.T) {
	up := newEKSAuth(t)
	start(t, "--link", "create", "--endpoint", up.URL)
	good := up.grants(time.Hour)
	served, _ := counts(together(100))
	if served != 100 {
		t.Fatalf("%d of 100 pods were served", served)
	}
	var flips atomic.Int32
	for name, fault := range map[string]http.HandlerFunc{
		"closes connections": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"answers nothing":    func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"throttles":          refuses(429, "ThrottlingException"),
		"refuses the agent":  refuses(403, "AccessDeniedException"),
		"fails":              refuses(500, "InternalServerException"),
		"is unavailable":     refuses(503, "ServiceUnavailableException"),
		"sends garbage":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>"+secretPart) },
		"sends no end":       func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, endless{}) },
		"sends half": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			io.WriteString(w, "{")
		},
		"sends expired credentials": up.grants(-time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			nothingLeaks(t, func() {
				up.becomes(fault)
				calls := up.calls.Load()
				if served, worst := counts(together(100)); served != 100 || worst > time.Second {
					t.Errorf("%d of 100 pods with credentials were served, within %v", served, worst)
				}
				if n := up.calls.Load() - calls; n > 0 {
					t.Errorf("the server was asked %d times for what is cached", n)
				}
				newcomer := 1000 + int(flips.Add(1))
				if a := ask(newcomer); a.status == 200 || strings.Contains(a.text, secretPart) {
					t.Errorf("a new pod got %d %s", a.status, a.text)
				}
				if n := up.calls.Load() - calls; n == 0 || n > 3 {
					t.Errorf("the server was asked %d times for a new pod", n)
				}
				if status, _ := page(t, "http://localhost:2703/healthz"); status != 200 {
					t.Errorf("not alive: %d", status)
				}
				if status, _ := page(t, "http://localhost:2703/readyz"); status != 200 {
					t.Errorf("not ready: %d", status)
				}
				up.becomes(good)
				eventually(t, 7*time.Second, "the new pod is served", func() bool { return ask(newcomer).id != "" })
			})
		})
	}
}

// endless is a reply without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestAFlappingServer fails every other call. Pods that ask again, as SDKs do,
// are all served.
func TestAFlappingServer(t *testing.T) {
	up := newEKSAuth(t)
	start(t, "--link", "create", "--endpoint", up.URL)
	good := up.grants(time.Hour)
	var n atomic.Int32
	up.becomes(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler)
		}
		good(w, r)
	})
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			a := ask(i)
			for try := 0; a.id == "" && try < 5; try++ {
				time.Sleep(time.Second) // as botocore does
				a = ask(i)
			}
			if a.id == "" {
				t.Errorf("pod %d: %+v", i, a)
			}
		})
	}
	all.Wait()
}

// TestOneReplicaLiesDead: it takes connections and never answers.
func TestOneReplicaLiesDead(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	up := newEKSAuth(t)
	// Which replica an agent keeps to is chance.
	paid := time.Duration(0)
	for i := 0; paid == 0 && i < 20; i++ {
		p := start(t, "--link", "create", "--endpoint", "http://"+dead.Addr().String(), "--endpoint", up.URL)
		calls := up.calls.Load()
		served, worst := counts(together(200))
		if served != 200 || worst > time.Second {
			t.Errorf("%d of 200 pods were served, within %v: the JavaScript SDK waits a second", served, worst)
		}
		if n := up.calls.Load() - calls; n != 200 {
			t.Errorf("%d calls for 200 pods", n)
		}
		if worst > 240*time.Millisecond {
			paid = worst
		}
		p.stop()
	}
	if paid == 0 {
		t.Error("the dead replica was never asked first: this proves nothing")
	}
	t.Logf("200 pods within %v", paid)
}

// TestKilledInTheMiddle of a thousand fetches: nothing is left in the way of
// the next one, link and port included.
func TestKilledInTheMiddle(t *testing.T) {
	up := newEKSAuth(t)
	up.becomes(after(300*time.Millisecond, up.grants(time.Hour)))
	p := start(t, "--link", "create", "--endpoint", up.URL)
	done := make(chan []answer)
	go func() { done <- together(1000) }()
	eventually(t, 5*time.Second, "fetches are under way", func() bool { return up.calls.Load() > 50 })
	p.kill()
	if served, _ := counts(<-done); served == 1000 {
		t.Error("it was killed too late: this proves nothing")
	}
	start(t, "--link", "create", "--endpoint", up.URL)
	defer removeLink(t) // the killed one made it, the second found it there
	for i, a := range together(1000) {
		for try := 0; a.id == "" && try < 3; try++ {
			a = ask(i)
		}
		if a.id == "" {
			t.Fatalf("pod %d: %+v", i, a)
		}
	}
}

// TestTenThousandConnections of one pod, held open, keep no other pod out.
func TestTenThousandConnections(t *testing.T) {
	up := newEKSAuth(t)
	start(t, "--link", "create", "--endpoint", up.URL)
	mustAsk(t, 1)
	nothingLeaks(t, func() {
		before := metric(t, "process_resident_memory_bytes")
		var held []net.Conn
		defer func() {
			for _, c := range held {
				c.Close()
			}
		}()
		for range 10_000 {
			c, err := dial(pod(9), v4)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		for n := range 50 {
			if a := mustAsk(t, 100+n); a.took > 200*time.Millisecond {
				t.Errorf("pod %d waited %v", 100+n, a.took)
			}
		}
		if n := metric(t, "podid_agent_connections"); n > 512+50 {
			t.Errorf("%v connections", n)
		}
		if grown := metric(t, "process_resident_memory_bytes") - before; grown > 16<<20 {
			t.Errorf("memory has grown by %.0f bytes", grown)
		}
		if n := metric(t, "podid_agent_connections_turned_away_total"); n < 9000 {
			t.Errorf("%v connections were turned away", n)
		}
	})
}

// TestHalfOpen: a pod that sends half a request, or reads no answer, is cut off.
func TestHalfOpen(t *testing.T) {
	up := newEKSAuth(t)
	start(t, "--link", "create", "--endpoint", up.URL)
	mustAsk(t, 1)
	nothingLeaks(t, func() {
		var held []net.Conn
		for _, request := range []string{"", "G", "GET /v1/credentials HTTP/1.1\r\nHost: 169.254.170.23\r\nAuthorization: ", "POST / HTTP/1.1\r\nHost: 169.254.170.23\r\nContent-Length: 5\r\n\r\n"} {
			c, err := dial(pod(1), v4)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, request)
			held = append(held, c)
		}
		for _, c := range held {
			c.SetReadDeadline(time.Now().Add(8 * time.Second))
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("the connection is kept: %v", err)
			}
		}
	})
}

// TestAHugeHeader is refused before it is read.
func TestAHugeHeader(t *testing.T) {
	up := newEKSAuth(t)
	start(t, "--link", "create", "--endpoint", up.URL)
	mustAsk(t, 1)
	nothingLeaks(t, func() {
		for range 4 {
			c, err := dial(pod(1), v4)
			if err != nil {
				t.Fatal(err)
			}
			go io.WriteString(c, "GET /v1/credentials HTTP/1.1\r\nHost: 169.254.170.23\r\nAuthorization: "+strings.Repeat("a", 1<<20)+"\r\n\r\n")
			c.SetReadDeadline(time.Now().Add(3 * time.Second))
			reply, _ := io.ReadAll(c)
			if !strings.HasPrefix(string(reply), "HTTP/1.1 431") {
				t.Errorf("%.100q", reply)
			}
			c.Close()
		}
	})
}

// TestStartsBeforeItsServer: pods that ask meanwhile are kept waiting, not refused.
func TestStartsBeforeItsServer(t *testing.T) {
	up := newEKSAuth(t)
	address := strings.TrimPrefix(up.URL, "http://")
	handler := up.Config.Handler
	up.Close()
	start(t, "--link", "create", "--endpoint", "http://"+address)
	if status, text := page(t, "http://localhost:2703/readyz"); status != 503 || !strings.Contains(text, "has not been reached yet") {
		t.Errorf("readyz: %d %s", status, text)
	}
	got := make(chan answer)
	go func() { got <- ask(1) }()
	time.Sleep(300 * time.Millisecond) // the pod asks before there is a server: what this is about
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	defer server.Close()
	if a := <-got; a.id == "" || a.took > time.Second {
		t.Errorf("%+v", a)
	}
	eventually(t, 6*time.Second, "ready", func() bool { status, _ := page(t, "http://localhost:2703/readyz"); return status == 200 })
}
