package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// reader reads one object again and again.
type reader struct {
	bucket, key string

	mu     sync.Mutex
	status Status
}

// Status is what the pod has seen.
type Status struct {
	// Reads and Failures count since the start.
	Reads, Failures int
	// Text is what was read last, AccessKeyID what it was read with.
	Text, AccessKeyID string
	// Error is the last failure.
	Error string
}

// run reads with credentials that the SDK finds and keeps by itself.
func (r *reader) run() {
	for ; ; time.Sleep(100 * time.Millisecond) {
		r.saw(Status{Failures: 1, Error: r.readOn(context.Background()).Error()})
	}
}

// readOn reads until something fails; then there is a new client, as in a
// program that starts again, so that no credentials are remembered.
func (r *reader) readOn(ctx context.Context) error {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	for client := s3.NewFromConfig(c); ; time.Sleep(100 * time.Millisecond) {
		text, err := r.read(ctx, client)
		if err != nil {
			return err
		}
		credentials, err := c.Credentials.Retrieve(ctx) // those of the client's own cache
		if err != nil {
			return err
		}
		r.saw(Status{Reads: 1, Text: text, AccessKeyID: credentials.AccessKeyID})
	}
}

func (r *reader) read(ctx context.Context, client *s3.Client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(r.bucket), Key: aws.String(r.key)})
	if err != nil {
		return "", err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, 1<<20))
	return string(text), err
}

func (r *reader) saw(s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Reads, s.Failures = s.Reads+r.status.Reads, s.Failures+r.status.Failures
	if s.Error == "" {
		s.Error = r.status.Error
	}
	if s.Text == "" {
		s.Text, s.AccessKeyID = r.status.Text, r.status.AccessKeyID
	}
	r.status = s
}

func (r *reader) serveStatus(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	json.NewEncoder(w).Encode(r.status)
}
