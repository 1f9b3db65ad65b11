package server

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// health is what the kubelet is told.
type health struct {
	// lacks says what is not ready yet; "" where nothing is missing.
	lacks    func() string
	draining atomic.Bool
}

// drain has the cluster stop sending requests.
func (h *health) drain() { h.draining.Store(true) }

// ready returns what is missing; "" where nothing is.
func (h *health) ready() string {
	if h.draining.Load() {
		return "shutting down"
	}
	return h.lacks()
}

func (h *health) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if missing := h.ready(); missing != "" {
			http.Error(w, "not ready: "+missing, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
