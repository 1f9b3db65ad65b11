package trace

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// JSON exports spans by OTLP over HTTP, as JSON. It is for the agent, which
// OpenTelemetry's own exporter would make two thirds larger
// (docs/decisions/0055-traces.md), and tries each batch once.
type JSON struct {
	client  *http.Client
	url     string
	headers http.Header
}

// defaultEndpoint is a collector on this machine.
const defaultEndpoint = "http://localhost:4318"

// NewJSON makes a JSON exporter after OTEL_EXPORTER_OTLP_ENDPOINT, HEADERS,
// TIMEOUT and CERTIFICATE, or those of TRACES.
func NewJSON(getenv func(string) string) (*JSON, error) {
	e := &JSON{client: &http.Client{Timeout: 10 * time.Second}, headers: http.Header{}}
	if e.url = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); e.url == "" {
		base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
		if base == "" {
			base = defaultEndpoint
		}
		e.url = strings.TrimSuffix(base, "/") + "/v1/traces"
	}
	if u, err := url.Parse(e.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT %q: want a URL such as %s", e.url, defaultEndpoint)
	}
	if text := ofTraces(getenv, "TIMEOUT"); text != "" {
		milliseconds, err := strconv.Atoi(text)
		if err != nil || milliseconds <= 0 {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT %q: want milliseconds", text)
		}
		e.client.Timeout = time.Duration(milliseconds) * time.Millisecond
	}
	// The form is that of W3C's baggage: name=value, with commas, percent-encoded.
	for pair := range strings.SplitSeq(ofTraces(getenv, "HEADERS"), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS: want name=value, and commas between") // its text may be a secret
		}
		e.headers.Set(strings.TrimSpace(name), value)
	}
	if file := ofTraces(getenv, "CERTIFICATE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		trusted := x509.NewCertPool()
		if !trusted.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s holds no certificate", file)
		}
		e.client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	}
	return e, nil
}

// maxAnswer is what is read of a collector's answer, so that the connection can be used again.
const maxAnswer = 64 << 10

// ExportSpans serves sdk.SpanExporter.
func (e *JSON) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	body, err := json.Marshal(wireOf(spans))
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = e.headers.Clone()
	r.Header.Set("Content-Type", "application/json")
	answer, err := e.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the collector at %s answers %s", e.url, answer.Status)
	}
	return nil
}

// Shutdown serves sdk.SpanExporter.
func (e *JSON) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// The wire form is protobuf's JSON but for ids, which are in hex
// (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
type (
	wireTraces struct {
		ResourceSpans []wireResource `json:"resourceSpans"`
	}
	wireResource struct {
		Resource   wireAttributes `json:"resource"`
		ScopeSpans []wireScope    `json:"scopeSpans"`
	}
	wireAttributes struct {
		Attributes []wireAttribute `json:"attributes"`
	}
	wireScope struct {
		Scope wireName   `json:"scope"`
		Spans []wireSpan `json:"spans"`
	}
	wireName struct {
		Name string `json:"name"`
	}
	wireSpan struct {
		TraceID      string          `json:"traceId"`
		SpanID       string          `json:"spanId"`
		ParentSpanID string          `json:"parentSpanId,omitempty"`
		Flags        uint32          `json:"flags"`
		Name         string          `json:"name"`
		Kind         int             `json:"kind"`
		Start        uint64          `json:"startTimeUnixNano,string"`
		End          uint64          `json:"endTimeUnixNano,string"`
		Attributes   []wireAttribute `json:"attributes,omitempty"`
		Links        []wireLink      `json:"links,omitempty"`
		Status       wireStatus      `json:"status"`
	}
	wireLink struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
	}
	wireStatus struct {
		Code    int    `json:"code,omitempty"` // 2: error
		Message string `json:"message,omitempty"`
	}
	wireAttribute struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// wireOf has all spans under one resource and one scope, of which a Tracer has no more.
func wireOf(spans []sdk.ReadOnlySpan) wireTraces {
	made := make([]wireSpan, len(spans))
	for i, s := range spans {
		made[i] = wireOfSpan(s)
	}
	return wireTraces{[]wireResource{{
		Resource:   wireAttributes{attributesOf(spans[0].Resource().Attributes())},
		ScopeSpans: []wireScope{{wireName{spans[0].InstrumentationScope().Name}, made}},
	}}}
}

func wireOfSpan(s sdk.ReadOnlySpan) wireSpan {
	is := s.SpanContext()
	out := wireSpan{
		TraceID: is.TraceID().String(), SpanID: is.SpanID().String(), Flags: uint32(is.TraceFlags()),
		Name: s.Name(), Kind: kindOf(s.SpanKind()),
		Start: uint64(s.StartTime().UnixNano()), End: uint64(s.EndTime().UnixNano()), Attributes: attributesOf(s.Attributes()),
	}
	if parent := s.Parent(); parent.HasSpanID() {
		out.ParentSpanID = parent.SpanID().String()
	}
	for _, l := range s.Links() {
		out.Links = append(out.Links, wireLink{l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String()})
	}
	if status := s.Status(); status.Code == codes.Error {
		out.Status = wireStatus{Code: 2, Message: status.Description}
	}
	return out
}

// kindOf is SpanKind of opentelemetry/proto/trace/v1/trace.proto.
func kindOf(k api.SpanKind) int {
	switch k {
	case api.SpanKindServer:
		return 2
	case api.SpanKindClient:
		return 3
	}
	return 1
}

func attributesOf(all []attribute.KeyValue) []wireAttribute {
	var out []wireAttribute
	for _, a := range all {
		var value map[string]any
		switch a.Value.Type() {
		case attribute.BOOL:
			value = map[string]any{"boolValue": a.Value.AsBool()}
		case attribute.INT64:
			value = map[string]any{"intValue": strconv.FormatInt(a.Value.AsInt64(), 10)}
		default:
			value = map[string]any{"stringValue": a.Value.String()}
		}
		out = append(out, wireAttribute{string(a.Key), value})
	}
	return out
}
