package server

import (
	"log/slog"
	"net/http"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/httpd"
)

// door gives each request its id, and counts it and writes one line about it
// when it is answered.
func (s *server) door(name string, h http.Handler) http.Handler {
	watched := httpd.Watch(h, func(r *http.Request, a httpd.Answer) {
		s.metrics.Answered(name, a)
		level := slog.LevelDebug
		if a.Status >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		if !s.config.Logger.Enabled(r.Context(), level) {
			return
		}
		s.config.Logger.LogAttrs(r.Context(), level, "request", slog.String("door", name), slog.String("method", r.Method), slog.String("path", audit.Redact(r.URL.Path)),
			slog.Int("status", a.Status), slog.Duration("took", a.Took), slog.String("source", r.RemoteAddr),
			slog.String("request_id", awswire.RequestID(r.Context())))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched.ServeHTTP(w, r.WithContext(awswire.WithRequestID(r.Context())))
	})
}
