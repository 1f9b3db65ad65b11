package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// line is one kept-alive connection. It reads as little as can be, so as not to
// measure itself.
type line struct {
	conn   net.Conn
	reader *bufio.Reader
}

// podAddress is the address of the n-th pod: each has its own, as on a node.
func podAddress(n int) *net.TCPAddr {
	return &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/250), byte(n%250+1))}
}

func dial(address string, secure *tls.Config, from *net.TCPAddr) (*line, error) {
	conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", address)
	if err == nil && secure != nil {
		conn = tls.Client(conn, secure)
	}
	if err != nil {
		return nil, err
	}
	return &line{conn, bufio.NewReader(conn)}, nil
}

func dialAll(address string, secure *tls.Config, n int) ([]*line, error) {
	var lines []*line
	for i := range n {
		l, err := dial(address, secure, podAddress(i))
		if err != nil {
			hangUp(lines)
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func hangUp(lines []*line) {
	for _, l := range lines {
		l.conn.Close()
	}
}

// ask sends a request and returns the status of the answer.
func (l *line) ask(request []byte) (int, error) {
	l.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := l.conn.Write(request); err != nil {
		return 0, err
	}
	status, length := 0, -1
	for {
		text, err := l.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		switch {
		case status == 0:
			if len(text) < 12 {
				return 0, fmt.Errorf("no status: %q", text)
			}
			if status, err = strconv.Atoi(string(text[9:12])); err != nil {
				return 0, err
			}
		case len(text) == 2:
			if length < 0 {
				return 0, fmt.Errorf("status %d without a length", status)
			}
			_, err := io.CopyN(io.Discard, l.reader, int64(length))
			return status, err
		default:
			if name, value, _ := strings.Cut(string(text), ":"); strings.EqualFold(name, "Content-Length") {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
					return 0, err
				}
			}
		}
	}
}

// asks is what an SDK sends to the agent.
func (p *process) asks(token string) []byte {
	return []byte("GET /v1/credentials HTTP/1.1\r\nHost: " + p.host + "\r\nAuthorization: " + token + "\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n")
}

// saturate has every line ask again as soon as it was answered, and returns the
// answers of status 200, and of others.
func saturate(lines []*line, requests [][]byte, d time.Duration) (ok, refused int64, err error) {
	var good, bad atomic.Int64
	var failed atomic.Pointer[error]
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for i, l := range lines {
		all.Go(func() {
			for n := i; time.Now().Before(end); n += len(lines) {
				status, err := l.ask(requests[n%len(requests)])
				switch {
				case err != nil:
					failed.Store(&err)
					return
				case status == 200:
					good.Add(1)
				default:
					bad.Add(1)
				}
			}
		})
	}
	all.Wait()
	if e := failed.Load(); e != nil {
		err = *e
	}
	return good.Load(), bad.Load(), err
}

// open asks at a set rate, whether earlier answers have come or not, as
// independent pods do. A latency counts from when the request was due.
// Answers other than 200 are an error.
func open(ctx context.Context, lines []*line, requests [][]byte, rate int, d time.Duration) (latencies, error) {
	type turn struct {
		due     time.Time
		request []byte
	}
	due := make(chan turn, rate)
	var mu sync.Mutex
	var took latencies
	var failed error
	var all sync.WaitGroup
	for _, l := range lines {
		all.Go(func() {
			var own latencies
			for t := range due {
				status, err := l.ask(t.request)
				if err == nil && status != 200 {
					err = fmt.Errorf("status %d", status)
				}
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					continue
				}
				own = append(own, time.Since(t.due))
			}
			mu.Lock()
			took = append(took, own...)
			mu.Unlock()
		})
	}
	began, n := time.Now(), int(d.Seconds()*float64(rate))
	for i := range n {
		at := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(at))
		if ctx.Err() != nil {
			break
		}
		due <- turn{at, requests[i%len(requests)]}
	}
	close(due)
	all.Wait()
	return took, failed
}

// burst sends all requests at once, each on a line of its own, and returns how
// long each took and what statuses came.
func burst(lines []*line, requests [][]byte) (latencies, map[int]int, error) {
	took, statuses := make(latencies, len(lines)), map[int]int{}
	errs := make([]error, len(lines))
	var mu sync.Mutex
	var ready, all sync.WaitGroup
	begin := make(chan struct{})
	for i, l := range lines {
		ready.Add(1)
		all.Go(func() {
			ready.Done()
			<-begin
			began := time.Now()
			status, err := l.ask(requests[i%len(requests)])
			took[i], errs[i] = time.Since(began), err
			mu.Lock()
			statuses[status]++
			mu.Unlock()
		})
	}
	ready.Wait()
	close(begin)
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return took, statuses, err
		}
	}
	return took, statuses, nil
}
