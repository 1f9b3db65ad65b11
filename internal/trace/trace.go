// Package trace follows requests from the agent to STS, as OpenTelemetry's
// spans. Whoever begins a trace has a Tracer; everybody below it finds the span
// in the context, and does nothing where there is none. No token and no secret
// is ever said of a span.
package trace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
)

// Config says who traces. Service and Exporter are required.
type Config struct {
	// Service is the name of the program, unless OTEL_SERVICE_NAME says another.
	Service string
	// Version is the program's.
	Version string
	// Exporter sends spans away. A span that finds 2,048 others waiting for it is
	// dropped (OTEL_BSP_MAX_QUEUE_SIZE).
	Exporter sdk.SpanExporter
	// Logger takes what goes wrong with it; the process has one for all Tracers,
	// as OpenTelemetry has. Nil: nowhere.
	Logger *slog.Logger
}

// Tracer begins traces. Nil is a Tracer that begins none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   api.Tracer
	logger   *slog.Logger
}

// scope is what spans say of who made them.
const scope = "github.com/podid/podid"

// New makes a Tracer. OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_SPAN_* and
// OTEL_RESOURCE_ATTRIBUTES count as they do everywhere
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Close it.
func New(ctx context.Context, c Config) (*Tracer, error) {
	if c.Service == "" || c.Exporter == nil {
		return nil, errors.New("trace: Service and Exporter are required")
	}
	what, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Logger.Warn("traces", "error", err) }))
	p := sdk.NewTracerProvider(sdk.WithBatcher(c.Exporter), sdk.WithResource(what))
	return &Tracer{p, p.Tracer(scope), c.Logger}, nil
}

// closeTime bounds how long the last spans may take to leave.
const closeTime = 3 * time.Second

// Close sends what has not been sent yet. That this fails is logged, and no
// failure of the program.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.logger.Warn("the last spans are lost", "error", err)
	}
}

// Begin begins a trace of something that nobody asked for.
func (t *Tracer) Begin(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name, api.WithNewRoot())
	return ctx, Span{span}
}

// Door makes a span of each request that h answers: of a trace of its own, or
// where it continues, of the one that the request names in W3C's form
// (https://www.w3.org/TR/trace-context/).
func (t *Tracer) Door(method, route string, continues bool, h http.Handler) http.Handler {
	if t == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, root := r.Context(), api.WithNewRoot()
		options := []api.SpanStartOption{api.WithSpanKind(api.SpanKindServer)}
		if continues {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		} else {
			options = append(options, root)
		}
		ctx, started := t.tracer.Start(ctx, method+" "+route, options...)
		span := Span{started}
		span.Set("http.request.method", method)
		span.Set("http.route", route)
		httpd.Watch(h, func(_ *http.Request, a httpd.Answer) { span.EndHTTP(a.Status, Server) }).ServeHTTP(w, r.WithContext(ctx))
	})
}

// Kind is the part of its process in what a span is of.
type Kind api.SpanKind

// The kinds.
const (
	Internal = Kind(api.SpanKindInternal)
	Server   = Kind(api.SpanKindServer)
	Client   = Kind(api.SpanKindClient)
)

// Start begins a span below that of ctx, if there is one.
func Start(ctx context.Context, name string, kind Kind) (context.Context, Span) {
	parent := api.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, api.WithSpanKind(api.SpanKind(kind)))
	return ctx, Span{span}
}

// Span is something that takes time. The zero Span is none.
type Span struct{ span api.Span }

// Of returns the span of ctx.
func Of(ctx context.Context) Span {
	if span := api.SpanFromContext(ctx); span.SpanContext().IsSampled() {
		return Span{span}
	}
	return Span{}
}

// In returns ctx with s as its span, for work that outlives what s is of.
func (s Span) In(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return api.ContextWithSpan(ctx, s.span)
}

// Set says something of s. Nothing that is said may be a secret.
func (s Span) Set(key, value string) {
	if s.span != nil && value != "" {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetInt says a number of s.
func (s Span) SetInt(key string, value int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// SetBool says whether something is so.
func (s Span) SetBool(key string, value bool) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Bool(key, value))
	}
}

// End ends s. Of an error it says what may be shown to whoever asked.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if e, ok := errors.AsType[*identity.Error](err); ok {
		s.Fail(e.Kind.String(), identity.SafeMessage(err))
	} else if err != nil {
		s.Fail("_OTHER", "")
	}
	s.span.End()
}

// Fail says that s failed, and how.
func (s Span) Fail(kind, text string) {
	if s.span != nil {
		s.span.SetStatus(codes.Error, text)
		s.span.SetAttributes(attribute.String("error.type", kind))
	}
}

// Link says that s waits for what is done for another.
func (s Span) Link(to Span) {
	if s.span != nil && to.span != nil && s.span.SpanContext().TraceID() != to.span.SpanContext().TraceID() {
		s.span.AddLink(api.Link{SpanContext: to.span.SpanContext()})
	}
}

// EndHTTP ends the span of an HTTP request that was answered with status. A
// server's span says that it failed only where the server did
// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status).
func (s Span) EndHTTP(status int, kind Kind) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError || kind == Client && status >= http.StatusBadRequest {
		s.span.SetStatus(codes.Error, http.StatusText(status))
	}
	s.span.End()
}

// Pass names the trace of ctx in the headers of a request.
func Pass(ctx context.Context, h http.Header) {
	if Of(ctx).span != nil {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	}
}
