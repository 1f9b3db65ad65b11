// Command app is what the pods of the tests run: hello ends at once, serve uses
// AWS the way any program does, through the official SDK with nothing set.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "hello":
		host, err := os.Hostname()
		fmt.Println("hello from", host)
		return err
	case len(args) == 3 && args[0] == "serve":
		r := &reader{bucket: args[1], key: args[2]}
		go r.run()
		mux := http.NewServeMux()
		mux.HandleFunc("GET /status", r.serveStatus)
		mux.HandleFunc("POST /ask", serveAsk)
		s := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
		return s.ListenAndServe()
	}
	return fmt.Errorf("usage: app hello | app serve BUCKET KEY")
}
