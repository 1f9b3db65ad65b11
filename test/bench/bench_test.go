package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var l latencies
	for i := 100; i > 0; i-- {
		l = append(l, time.Duration(i))
	}
	if l.at(0) != 1 || l.at(0.5) != 51 || l.at(0.99) != 100 || l.at(1) != 100 || latencies(nil).at(0.5) != 0 {
		t.Errorf("%v %v %v %v", l.at(0), l.at(0.5), l.at(0.99), l.at(1))
	}
	if median([]int64{5, 1, 3}) != 3 || median[int64](nil) != 0 {
		t.Error("median")
	}
}

// A latency counts from when the request was due: one that waits behind a slow
// one is as late as its pod sees it.
func TestOpenLoopCountsTheWait(t *testing.T) {
	const slow = 50 * time.Millisecond
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if first {
			time.Sleep(slow)
		}
		first = false
		w.Header().Set("Content-Length", "0")
	}))
	defer server.Close()
	lines, err := dialAll(server.Listener.Addr().String(), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(lines)
	took, err := open(t.Context(), lines, [][]byte{[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")}, 200, 20*time.Millisecond)
	if err != nil || len(took) != 4 {
		t.Fatal(took, err)
	}
	if least := took.at(0); least < slow-3*5*time.Millisecond {
		t.Errorf("the last one was due 15 ms after the first and took %v", least)
	}
}

func TestPlotsAreXML(t *testing.T) {
	l := latencies{time.Millisecond, 2 * time.Millisecond, 40 * time.Millisecond}
	for name, drawing := range map[string]string{
		"histogram": histogram("a & b", []series{{"<bare>", l}, {"none", nil}}),
		"growth":    draw("Memory", powers(100, 100_000, "pods"), upTo(37, "MiB"), []curve{{"agent", []float64{100, 1000}, []float64{1, 37}}}),
	} {
		d := xml.NewDecoder(strings.NewReader(drawing))
		curves := 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, drawing)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
				curves++
			}
		}
		if curves != 1 || strings.Contains(drawing, "NaN") {
			t.Errorf("%s: %d curves\n%s", name, curves, drawing)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	b := &bench{out: &out, rows: []row{{what: "x", podid: "1 µs", bound: "2 µs", ok: true}, {what: "y", podid: "3", bound: "2", stock: "9"}, {what: "z", bound: "1", busy: true}, {what: "s", podid: "5"}}}
	b.table()
	for _, want := range []string{"| x    | 1 µs  | 2 µs     | ok      |", "| y    | 3     | 2        | MISSED  | -         | 9           |", "| busy    |", "| s    | 5     | -        | -       |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// BenchmarkIssue is the server's path from memory without the network: what
// podid's own rooms take of each issue.
func BenchmarkIssue(b *testing.B) {
	c, err := newCluster()
	if err != nil {
		b.Fatal(err)
	}
	sts := newStandIn(0)
	defer sts.Close()
	handler, err := issuingHandler(c.issuer.JWKS(), sts.URL)
	if err != nil {
		b.Fatal(err)
	}
	token, err := c.pod()
	if err != nil {
		b.Fatal(err)
	}
	body := `{"token":"` + token + `"}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/clusters/example-cluster/assume-role-for-pod-identity", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+c.agent)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}
