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
       podid-agent version

podid-agent server --help lists the flags
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
	switch args[0] {
	case "server":
		o, err := parseOptions(args[1:], stderr)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return 0
		case err != nil:
			fmt.Fprintf(stderr, "podid-agent: %v\n", err)
			return 2
		}
		if err := serve(ctx, o, stderr); err != nil {
			fmt.Fprintf(stderr, "podid-agent: %v\n", err)
			return 1
		}
		return 0
	case "version", "--version":
		fmt.Fprintf(stdout, "podid-agent %s %s %s/%s\n", versionOrModule(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	case "help", "--help", "-h":
		io.WriteString(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "podid-agent: no command %q\n%s", args[0], usage)
	return 2
}

func versionOrModule() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		return info.Main.Version
	}
	return version
}
