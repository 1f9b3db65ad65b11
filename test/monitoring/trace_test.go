//go:build linux

package monitoring_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/trace/otlp"
)

// span is one that a collector got.
type span struct {
	*otlptrace.Span
	service string
}

func (s span) attribute(key string) string { return valueOf(s.Attributes, key) }

func valueOf(all []*common.KeyValue, key string) string {
	for _, a := range all {
		if a.Key == key {
			switch v := a.Value.Value.(type) {
			case *common.AnyValue_StringValue:
				return v.StringValue
			case *common.AnyValue_BoolValue:
				return fmt.Sprint(v.BoolValue)
			case *common.AnyValue_IntValue:
				return fmt.Sprint(v.IntValue)
			}
		}
	}
	return ""
}

// collector takes OTLP over HTTP, as protobuf and as JSON, and nothing that is
// not exactly that.
type collector struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	spans []span
	raw   strings.Builder
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		c.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return
	}
	data := &otlptrace.TracesData{} // the same on the wire as ExportTraceServiceRequest
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case "application/x-protobuf":
		err = proto.Unmarshal(body, data)
	case "application/json":
		err = unmarshalJSON(body, data)
	default:
		err = fmt.Errorf("content type %q", media)
	}
	if err != nil {
		c.t.Errorf("spans that cannot be read: %v\n%s", err, body)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.WriteString(protojson.Format(data))
	for _, of := range data.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, span{s, valueOf(of.Resource.Attributes, "service.name")})
			}
		}
	}
}

// unmarshalJSON reads OTLP's JSON: protobuf's own, but for ids in hex.
func unmarshalJSON(body []byte, to proto.Message) error {
	var whole any
	if err := json.Unmarshal(body, &whole); err != nil {
		return err
	}
	var mend func(any) error
	mend = func(in any) error {
		switch v := in.(type) {
		case []any:
			for _, each := range v {
				if err := mend(each); err != nil {
					return err
				}
			}
		case map[string]any:
			for key, each := range v {
				if text, ok := each.(string); ok && slices.Contains([]string{"traceId", "spanId", "parentSpanId"}, key) {
					id, err := hex.DecodeString(text)
					if err != nil {
						return err
					}
					v[key] = base64.StdEncoding.EncodeToString(id)
				} else if err := mend(each); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := mend(whole); err != nil {
		return err
	}
	mended, err := json.Marshal(whole)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(mended, to)
}

// got returns the spans of one trace, or of all.
func (c *collector) got(traceID []byte) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s span) bool { return traceID != nil && string(s.TraceId) != string(traceID) })
}

// find returns the spans of that name that are right below parent.
func find(all []span, name string, parent []byte) (found []span) {
	for _, s := range all {
		if s.Name == name && string(s.ParentSpanId) == string(parent) {
			found = append(found, s)
		}
	}
	return found
}

// TestTraces: the request of a pod is one trace from the agent to STS; what memory
// answers is one span; nothing secret is in any.
func TestTraces(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	tracer, err := otlp.Tracer(t.Context(), "podid", "v0.0.0-test", slog.New(slog.DiscardHandler))
	if err != nil || tracer == nil {
		t.Fatal(tracer, err)
	}
	info := developmentWith(t, devenv.Config{Tracer: tracer})
	n := agent(t, info, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_BSP_SCHEDULE_DELAY=20", "OTEL_RESOURCE_ATTRIBUTES=k8s.node.name=node-1")

	// What it was given before it heard of changes it would ask for once more.
	until(t, "the agent listens", func() bool {
		return scrape(t, n.metrics)["podid_agent_listening"].GetMetric()[0].GetGauge().GetValue() == 1
	})

	good := token(t, info, info.ServiceAccount, "app-0")
	if status := ask(t, n, good); status != http.StatusOK {
		t.Fatal(status)
	}
	root := c.one(t, "miss")
	until(t, "all of the trace is there", func() bool { return len(c.got(root.TraceId)) >= 14 })
	all := c.got(root.TraceId)
	below := func(parent span, service, name string, n int) span {
		t.Helper()
		found := find(all, name, parent.SpanId)
		if len(found) != n {
			t.Fatalf("%d spans %q below %q, want %d of %v", len(found), name, parent.Name, n, names(all))
		}
		for _, s := range found {
			if s.service != service || s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano < parent.StartTimeUnixNano {
				t.Errorf("%q is of %s, from %d to %d", name, s.service, s.StartTimeUnixNano, s.EndTimeUnixNano)
			}
		}
		return found[n-1]
	}
	call := below(root, "podid-agent", "EKS Auth/AssumeRoleForPodIdentity", 1)
	try := below(call, "podid-agent", "POST", 1)
	door := below(try, "podid", "POST /clusters/{name}/assume-role-for-pod-identity", 1)
	below(door, "podid", "verify token", 1)
	below(door, "podid", "look up association", 1)
	below(door, "podid", "write audit event", 1)
	chain := below(door, "podid", "role chain", 1)
	for _, hop := range []string{"1", "2"} {
		i := slices.IndexFunc(all, func(s span) bool { return s.Name == "role assumption" && s.attribute("podid.hop") == hop })
		if i < 0 || string(all[i].ParentSpanId) != string(door.SpanId) && string(all[i].ParentSpanId) != string(chain.SpanId) {
			t.Fatalf("no hop %s below the chain: %v", hop, names(all))
		}
		below(all[i], "podid", "wait for a turn at STS", 1)
		sts := below(all[i], "podid", "STS/AssumeRole", 1)
		if sts.Kind != otlptrace.Span_SPAN_KIND_CLIENT || sts.attribute("rpc.service") != "STS" {
			t.Errorf("the call of hop %s: %v", hop, sts)
		}
	}
	if door.attribute("k8s.pod.name") != "app-0" || door.attribute("http.response.status_code") != "200" || root.Kind != otlptrace.Span_SPAN_KIND_SERVER {
		t.Errorf("the door says %v", door.Attributes)
	}

	if status := ask(t, n, good); status != http.StatusOK {
		t.Fatal(status)
	}
	hit := c.one(t, "hit")
	refused := token(t, info, "nobody", "other-0")
	ask(t, n, refused)
	until(t, "the refusal is there", func() bool {
		return slices.ContainsFunc(c.got(nil), func(s span) bool {
			return s.Name == "look up association" && s.Status.GetCode() == otlptrace.Status_STATUS_CODE_ERROR && s.attribute("error.type") == "not found"
		})
	})
	if others := c.got(hit.TraceId); len(others) != 1 {
		t.Errorf("what memory answers is %v", names(others))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	own := info.Administrator(info.Cluster.AccountID)
	for _, secret := range []string{good, refused, strings.Split(good, ".")[2], own.SecretAccessKey.Reveal(), "SessionToken", "Bearer"} {
		if strings.Contains(c.raw.String(), secret) {
			t.Errorf("spans hold a secret: %.20s...", secret)
		}
	}
}

// one waits for the agent's span of a request that was answered from source.
func (c *collector) one(t *testing.T, source string) (found span) {
	t.Helper()
	until(t, "a span of a "+source, func() bool {
		i := slices.IndexFunc(c.got(nil), func(s span) bool { return s.Name == "GET /v1/credentials" && s.attribute("podid.source") == source })
		if i >= 0 {
			found = c.got(nil)[i]
		}
		return i >= 0
	})
	if len(found.ParentSpanId) != 0 || found.service != "podid-agent" {
		t.Errorf("the span of a %s is of %s, below %x", source, found.service, found.ParentSpanId)
	}
	return found
}

func names(all []span) (out []string) {
	for _, s := range all {
		out = append(out, fmt.Sprintf("%s %s %x<%x", s.service, s.Name, s.SpanId, s.ParentSpanId))
	}
	return out
}
