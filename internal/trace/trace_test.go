package trace

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/podid/podid/internal/identity"
)

// BenchmarkOff is what a request costs that nobody traces.
func BenchmarkOff(b *testing.B) {
	ctx := untraced()
	b.ReportAllocs()
	for b.Loop() {
		off(ctx)
	}
}

// TestOffCostsNothing: where nobody traces, nothing is allocated.
func TestOffCostsNothing(t *testing.T) {
	ctx := untraced()
	if n := testing.AllocsPerRun(1000, func() { off(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	h := http.NotFoundHandler()
	var none *Tracer
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	none.Door("GET", "/", true, http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
		if got != r {
			t.Error("the request is another one")
		}
		h.ServeHTTP(w, got)
	})).ServeHTTP(w, r)
	none.Close()
}

// untraced is a context as net/http makes them, with some values.
func untraced() context.Context {
	ctx := context.WithValue(context.Background(), http.ServerContextKey, &http.Server{})
	return context.WithValue(ctx, http.LocalAddrContextKey, "127.0.0.1")
}

// off is everything that is asked of a trace that is not there.
func off(ctx context.Context) {
	var none *Tracer
	begun, own := none.Begin(ctx, "a")
	within, span := Start(begun, "b", Client)
	span.Set("key", "value")
	span.SetInt("key", 1)
	span.SetBool("key", true)
	span.Link(own)
	Pass(within, nil)
	Of(span.In(within)).End(nil)
	span.Fail("kind", "text")
	span.EndHTTP(200, Client)
}

func TestWanted(t *testing.T) {
	for name, test := range map[string]struct {
		env    string
		wanted bool
		err    string
	}{
		"nothing":            {"", false, ""},
		"an endpoint":        {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", true, ""},
		"one of traces":      {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/v1/traces", true, ""},
		"one of metrics":     {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://c:4318", false, ""},
		"by name":            {"OTEL_TRACES_EXPORTER=otlp", true, ""},
		"not":                {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_TRACES_EXPORTER=none", false, ""},
		"disabled":           {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318 OTEL_SDK_DISABLED=true", false, ""},
		"another exporter":   {"OTEL_TRACES_EXPORTER=zipkin", false, "want otlp or none"},
		"gRPC":               {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, "4318"},
		"gRPC, but not here": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wanted, err := Wanted(environment(test.env))
			if wanted != test.wanted || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, %v", wanted, err)
			}
		})
	}
}

// environment reads NAME=VALUE NAME=VALUE.
func environment(text string) func(string) string {
	return func(name string) string {
		for pair := range strings.FieldsSeq(text) {
			if key, value, _ := strings.Cut(pair, "="); key == name {
				return value
			}
		}
		return ""
	}
}

func TestNewJSON(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"": "http://localhost:4318/v1/traces",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://c/otlp/":                                                      "https://c/otlp/v1/traces",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://c OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://d:4318/v1/traces": "http://d:4318/v1/traces",
		"OTEL_EXPORTER_OTLP_ENDPOINT=c:4318":                                                               "",
		"OTEL_EXPORTER_OTLP_TIMEOUT=soon":                                                                  "",
		"OTEL_EXPORTER_OTLP_HEADERS=secret":                                                                "",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere":                                                          "",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=" + empty:                                                          "",
	} {
		e, err := NewJSON(environment(env))
		switch {
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error shows the header: %v", env, err)
		case (err == nil) != (want != ""), err == nil && e.url != want:
			t.Errorf("%s: %+v, %v", env, e, err)
		}
	}
}

// TestExport: headers are sent, the collector's refusal and its absence are
// errors of the exporter, and none of whoever is traced.
func TestExport(t *testing.T) {
	var got http.Header
	var body string
	status := http.StatusOK
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, body = r.Header, string(text)
		w.WriteHeader(status)
	}))
	defer collector.Close()
	e, err := NewJSON(environment("OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL + " OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20abc,x-scope=podid"))
	if err != nil {
		t.Fatal(err)
	}
	kept := &kept{JSON: e}
	tracer, err := New(t.Context(), Config{Service: "test", Exporter: kept})
	if err != nil {
		t.Fatal(err)
	}
	ctx, root := tracer.Begin(t.Context(), "root")
	_, child := Start(ctx, "child", Client)
	child.SetInt("n", 7)
	child.End(identity.Errorf(identity.AccessDenied, "No.").Because(errors.New("the cause")))
	_, other := Start(ctx, "other", Internal)
	other.End(errors.New("an address, say"))
	root.End(nil)
	status = http.StatusServiceUnavailable
	tracer.Close()
	if kept.err == nil || !strings.Contains(kept.err.Error(), "503") {
		t.Errorf("a refused batch: %v", kept.err)
	}
	if got.Get("Authorization") != "Basic abc" || got.Get("X-Scope") != "podid" || got.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", got)
	}
	for _, want := range []string{`"message":"No."`, `"stringValue":"access denied"`, `"intValue":"7"`, `"stringValue":"_OTHER"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	for _, never := range []string{"the cause", "an address"} {
		if strings.Contains(body, never) {
			t.Errorf("%s is in %s", never, body)
		}
	}
}

// kept keeps the exporter's error.
type kept struct {
	*JSON
	err error
}

func (k *kept) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	k.err = k.JSON.ExportSpans(ctx, spans)
	return k.err
}
