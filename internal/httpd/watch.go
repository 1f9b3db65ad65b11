package httpd

import (
	"net/http"
	"time"
)

// Answer is how a request was answered.
type Answer struct {
	Status int
	// Stream says that the answer was sent in parts, so that how long it took is
	// a matter of who listens.
	Stream bool
	Took   time.Duration
}

// Watch has told called after each request.
func Watch(h http.Handler, told func(*http.Request, Answer)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		watched := &watchedWriter{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(watched, r)
		told(r, Answer{Status: watched.status, Stream: watched.flushed, Took: time.Since(began)})
	})
}

// watchedWriter remembers how a request was answered.
type watchedWriter struct {
	http.ResponseWriter
	status  int
	flushed bool
}

// WriteHeader serves http.ResponseWriter. What informs (1xx) is no answer yet.
func (w *watchedWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// FlushError serves http.ResponseController.
func (w *watchedWriter) FlushError() error {
	w.flushed = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap serves http.ResponseController.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
