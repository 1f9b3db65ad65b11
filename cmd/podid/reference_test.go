package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md")

// TestReference wants docs/reference/cli.md to be what the commands say of
// themselves; make generate writes it.
func TestReference(t *testing.T) {
	for _, name := range []string{"PODID_CLUSTER", "AWS_REGION"} { // defaults of flags
		t.Setenv(name, "")
	}
	const path = "../../docs/reference/cli.md"
	want := reference(newRoot())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not what the commands say: run make generate (%v)", path, err)
	}
}

const referenceIntroduction = `<!-- Written by make generate from the commands themselves. -->
# Commands

What ` + "`podid COMMAND --help`" + ` says, all on one page. ` + "`kubectl podid`" + ` has the same commands ([kubectl.md](../kubectl.md)); those of
` + "`podid-agent`" + ` are in [agent.md](../agent.md).

`

// reference is the page of root and all below it.
func reference(root *cobra.Command) string {
	root.InitDefaultCompletionCmd()
	var toc, body strings.Builder
	toc.WriteString("| command | |\n|---|---|\n")
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if !sub.IsAvailableCommand() || sub.Name() == "help" {
				continue
			}
			if sub.Runnable() {
				fmt.Fprintf(&toc, "| [`%s`](#%s) | %s |\n", sub.CommandPath(), strings.ReplaceAll(sub.CommandPath(), " ", "-"), sub.Short)
				describe(&body, sub)
			}
			walk(sub)
		}
	}
	walk(root)
	return referenceIntroduction + toc.String() + body.String()
}

// describe writes the section of a command.
func describe(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
	block := func(title, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(b, "\n%s:\n\n```text\n%s\n```\n", title, text)
		}
	}
	if cmd.Long != "" {
		b.WriteString("\n```text\n" + strings.TrimSpace(cmd.Long) + "\n```\n")
	}
	block("Usage", cmd.UseLine())
	block("Examples", cmd.Example)
	cmd.InitDefaultHelpFlag()
	block("Flags", cmd.NonInheritedFlags().FlagUsages())
	block("Shared flags", cmd.InheritedFlags().FlagUsages())
}

// TestManPages wants a page for each command, of which man finds nothing to complain.
func TestManPages(t *testing.T) {
	folder := t.TempDir()
	if status, _, stderr := podid("man", folder); status != 0 {
		t.Fatal(stderr)
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.1"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	man, err := exec.LookPath("man")
	if err != nil {
		t.Log("** no man on this machine: the pages are NOT LOOKED AT **")
		return
	}
	for _, page := range pages {
		cmd := exec.Command(man, "--warnings=all", "-l", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=100", "LC_ALL=C.UTF-8")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 || !strings.Contains(string(out), "SYNOPSIS") {
			t.Errorf("man -l %s: %v\n%s", filepath.Base(page), err, complaints.String())
		}
	}
}
