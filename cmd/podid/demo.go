package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/demo"
)

func newDemo() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story once, on free ports of loopback, and exit",
		Long: `Start everything on free ports of loopback and tell the story of one pod: two accounts, two role
assumptions, an object of the other account read, and then what is refused. Every step is verified;
the exit code is 1 if any differs from what it should be.`,
		Example: "  podid demo\n  podid demo -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			report, err := demo.Run(ctx, demo.Config{Progress: demoProgress(cmd, output), Pod: demoPodCommand()})
			if err != nil {
				return err
			}
			if err := write(cmd.OutOrStdout(), output, report, func() error { return nil }); err != nil {
				return err
			}
			if !report.OK {
				return exitStatus(1)
			}
			return nil
		},
	}
	outputFlag(cmd, &output, "json")
	cmd.AddCommand(&cobra.Command{
		Use: "pod", Hidden: true, Args: cobra.MaximumNArgs(2), Short: "What runs inside the demo's pod",
		RunE: func(cmd *cobra.Command, args []string) error { return demo.Pod(cmd.Context(), cmd.OutOrStdout(), args) },
	})
	return cmd
}

func demoPodCommand() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, "demo", "pod"}
}
