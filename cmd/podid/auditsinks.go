package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/audit"
)

// auditSinks are the flags that say where audit events go.
type auditSinks struct {
	file    string
	maxMiB  int64
	maxAge  time.Duration
	keep    int
	stdout  bool
	webhook string

	tokenFile, caFile, certFile, keyFile string

	required bool

	opened  *audit.File
	sending *audit.Webhook
}

// declare adds the flags. byDefault says where events go without any.
func (a *auditSinks) declare(cmd *cobra.Command, byDefault string) {
	f := cmd.Flags()
	f.StringVar(&a.file, "audit-file", "", "file for audit events, each on disk before its decision is answered (default: "+byDefault+")")
	f.Int64Var(&a.maxMiB, "audit-file-max-size", 100, "put the file aside when it has this many MiB; 0: never")
	f.DurationVar(&a.maxAge, "audit-file-max-age", 0, "put the file aside when it is this old; 0: never")
	f.IntVar(&a.keep, "audit-file-keep", 0, "keep this many of the files put aside; 0: all")
	f.BoolVar(&a.stdout, "audit-stdout", false, "write audit events to stdout too")
	f.StringVar(&a.webhook, "audit-webhook", "", "https URL that takes audit events by POST, one a line in JSON")
	f.StringVar(&a.tokenFile, "audit-webhook-token-file", "", "bearer token for it")
	f.StringVar(&a.caFile, "audit-webhook-ca-file", "", "certificates that vouch for it, in PEM (default: the system's)")
	f.StringVar(&a.certFile, "audit-webhook-cert-file", "", "client certificate for it, in PEM")
	f.StringVar(&a.keyFile, "audit-webhook-key-file", "", "its key")
	f.BoolVar(&a.required, "audit-webhook-required", false, "answer nothing before the webhook has taken its event")
}

// open makes the sink. What must keep an event comes first; what need not gets it
// afterwards. Nil: no flag asks for one, and stdout is nil.
func (a *auditSinks) open(stdout io.Writer, log *slog.Logger) (audit.Sink, error) {
	var must, also []audit.Sink
	if a.file != "" {
		var err error
		a.opened, err = audit.NewFile(audit.FileConfig{Path: a.file, MaxBytes: a.maxMiB << 20, MaxAge: a.maxAge, Keep: a.keep, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("--audit-file: %w", err)
		}
		must = append(must, a.opened)
	}
	if a.webhook != "" {
		if err := a.openWebhook(log); err != nil {
			return nil, err
		}
		if a.required {
			must = append(must, a.sending)
		} else {
			also = append(also, a.sending)
		}
	}
	// A webhook that is not required may lose events: something must keep them.
	if stdout != nil && (a.stdout || len(must) == 0) {
		must = append(must, audit.NewWriter(stdout))
	}
	switch {
	case len(must)+len(also) == 0:
		return nil, nil
	case len(must) == 0:
		return audit.Multi(also...), nil
	}
	return audit.Then(audit.Multi(must...), also...), nil
}

func (a *auditSinks) openWebhook(log *slog.Logger) (err error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.caFile != "" {
		text, err := os.ReadFile(a.caFile)
		if err != nil {
			return fmt.Errorf("--audit-webhook-ca-file: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("--audit-webhook-ca-file %s: no certificate in PEM", a.caFile)
		}
	}
	if (a.certFile == "") != (a.keyFile == "") {
		return errors.New("--audit-webhook-cert-file and --audit-webhook-key-file: one needs the other")
	}
	if a.certFile != "" {
		// Read for each connection, since certificates are renewed.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(a.certFile, a.keyFile)
			return &pair, err
		}
		if _, err := settings.GetClientCertificate(nil); err != nil {
			return fmt.Errorf("--audit-webhook-cert-file: %w", err)
		}
	}
	c := audit.WebhookConfig{
		URL: a.webhook, Required: a.required, Logger: log,
		Client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: settings, ForceAttemptHTTP2: true}},
	}
	if a.tokenFile != "" {
		c.Token = func() (string, error) {
			text, err := os.ReadFile(a.tokenFile)
			return strings.TrimSpace(string(text)), err
		}
		if _, err := c.Token(); err != nil {
			return fmt.Errorf("--audit-webhook-token-file: %w", err)
		}
	}
	if a.sending, err = audit.NewWebhook(c); err != nil {
		return fmt.Errorf("--audit-webhook: %w", err)
	}
	return nil
}

// during runs work, and sends events for as long as it runs and a little longer.
func (a *auditSinks) during(ctx context.Context, work func(context.Context) error) error {
	sent := make(chan error, 1)
	until, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if a.sending == nil {
		sent <- nil
	} else {
		go func() { sent <- a.sending.Run(until) }()
	}
	err := work(ctx)
	stop()
	err = errors.Join(err, <-sent)
	if a.opened != nil {
		err = errors.Join(err, a.opened.Close())
	}
	return err
}
