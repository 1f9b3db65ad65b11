package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/audit"
)

// receiver answers webhooks without a network, so that time can be false.
type receiver struct {
	mu      sync.Mutex
	answers []int // statuses of the first requests; 0: none comes, then 200
	got     []string
	posts   int
	header  http.Header
	after   string // Retry-After
}

// seen returns how many requests came, and the header of the last.
func (r *receiver) seen() (posts int, header http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.posts, r.header
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = q.Header
	status := http.StatusOK
	if r.posts++; r.posts <= len(r.answers) {
		status = r.answers[r.posts-1]
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status == http.StatusOK {
		for line := range strings.Lines(string(text)) {
			var e audit.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				return nil, err
			}
			r.got = append(r.got, e.RequestID)
		}
	}
	header := http.Header{}
	if r.after != "" {
		header.Set("Retry-After", r.after)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("{}")), Request: q}, nil
}

// deliver runs a webhook while do runs, and for what is left afterwards.
func deliver(t *testing.T, r *receiver, c audit.WebhookConfig, do func(ctx context.Context, h *audit.Webhook)) *audit.Webhook {
	t.Helper()
	c.URL, c.Client = "https://siem.example/events", &http.Client{Transport: r}
	h, err := audit.NewWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	do(ctx, h)
	stop()
	running.Wait()
	return h
}

func TestWebhookSendsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		deliver(t, r, audit.WebhookConfig{Token: func() (string, error) { return "t-1", nil }}, func(_ context.Context, h *audit.Webhook) {
			write(t, h, "1", "2", "3")
			time.Sleep(time.Second)
			synctest.Wait()
			if n, header := r.seen(); n != 1 || header.Get("Authorization") != "Bearer t-1" || header.Get("Content-Type") != "application/x-ndjson" {
				t.Errorf("%d posts, %v", n, header)
			}
			for i := range 1200 {
				write(t, h, fmt.Sprint("n", i))
			}
		})
		if r.posts != 4 || len(r.got) != 1203 || r.got[0] != "1" || r.got[1202] != "n1199" {
			t.Errorf("%d events in %d posts", len(r.got), r.posts)
		}
	})
}

func TestWebhookTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answers: []int{0, 503, 401, 429, 302}, after: "60"}
		deliver(t, r, audit.WebhookConfig{}, func(_ context.Context, h *audit.Webhook) {
			write(t, h, "1")
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if n, _ := r.seen(); n != 2 {
				t.Errorf("%d posts within 30 s, and the receiver said to wait for 60", n)
			}
			time.Sleep(10 * time.Minute)
		})
		want(t, r.got, "1")
		if r.posts != 6 {
			t.Errorf("%d posts", r.posts)
		}
	})
}

func TestWebhookGivesUpWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answers: []int{400}}
		h := deliver(t, r, audit.WebhookConfig{}, func(_ context.Context, h *audit.Webhook) {
			write(t, h, "1")
			time.Sleep(time.Second)
			write(t, h, "2")
		})
		want(t, r.got, "2")
		if waiting, lost := h.Stats(); waiting != 0 || lost != 1 {
			t.Errorf("%d wait, %d lost", waiting, lost)
		}
	})
}

// TestWebhookDelaysNobody: a receiver that is away costs events, once the spool
// is full, and no time.
func TestWebhookDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answers: make([]int, 1000)}
		began := time.Now()
		h := deliver(t, r, audit.WebhookConfig{SpoolBytes: 1000}, func(_ context.Context, h *audit.Webhook) {
			write(t, h, "1", "2", "3", "4", "5")
			if time.Since(began) != 0 {
				t.Errorf("took %v", time.Since(began))
			}
		})
		if waiting, lost := h.Stats(); waiting == 0 || lost == 0 || waiting+int(lost) != 5 {
			t.Errorf("%d wait, %d lost", waiting, lost)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestRequiredWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answers: []int{200, 0, 0, 422}}
		deliver(t, r, audit.WebhookConfig{Required: true}, func(ctx context.Context, h *audit.Webhook) {
			began := time.Now()
			if err := h.Write(ctx, event("1")); err != nil || time.Since(began) != 0 {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			if err := h.Write(short, event("2")); err == nil {
				t.Error("kept by nobody")
			}
			time.Sleep(time.Minute)
			if err := h.Write(ctx, event("3")); err != nil { // the 422 was of what came before
				t.Error(err)
			}
		})
		want(t, r.got, "1", "3")
	})
}

func TestRequiredWebhookThatIsFull(t *testing.T) {
	h, err := audit.NewWebhook(audit.WebhookConfig{URL: "https://siem.example", Required: true, SpoolBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Write(t.Context(), event("1")); err == nil {
		t.Error("kept by nobody")
	}
}

func TestWebhookURLs(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://siem.example/x": true, "http://127.0.0.1:8088": true, "http://[::1]/": true,
		"http://siem.example": false, "": false, "siem.example": false, "https://user:pass@siem.example": false, "http://localhost": false, "ftp://127.0.0.1": false,
	} {
		if _, err := audit.NewWebhook(audit.WebhookConfig{URL: url}); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}
