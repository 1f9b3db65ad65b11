package trace

import (
	"fmt"
	"strings"
)

// Wanted tells whether the environment asks for traces: with the endpoint of a
// collector, or with OTEL_TRACES_EXPORTER=otlp for one on this machine. Its error
// says what is asked for in vain.
func Wanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "":
		if ofTraces(getenv, "ENDPOINT") == "" {
			return false, nil
		}
	case "otlp":
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER %q: want otlp or none", exporter)
	}
	switch protocol := ofTraces(getenv, "PROTOCOL"); protocol {
	case "", "http/protobuf", "http/json":
		return true, nil
	default:
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL %q: traces leave by OTLP over HTTP; want http/protobuf and the collector's port for it, mostly 4318", protocol)
	}
}

// ofTraces reads a variable of the exporter: that of traces, or else that of
// all signals (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func ofTraces(getenv func(string) string, name string) string {
	if value := getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); value != "" {
		return value
	}
	return getenv("OTEL_EXPORTER_OTLP_" + name)
}
