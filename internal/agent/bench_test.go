package agent_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
)

// Tokens and session tokens of the sizes that Kubernetes and STS make.
var (
	longToken = jwt(`{"exp":9999999999,"aud":"pods.eks.amazonaws.com","pad":"` + strings.Repeat("x", 700) + `"}`)
	longGrant = func() *eksauthGrant {
		g := grant("ASIAEXAMPLE", time.Now().Add(24*time.Hour))
		g.Session.Credentials.SessionToken = identity.Secret(strings.Repeat("x", 1000))
		return g
	}()
)

// BenchmarkCachedHandler is the handler alone, without net/http about it.
func BenchmarkCachedHandler(b *testing.B) {
	h, err := agent.HandlerForTest(&upstream{answer: always(longGrant)})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://169.254.170.23/v1/credentials", nil)
	r.Header.Set("Authorization", longToken)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := &discard{header: http.Header{}}
		r := r.Clone(b.Context())
		for pb.Next() {
			h.ServeHTTP(w, r)
		}
	})
}

// TestCachedAnswerAllocates no more than one thing, traced by nobody.
func TestCachedAnswerAllocates(t *testing.T) {
	h, err := agent.HandlerForTest(&upstream{answer: always(longGrant)})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://169.254.170.23/v1/credentials", nil)
	r.Header.Set("Authorization", longToken)
	w := &discard{header: http.Header{}}
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkCachedAgainstBare asks the agent and a bare net/http handler with
// the same body by turns, over loopback, and reports the agent's share of the
// bare handler's speed. ns/op is that of one request to each.
func BenchmarkCachedAgainstBare(b *testing.B) {
	uri := onLoopback(b, &upstream{answer: always(longGrant)})
	agentAddress := strings.TrimSuffix(strings.TrimPrefix(uri, "http://"), "/v1/credentials")
	r, err := http.NewRequest("GET", uri, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", longToken)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.Fatal(response.Status, err)
	}
	bareAddress := bare(b, body)

	const connections = 16
	toAgent, toBare := dialAll(b, agentAddress, connections), dialAll(b, bareAddress, connections)
	var agentTook, bareTook time.Duration
	b.ResetTimer()
	for left := b.N; left > 0; left -= 4096 {
		n := min(left, 4096)
		agentTook += askAll(b, toAgent, n)
		bareTook += askAll(b, toBare, n)
	}
	b.ReportMetric(bareTook.Seconds()/agentTook.Seconds(), "of-bare")
	b.ReportMetric(float64(b.N)/agentTook.Seconds(), "agent/s")
}

func bare(b *testing.B, body []byte) string {
	length := strconv.Itoa(len(body))
	server, err := httpd.New(httpd.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", length)
		w.Write(body)
	})})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Run(b.Context(), listener)
	return listener.Addr().String()
}

// line is one kept-alive connection, and the request it repeats.
type line struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func dialAll(b *testing.B, address string, n int) []*line {
	var lines []*line
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		request := "GET /v1/credentials HTTP/1.1\r\nHost: " + address + "\r\nAuthorization: " + longToken + "\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n"
		lines = append(lines, &line{conn, bufio.NewReader(conn), []byte(request)})
	}
	return lines
}

// askAll asks n times in all and returns how long that took.
func askAll(b *testing.B, lines []*line, n int) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for i, l := range lines {
		all.Go(func() {
			for range (n + i) / len(lines) {
				if err := l.ask(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// ask reads as little as can be, so as not to measure itself.
func (l *line) ask() error {
	if _, err := l.conn.Write(l.request); err != nil {
		return err
	}
	length := 0
	for {
		text, err := l.reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(text) == 2 {
			break
		}
		if value, ok := strings.CutPrefix(string(text), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	_, err := l.reader.Discard(length)
	return err
}
