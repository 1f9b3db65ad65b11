package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/podid/podid/internal/demo"
)

// demoProgress prints each step as it ends: for people on stdout, and beside
// JSON on stderr, where it does not disturb.
func demoProgress(cmd *cobra.Command, output string) func(demo.Step) {
	w := cmd.OutOrStdout()
	if output != "" {
		w = cmd.ErrOrStderr()
	}
	green, red, dim, bold, plain := "", "", "", "", ""
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		green, red, dim, bold, plain = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
	}
	part := ""
	return func(s demo.Step) {
		if s.Part != part {
			part = s.Part
			fmt.Fprintf(w, "\n%s%s%s\n", bold, part, plain)
		}
		mark := green + "✓" + plain
		if !s.OK {
			mark = red + "✗" + plain
		}
		fmt.Fprintf(w, "\n  %s %s\n", mark, s.Title)
		if s.Command != "" {
			fmt.Fprintf(w, "    %s$ %s%s\n", dim, s.Command, plain)
		}
		for _, line := range s.Detail {
			fmt.Fprintf(w, "    %s%s%s\n", dim, line, plain)
		}
		fmt.Fprintf(w, "    → %s\n", s.Got)
		if !s.OK {
			fmt.Fprintf(w, "    %sshould be: %s%s\n", red, s.Want, plain)
		}
	}
}
