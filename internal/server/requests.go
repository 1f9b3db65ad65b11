package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/podid/podid/internal/awswire"
)

// door gives each request its id, and writes one line about it when it is
// answered.
func (s *server) door(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx := awswire.WithRequestID(r.Context())
		counted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(counted, r.WithContext(ctx))
		s.metrics.watch(name, counted, began)
		level := slog.LevelDebug
		if counted.status >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		s.config.Logger.LogAttrs(ctx, level, "request", slog.String("door", name), slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", counted.status), slog.Duration("took", time.Since(began)), slog.String("source", r.RemoteAddr),
			slog.String("request_id", awswire.RequestID(ctx)))
	})
}

// statusWriter remembers how a request was answered.
type statusWriter struct {
	http.ResponseWriter
	status  int
	flushed bool // it is a stream
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// FlushError serves http.ResponseController.
func (w *statusWriter) FlushError() error {
	w.flushed = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
