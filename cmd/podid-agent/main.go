//go:build linux

// Command podid-agent runs on every node and gives its pods AWS credentials,
// in the place of eks-pod-identity-agent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

const usage = `usage: podid-agent server --cluster-name NAME [flags]
       podid-agent link [flags]
       podid-agent init [flags]
       podid-agent version

server answers the pods of the node
link   keeps the addresses that pods ask at on the node, until it is ended
init   puts these addresses on the node, and leaves them there

podid-agent COMMAND --help lists the flags
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the command without the process: 0 done, 1 failed, 2 not understood.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		io.WriteString(stderr, usage)
		return 2
	}
	command := commands[args[0]]
	switch {
	case args[0] == "version" || args[0] == "--version":
		fmt.Fprintf(stdout, "podid-agent %s %s %s/%s\n", versionOrModule(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	case args[0] == "help" || args[0] == "--help" || args[0] == "-h":
		io.WriteString(stdout, usage)
		return 0
	case command == nil:
		fmt.Fprintf(stderr, "podid-agent: no command %q\n%s", args[0], usage)
		return 2
	}
	err := command(ctx, args[1:], stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(misuse)):
		fmt.Fprintf(stderr, "podid-agent: %v\n", err)
		return 2
	}
	fmt.Fprintf(stderr, "podid-agent: %v\n", err)
	return 1
}

// commands run until they are done or ctx ends, and write to stderr alone.
var commands = map[string]func(ctx context.Context, args []string, stderr io.Writer) error{
	"server":     serve,
	"link":       keepLink,
	"init":       makeLink,
	"initialize": makeLink, // as eks-pod-identity-agent calls it
}

func versionOrModule() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		return info.Main.Version
	}
	return version
}
