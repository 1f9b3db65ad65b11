package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// What a webhook is sent, and how much may wait for it.
const (
	maxBatchEvents  = 500
	maxBatchBytes   = 1 << 20
	defaultSpool    = 64 << 20
	batchWait       = 200 * time.Millisecond // for more to come, while none is under way
	requestTimeout  = 10 * time.Second
	firstBackoff    = 500 * time.Millisecond
	longestBackoff  = 30 * time.Second
	longestRetry    = 5 * time.Minute // of Retry-After
	lastChance      = 5 * time.Second // to deliver what waits, once Run is to end
	logLossesEvery  = time.Minute
	maxWebhookReply = 64 << 10
)

// WebhookConfig says where events are sent. URL is required.
type WebhookConfig struct {
	// URL takes batches by POST: JSON, one event a line (application/x-ndjson). It
	// is https, or http at a loopback address. Any status 2xx says that the whole
	// batch is kept. An event may come twice: it has the same eventID then.
	URL string
	// Client sends them. Nil: one that trusts the system's authorities.
	Client *http.Client
	// Token returns the bearer token. It is asked for each batch, since tokens
	// change. Nil: none is sent.
	Token func() (string, error)
	// Required has Write wait until the receiver has the event: what cannot be
	// delivered is not given. If not, Write never waits.
	Required bool
	// SpoolBytes is how much waits in memory for a receiver that is away, at most.
	// When it is full, new events are lost to the webhook, or, where it is
	// required, not kept. 0: 64 MiB.
	SpoolBytes int
	// Logger takes what is lost, and that the receiver is away. Nil: nothing.
	Logger *slog.Logger
}

// Webhook sends events to an HTTPS endpoint, in batches, again and again until it
// takes them. What waits is in memory, and lost with the process: whoever must not
// lose any has a file as well, or requires the webhook.
type Webhook struct {
	config WebhookConfig
	wake   chan struct{} // has room for one: something waits

	mu     sync.Mutex // guards what follows
	queue  []*sending // oldest first
	bytes  int        // of queue
	lost   uint64
	logged time.Time // when losses were logged last
}

// sending is one event that waits.
type sending struct {
	line []byte
	done chan struct{} // closed when err is set; nil: nobody waits
	err  error
}

// NewWebhook makes a Webhook. It sends nothing before Run.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("the URL of the audit webhook: want https://HOST/PATH, without a user")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" && !(u.Scheme == "http" && ip != nil && ip.IsLoopback()) {
		return nil, errors.New("the URL of the audit webhook: want https, or http at a loopback address: events say who may do what")
	}
	if c.Client == nil {
		c.Client = &http.Client{}
	}
	client := *c.Client
	// A redirect would lose the batch, as a GET.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	if c.SpoolBytes == 0 {
		c.SpoolBytes = defaultSpool
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Webhook{config: c, wake: make(chan struct{}, 1)}, nil
}

// Write has the event sent, and waits for that only if it is required.
func (h *Webhook) Write(ctx context.Context, e *Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	s := &sending{line: line}
	if h.config.Required {
		s.done = make(chan struct{})
	}
	if !h.enqueue(s) {
		if !h.config.Required {
			return nil
		}
		return errors.New("audit webhook: too many events wait for it")
	}
	if s.done == nil {
		return nil
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("audit webhook: the receiver has not taken the event: %w", ctx.Err())
	}
}

func (h *Webhook) enqueue(s *sending) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bytes+len(s.line) > h.config.SpoolBytes {
		h.loseLocked(1, "the spool is full")
		return false
	}
	h.queue, h.bytes = append(h.queue, s), h.bytes+len(s.line)
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return true
}

// loseLocked counts what the receiver will never see.
func (h *Webhook) loseLocked(n int, why string) {
	h.lost += uint64(n)
	if now := time.Now(); now.Sub(h.logged) >= logLossesEvery {
		h.logged = now
		h.config.Logger.Error("audit events are lost to the webhook", "why", why, "lost", h.lost)
	}
}

// Stats returns how many events wait, and how many the receiver will never see.
func (h *Webhook) Stats() (waiting int, lost uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queue), h.lost
}

// Run sends until ctx ends, and then for a few seconds more what still waits. It
// returns nil.
func (h *Webhook) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastChance)
			defer cancel()
			h.drain(last)
			return nil
		case <-h.wake:
		}
		// Whoever waits for a required webhook waits for no others.
		if !h.config.Required && !sleep(ctx, batchWait) {
			continue
		}
		h.drain(ctx)
	}
}

// drain sends what waits until nothing does or ctx ends.
func (h *Webhook) drain(ctx context.Context) {
	for backoff := firstBackoff; ; {
		batch := h.next()
		if len(batch) == 0 {
			return
		}
		err := h.post(ctx, batch)
		switch failure, _ := errors.AsType[*webhookError](err); {
		case err == nil:
			h.settle(batch, nil)
			backoff = firstBackoff
			continue
		case failure != nil && failure.never:
			h.mu.Lock()
			h.loseLocked(len(batch), err.Error())
			h.mu.Unlock()
			h.settle(batch, err)
			continue
		default:
			h.config.Logger.Warn("the audit webhook does not take events", "error", err, "again_in", backoff.String())
			wait := backoff/2 + rand.N(backoff/2)
			if failure != nil {
				wait = max(wait, failure.after)
			}
			if backoff = min(2*backoff, longestBackoff); !sleep(ctx, wait) {
				return
			}
		}
	}
}

// sleep returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// next returns the oldest events that wait, which stay in the queue.
func (h *Webhook) next() []*sending {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := 0
	for i, s := range h.queue {
		if size += len(s.line); i > 0 && (size > maxBatchBytes || i == maxBatchEvents) {
			return h.queue[:i:i]
		}
	}
	return h.queue[:len(h.queue):len(h.queue)]
}

// settle takes a batch, which next returned, out of the queue.
func (h *Webhook) settle(batch []*sending, err error) {
	h.mu.Lock()
	if h.queue = h.queue[len(batch):]; len(h.queue) == 0 {
		h.queue = nil // and with it what was sent
	}
	for _, s := range batch {
		h.bytes -= len(s.line)
	}
	h.mu.Unlock()
	for _, s := range batch {
		if s.err = err; s.done != nil {
			close(s.done)
		}
	}
}

// webhookError is an answer that is not 2xx.
type webhookError struct {
	status int
	never  bool          // sending the same again is no use
	after  time.Duration // not before
}

func (e *webhookError) Error() string {
	return fmt.Sprintf("audit webhook: the receiver answered with status %d", e.status)
}

func (h *Webhook) post(ctx context.Context, batch []*sending) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var body bytes.Buffer
	for _, s := range batch {
		body.Write(s.line)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.config.URL, &body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	if h.config.Token != nil {
		token, err := h.config.Token()
		if err != nil {
			return fmt.Errorf("audit webhook: its token: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := h.config.Client.Do(r)
	if err != nil {
		return fmt.Errorf("audit webhook: %w", err)
	}
	defer answer.Body.Close()
	// Read, so that the connection is used again.
	if _, err := io.CopyN(io.Discard, answer.Body, maxWebhookReply); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("audit webhook: %w", err)
	}
	return refusalOf(answer)
}

func refusalOf(answer *http.Response) error {
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	e := &webhookError{status: answer.StatusCode}
	switch answer.StatusCode {
	// What the receiver says of these events; all else may be mended: a token, a path, an outage.
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		e.never = true
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = min(time.Duration(seconds)*time.Second, longestRetry)
	}
	return e
}
