package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// serveBare is the least that a net/http server can do to answer as the agent
// does: the same body, which comes on standard input, and the same headers.
func serveBare(ctx context.Context, _ []string) error {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	length := strconv.Itoa(len(body))
	return serve(ctx, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", length)
		w.Write(body)
	})})
}

// serve serves on a free port, and says on standard output which.
func serve(ctx context.Context, s *http.Server) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
