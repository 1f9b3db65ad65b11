package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/audit"
)

// verification is what podid audit verify found, for -o json.
type verification struct {
	Verdict   string     `json:"verdict"` // "whole" or "broken"
	Lines     int        `json:"lines"`
	Unchained int        `json:"unchained,omitempty"`
	Torn      int        `json:"torn,omitempty"`
	First     uint64     `json:"firstSequence,omitempty"`
	Head      audit.Head `json:"head"`
	File      string     `json:"file,omitempty"` // of the first bad line
	Line      int        `json:"line,omitempty"`
	Fault     string     `json:"fault,omitempty"`
}

func newAuditVerify() *cobra.Command {
	var known []string
	var output string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check that audit files are as they were written, and name the first line that is not",
		Long: `Check the chain of hashes through an audit file and those put aside beside it, oldest first, and that it
comes by the head beside it (FILE.head) and by those that --head names. Each line holds the SHA-256 of the
line before it, so that a line which was changed, removed, moved or put in breaks the chain.

Whoever can write to the files can make the whole chain anew. Heads that were kept elsewhere show that: podid
logs one every ten minutes ("audit head"); give it by --head.

The exit status is 1 if the chain is broken.`,
		Example: `  podid audit verify /var/log/podid/audit.jsonl
  podid audit verify audit.jsonl --head 1712:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			head, err := audit.NotedHead(args[0])
			if err != nil {
				return fmt.Errorf("%s.head: %w", args[0], err)
			}
			heads := []audit.Head{head}
			for _, text := range known {
				if head, err = audit.ParseHead(text); err != nil {
					return fmt.Errorf("--head: %w", err)
				}
				heads = append(heads, head)
			}
			files, err := audit.Files(args[0])
			if err != nil {
				return err
			}
			verdict, err := audit.Verify(files, heads...)
			if err != nil {
				return err
			}
			v, w := verified(verdict), cmd.OutOrStdout()
			if err := write(w, output, v, func() error { return printVerification(w, v) }); err != nil {
				return err
			}
			if verdict.Fault != nil {
				return exitStatus(1)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&known, "head", nil, "head that is known from elsewhere, SEQUENCE:HASH; repeat it for more")
	outputFlag(cmd, &output, "json")
	return cmd
}

func verified(v audit.Verdict) verification {
	found := verification{Verdict: "whole", Lines: v.Lines, Unchained: v.Unchained, Torn: v.Torn, First: v.First.Sequence, Head: v.Head}
	if v.Fault != nil {
		found.Verdict, found.File, found.Line, found.Fault = "broken", v.Fault.File, v.Fault.Line, v.Fault.Text
	}
	return found
}

func printVerification(w io.Writer, v verification) error {
	if v.Fault != "" {
		_, err := fmt.Fprintln(w, "broken: "+(&audit.Fault{File: v.File, Line: v.Line, Text: v.Fault}).Error())
		return err
	}
	fmt.Fprintf(w, "whole: %d lines\n", v.Lines)
	if v.First > 1 {
		fmt.Fprintf(w, "the files begin at line %d of the chain; what came before is not in them\n", v.First)
	}
	if v.Unchained > 0 {
		fmt.Fprintf(w, "%d lines before the chain have no hashes, and are not proven\n", v.Unchained)
	}
	if v.Torn > 0 {
		fmt.Fprintf(w, "%d parts of lines, as crashes leave them, are no events\n", v.Torn)
	}
	if v.Lines == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "head: %s\n", v.Head)
	return err
}
