//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/agent/link"
)

// state tells others how the agent does.
type state struct {
	agent   *agent.Agent
	options *options
}

// probes answers the kubelet. Alive is whoever answers; a server that is away
// is no reason to restart the agent, which has credentials to hand out.
func (s *state) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.notReady(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
		h := s.agent.Health()
		if !h.Failing.IsZero() {
			fmt.Fprintf(w, "EKS Auth has not answered for %v: %v; pods get what is cached\n", time.Since(h.Failing).Round(time.Second), h.Failure)
		}
		switch {
		case h.Listening || h.Deaf == nil:
		case h.Heard.IsZero():
			fmt.Fprintf(w, "changes of associations are not heard: %v\n", h.Deaf)
		default:
			fmt.Fprintf(w, "changes of associations have not been heard for %v: %v\n", time.Since(h.Heard).Round(time.Second), h.Deaf)
		}
	})
	return mux
}

// notReady says what keeps the agent from serving a pod that is new to it. Once
// EKS Auth has been reached, it may be away for a while.
func (s *state) notReady() error {
	missing, err := s.missing()
	health := s.agent.Health()
	switch {
	case !s.agent.Ready():
		return errors.New("not serving yet")
	case err != nil:
		return err
	case len(missing) > 0:
		return fmt.Errorf("on no link of this node: %v; run podid-agent init, or the server with --link create", missing)
	case !health.Reached && health.Failure != nil:
		return fmt.Errorf("EKS Auth has not been reached yet: %w", health.Failure)
	case !health.Reached:
		return errors.New("EKS Auth has not been reached yet")
	}
	return nil
}

// missing returns the addresses that pods ask at in vain.
func (s *state) missing() ([]netip.Addr, error) {
	if s.options.link == linkNone {
		return nil, nil
	}
	return link.Missing(s.options.required())
}

// metrics answers Prometheus in its text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
func (s *state) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.agent.WriteMetrics(w)
		missing, _ := s.missing()
		fmt.Fprintf(w, "# HELP podid_agent_addresses_missing Addresses that pods ask at in vain.\n# TYPE podid_agent_addresses_missing gauge\npodid_agent_addresses_missing %d\n", len(missing))
		writeProcess(w)
	})
	return mux
}
