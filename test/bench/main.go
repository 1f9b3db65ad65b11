// Command bench measures podid: the agent beside a bare net/http handler and,
// with -stock, beside eks-pod-identity-agent; the server's path; the judge. It
// prints a table with a verdict for each row (docs/benchmarks.md), and draws.
//
// Everything runs on loopback, in turns of a second or less, so that whatever
// else the machine does is the same for all who are compared.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// servers are the processes that bench starts of itself.
var servers = map[string]func(ctx context.Context, args []string) error{"bare": serveBare, "server": serveIssuing}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 0 && servers[args[0]] != nil {
		return servers[args[0]](ctx, args[1:])
	}
	b := &bench{out: stdout}
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&b.agent, "agent", "", "podid-agent `binary` (default: built now)")
	flags.StringVar(&b.stock, "stock", "", "`binary` of eks-pod-identity-agent, to be put beside it")
	flags.StringVar(&b.plots, "plots", "", "`folder` for the plots (default: none are drawn)")
	flags.StringVar(&only, "only", "", "comma-separated `parts` to run: "+strings.Join(partNames(), ", ")+" (default: all)")
	flags.IntVar(&b.rounds, "rounds", 10, "`turns` of each, for the rows measured by turns")
	flags.IntVar(&b.most, "most", 100_000, "the most `pods` of the plots of growth")
	if err := flags.Parse(args); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "podid-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b.folder = folder
	if b.agent == "" {
		b.agent = filepath.Join(folder, "podid-agent")
		if err := build(ctx, b.agent); err != nil {
			return err
		}
	}
	return b.run(ctx, strings.FieldsFunc(only, func(r rune) bool { return r == ',' }))
}

// bench is one run.
type bench struct {
	agent, stock  string // binaries
	folder, plots string
	rounds, most  int
	out           io.Writer
	rows          []row
}

// parts are what there is to measure, in the order of the table.
var parts = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"cached", (*bench).cached},
	{"cold", (*bench).cold},
	{"refused", (*bench).refused},
	{"memory", (*bench).memory},
	{"start", (*bench).start},
	{"server", (*bench).server},
	{"policy", (*bench).policy},
	{"growth", (*bench).growth},
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func (b *bench) run(ctx context.Context, only []string) error {
	for _, name := range only {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("no part %q", name)
		}
	}
	began := time.Now()
	fmt.Fprintln(b.out, conditions())
	for _, p := range parts {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", p.name)
		if err := p.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.table()
	fmt.Fprintf(b.out, "\n%s, in %v\n", conditions(), time.Since(began).Round(time.Second))
	return nil
}
