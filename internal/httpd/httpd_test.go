package httpd_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/httpd"
)

// start runs a server on a free loopback port. The returned stop ends it and
// hands back what Run returned.
func start(t *testing.T, c httpd.Config) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := httpd.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	t.Cleanup(cancel)
	return listener.Addr().String(), func() error { cancel(); return <-done }
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestSlowClientsAreCut(t *testing.T) {
	readAll := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	address, _ := start(t, httpd.Config{
		Handler: readAll, ReadHeaderTimeout: 50 * time.Millisecond, ReadTimeout: 100 * time.Millisecond, IdleTimeout: 50 * time.Millisecond,
	})
	for name, sent := range map[string]string{
		"nothing":        "",
		"half a header":  "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"half a body":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
		"idle keepalive": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, address)
			io.WriteString(conn, sent)
			if _, err := io.ReadAll(conn); isTimeout(err) {
				t.Error("the connection was still open after 10 s")
			}
		})
	}
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

func TestOversizedHeadersAreRefused(t *testing.T) {
	address, _ := start(t, httpd.Config{Handler: hello})
	for size, want := range map[int]int{32 << 10: http.StatusOK, 80 << 10: http.StatusRequestHeaderFieldsTooLarge, 1 << 20: http.StatusRequestHeaderFieldsTooLarge} {
		conn := dial(t, address)
		go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", size)+"\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
			continue
		}
		if response.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", size, response.StatusCode, want)
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	address, stop := start(t, httpd.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		io.WriteString(w, "finished")
	})})
	type outcome struct {
		body string
		err  error
	}
	answered := make(chan outcome, 1)
	go func() {
		response, err := http.Get("http://" + address)
		if err != nil {
			answered <- outcome{err: err}
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answered <- outcome{string(body), err}
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // the listener closes first, while the request is still under way
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-stopped:
		t.Fatalf("Run returned %v before the request was answered", err)
	default:
	}
	close(release)
	if got := <-answered; got.err != nil || got.body != "finished" {
		t.Errorf("the request under way got %q, %v", got.body, got.err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	entered := make(chan struct{})
	address, stop := start(t, httpd.Config{ShutdownTimeout: 20 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done() // ends only when the connection is cut
	})})
	failed := make(chan error, 1)
	go func() {
		_, err := http.Get("http://" + address)
		failed <- err
	}()
	<-entered
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("a request that never ends was answered")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	address, stop := start(t, httpd.Config{Handler: hello, MaxConnections: 1})
	first := dial(t, address)
	if status := get(t, first); status != http.StatusOK {
		t.Fatalf("first connection: status %d", status)
	}
	second := dial(t, address) // the kernel takes it, the server does not yet
	io.WriteString(second, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !isTimeout(err) {
		t.Fatalf("the second connection was served beside the first: %v", err)
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if response, err := http.ReadResponse(bufio.NewReader(second), nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("after the first had gone, the second got %v, %v", response, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func get(t *testing.T, conn net.Conn) int {
	t.Helper()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestAListenerThatFailsEndsTheOthers(t *testing.T) {
	server, err := httpd.New(httpd.Config{Handler: hello})
	if err != nil {
		t.Fatal(err)
	}
	good, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bad, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bad.Close()
	if err := server.Run(t.Context(), good, bad); err == nil {
		t.Error("Run = nil, want the error of the closed listener")
	}
	if conn, err := net.Dial("tcp", good.Addr().String()); err == nil {
		conn.Close()
		t.Error("the other listener is still open")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]httpd.Config{
		"no handler":       {},
		"negative timeout": {Handler: hello, ReadTimeout: -1},
		"negative bound":   {Handler: hello, MaxConnections: -1},
	} {
		if _, err := httpd.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestHTTP2WithinBounds: what bounds connections does not hide their TLS.
func TestHTTP2WithinBounds(t *testing.T) {
	known := httptest.NewTLSServer(nil)
	defer known.Close()
	address, stop := start(t, httpd.Config{Handler: hello, MaxConnections: 1, TLS: &tls.Config{Certificates: known.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}})
	client := known.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	answer, err := client.Get("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.ProtoMajor != 2 {
		t.Errorf("spoke %s", answer.Proto)
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
}
