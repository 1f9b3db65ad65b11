//go:build linux

package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/podid/podid/internal/trace"
)

// tracing makes the Tracer that the environment asks for; nil, if it asks for none.
func tracing(ctx context.Context, logger *slog.Logger) (*trace.Tracer, error) {
	if wanted, err := trace.Wanted(os.Getenv); !wanted || err != nil {
		return nil, err
	}
	exporter, err := trace.NewJSON(os.Getenv)
	if err != nil {
		return nil, err
	}
	return trace.New(ctx, trace.Config{Service: "podid-agent", Version: versionOrModule(), Exporter: exporter, Logger: logger})
}
