package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/trace/otlp"
)

func newDev() *cobra.Command {
	var config devenv.Config
	var worldFile string
	var verbose bool
	var sinks auditSinks
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on loopback: the small AWS, the server and the agent",
		Long: `Run the small AWS (STS, IAM, S3), the association API (EKS), the EKS Auth API and the agent on
loopback, from a world file. It prints how to use it once all of it is ready, and runs until
SIGINT or SIGTERM.`,
		Example: `  # the built-in example: a cluster in account 111122223333, a target role in 444455556666
  podid dev --env-file podid.env

  # your own world, kept on disk, on any free ports
  podid dev --world world.yaml --data ./data --listen 127.0.0.1:0 --agent-listen 127.0.0.1:0 --env-file podid.env

  # the roles of AWS itself, assumed with the credentials of your environment
  podid dev --world world.yaml --aws`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			if worldFile != "" {
				world, err := devenv.ReadWorld(worldFile)
				if err != nil {
					return err
				}
				config.World = world
			}
			config.Version = podidVersion()
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelInfo
			}
			config.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			config.Ready = func(info *devenv.Info) error { return printReady(cmd.OutOrStdout(), info, config.EnvFile) }
			var err error
			if config.Tracer, err = otlp.Tracer(ctx, "podid-dev", config.Version, config.Logger); err != nil {
				return err
			}
			defer config.Tracer.Close()
			if config.Audit, err = sinks.open(nil, config.Logger); err != nil {
				return err
			}
			return sinks.during(ctx, func(ctx context.Context) error { return devenv.Run(ctx, config) })
		},
	}
	sinks.declare(cmd, "the folder of --data, if there is one")
	f := cmd.Flags()
	f.StringVar(&worldFile, "world", "", "world file (default: the built-in example)")
	f.StringVar(&config.DataDir, "data", "", "folder that keeps everything over restarts (default: memory)")
	f.StringVar(&config.Listen, "listen", "127.0.0.1:7300", "address of the AWS APIs; port 0 takes a free one")
	f.StringVar(&config.AgentListen, "agent-listen", "127.0.0.1:7301", "address of the agent; port 0 takes a free one")
	f.StringVar(&config.EnvFile, "env-file", "", "file for a shell to source, written once everything is ready")
	f.BoolVar(&config.AWS, "aws", false, "assume roles at AWS itself, with the default credentials of this environment")
	f.DurationVar(&config.Lease, "lease", 0, "longest time that pods hold credentials before they ask again (default: until these expire)")
	f.BoolVar(&config.ConsoleReadOnly, "console-read-only", false, "the web console refuses changes")
	f.BoolVarP(&verbose, "verbose", "v", false, "log every request")
	return cmd
}

func printReady(w io.Writer, info *devenv.Info, envFile string) error {
	use := "source " + envFile
	if envFile == "" {
		use = "podid dev --env-file podid.env   (in place of this; then: source podid.env)"
	}
	if info.Notice != "" {
		fmt.Fprintf(w, "notice: %s\n\n", info.Notice)
	}
	_, err := fmt.Fprintf(w, `podid dev is ready

  console    %s
  AWS APIs   %s   (STS, IAM, S3, EKS and EKS Auth)
  agent      %s
  cluster    %s
  decisions  %s/_podid/decisions

In another shell:
  %s
  aws eks list-pod-identity-associations --cluster-name %s
  podid exec -n %s -s %s -- aws sts get-caller-identity

Stop with Ctrl-C
`, info.URL+console.Path, info.URL, info.AgentURL, info.Cluster.ARN(), info.URL, use, info.Cluster.Name, info.Namespace, info.ServiceAccount)
	return err
}
