// Package httpd is the one way podid runs HTTP servers: with a limit on
// everything a client could drag out, and a shutdown that drains.
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says how a Server serves. Only Handler is required.
type Config struct {
	Handler http.Handler
	// ReadHeaderTimeout is how long a client may take over its headers, from the
	// moment it connects. 0: 5 s.
	ReadHeaderTimeout time.Duration
	// ReadTimeout is the same for the whole request, body included. 0: 30 s.
	ReadTimeout time.Duration
	// WriteTimeout counts from the end of the headers to the end of the answer. 0: 30 s.
	WriteTimeout time.Duration
	// IdleTimeout closes kept-alive connections that ask nothing. 0: 2 min.
	IdleTimeout time.Duration
	// ShutdownTimeout is how long requests under way may go on once ctx has
	// ended. 0: 10 s.
	ShutdownTimeout time.Duration
	// MaxHeaderBytes bounds the request line and headers; net/http itself adds 4 KiB. 0: 64 KiB.
	MaxHeaderBytes int
	// MaxConnections bounds the connections open at once, all listeners
	// together; further ones wait in the kernel's queue. 0: not bounded.
	MaxConnections int
	// TLS secures the connections; with "h2" among its NextProtos, HTTP/2 is
	// spoken. Nil: they are not secured.
	TLS *tls.Config
	// Logger takes what net/http has to say about broken connections. Nil: nowhere.
	Logger *slog.Logger
}

// Server serves one handler on any number of listeners.
type Server struct{ config Config }

// New checks c and fills in its defaults. It starts nothing.
func New(c Config) (*Server, error) {
	if c.Handler == nil {
		return nil, errors.New("httpd: no handler")
	}
	if c.MaxHeaderBytes < 0 || c.MaxConnections < 0 {
		return nil, errors.New("httpd: a negative bound")
	}
	for _, d := range []struct {
		timeout   *time.Duration
		byDefault time.Duration
	}{
		{&c.ReadHeaderTimeout, 5 * time.Second},
		{&c.ReadTimeout, 30 * time.Second},
		{&c.WriteTimeout, 30 * time.Second},
		{&c.IdleTimeout, 2 * time.Minute},
		{&c.ShutdownTimeout, 10 * time.Second},
	} {
		if *d.timeout < 0 {
			return nil, errors.New("httpd: a negative timeout")
		}
		if *d.timeout == 0 {
			*d.timeout = d.byDefault
		}
	}
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = 64 << 10
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{c}, nil
}

// Run serves on the listeners, and closes them, until ctx ends; it then lets
// requests under way finish within ShutdownTimeout and cuts off the rest. It
// returns nil after a shutdown, even one that had to cut.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	c := s.config
	server := &http.Server{
		Handler:           c.Handler,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    c.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelWarn),
	}
	var slots chan struct{}
	if c.MaxConnections > 0 {
		slots = make(chan struct{}, c.MaxConnections)
	}
	group, serving := errgroup.WithContext(ctx)
	for _, listener := range listeners {
		if slots != nil {
			listener = &boundedListener{Listener: listener, slots: slots, closed: make(chan struct{})}
		}
		if c.TLS != nil { // outermost, or net/http would not see HTTP/2 in it
			listener = tls.NewListener(listener, c.TLS)
		}
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-serving.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			c.Logger.Warn("requests were cut off at shutdown", "after", c.ShutdownTimeout)
			server.Close()
		}
		return nil
	})
	return group.Wait()
}
