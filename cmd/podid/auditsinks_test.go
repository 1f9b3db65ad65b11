package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// siem is a receiver of audit events.
func siem(t *testing.T) (server *httptest.Server, got *bytes.Buffer) {
	t.Helper()
	got = &bytes.Buffer{} // read once the webhook has ended
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer of-the-siem" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.Copy(got, r.Body)
	}))
	t.Cleanup(server.Close)
	return server, got
}

func TestAuditSinks(t *testing.T) {
	server, got := siem(t)
	dir := t.TempDir()
	put := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := put("ca", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	token := put("token", []byte("of-the-siem\n"))
	file := filepath.Join(dir, "audit.jsonl")
	for name, c := range map[string]struct {
		sinks               auditSinks
		stdout, file, to    bool
		withoutStdout, none bool
	}{
		"nothing said":       {sinks: auditSinks{}, stdout: true},
		"nothing said, dev":  {sinks: auditSinks{}, withoutStdout: true, none: true},
		"a file":             {sinks: auditSinks{file: file}, file: true},
		"both":               {sinks: auditSinks{file: file, stdout: true}, file: true, stdout: true},
		"a webhook":          {sinks: auditSinks{webhook: server.URL, caFile: ca, tokenFile: token}, stdout: true, to: true},
		"a webhook, dev":     {sinks: auditSinks{webhook: server.URL, caFile: ca, tokenFile: token}, to: true, withoutStdout: true},
		"a required webhook": {sinks: auditSinks{webhook: server.URL, caFile: ca, tokenFile: token, required: true}, to: true},
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(file)
			got.Reset()
			var out bytes.Buffer
			var stdout io.Writer = &out
			if c.withoutStdout {
				stdout = nil
			}
			sink, err := c.sinks.open(stdout, slog.New(slog.DiscardHandler))
			if err != nil || (sink == nil) != c.none {
				t.Fatal(sink, err)
			}
			err = c.sinks.during(t.Context(), func(ctx context.Context) error {
				if sink == nil {
					return nil
				}
				return sink.Write(ctx, granted("web-0", 0))
			})
			if err != nil {
				t.Fatal(err)
			}
			kept, _ := os.ReadFile(file)
			for what, has := range map[string]struct {
				text string
				want bool
			}{"stdout": {out.String(), c.stdout}, "the file": {string(kept), c.file}, "the webhook": {got.String(), c.to}} {
				if strings.Contains(has.text, `"podName":"web-0"`) != has.want {
					t.Errorf("%s has %q", what, has.text)
				}
			}
		})
	}
	for name, c := range map[string]auditSinks{
		"--audit-file":               {file: filepath.Join(dir, "no", "file")},
		"--audit-webhook:":           {webhook: "http://siem.example"},
		"--audit-webhook-ca-file":    {webhook: server.URL, caFile: token},
		"--audit-webhook-token-file": {webhook: server.URL, tokenFile: file + ".none"},
		"one needs the other":        {webhook: server.URL, certFile: ca},
		"--audit-webhook-cert-file":  {webhook: server.URL, certFile: ca, keyFile: ca},
	} {
		if _, err := c.open(io.Discard, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
