// Package otlp exports spans as OpenTelemetry's own exporter does, for programs
// that may be large.
package otlp

import (
	"context"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"

	"github.com/podid/podid/internal/trace"
)

// Tracer makes the Tracer that the environment asks for; nil, if it asks for none.
func Tracer(ctx context.Context, service, version string, logger *slog.Logger) (*trace.Tracer, error) {
	if wanted, err := trace.Wanted(os.Getenv); !wanted || err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	return trace.New(ctx, trace.Config{Service: service, Version: version, Exporter: exporter, Logger: logger})
}
