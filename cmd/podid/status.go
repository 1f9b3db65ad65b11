package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/devenv"
)

// newStatus answers whether podid is healthy: podid dev by what it says of
// itself, a Kubernetes cluster by what podid install --check sees of it.
func newStatus() *cobra.Command {
	var where target
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether podid is healthy, and what to do if it is not",
		Long: `Say whether podid is healthy. Of podid dev: its server, its agents, what waits for STS. Of a Kubernetes cluster: what
podid install --check looks at, with the rights of the user of the kubeconfig; AWS is not asked.

The exit status is 1 if something is broken. Warnings change nothing about it.`,
		Example: "  podid status\n  kubectl podid status -o json",
		Args:    cobra.NoArgs,
		RunE: where.at(func(cmd *cobra.Command, at place, _ []string) error {
			switch at {
			case atDev:
				return statusOfDev(cmd, output)
			case atCluster:
				log.SetLogger(logr.Discard()) // or else the library complains that nobody did
				i := installing{kubeconfig: where.kube.File, context: where.kube.Context, check: true, skipAWS: true, output: output}
				return i.run(cmd)
			}
			return errNowhere()
		}),
	}
	where.add(cmd)
	outputFlag(cmd, &output, "json", "yaml")
	return cmd
}

func statusOfDev(cmd *cobra.Command, output string) error {
	dev, err := devenv.ClientFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	var health console.Health
	if err := dev.Console(cmd.Context(), "/health", &health); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if err := write(w, output, health, func() error { return printHealth(w, health) }); err != nil {
		return err
	}
	if health.Verdict == "critical" {
		return exitStatus(1)
	}
	return nil
}

// printHealth prints for people what is wrong first, and then what there is.
func printHealth(w io.Writer, h console.Health) error {
	fmt.Fprintln(w, h.Verdict)
	for _, f := range h.Findings {
		fmt.Fprintf(w, "%s: %s\n", f.Severity, f.Text)
		if f.Do != "" {
			fmt.Fprintf(w, "  → %s\n", f.Do)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nSERVER\tVERSION\tREADY\tASSOCIATIONS\tAGENTS\tSTS CALLS\tTHROTTLED\tWAITING")
	for _, r := range h.Replicas {
		fmt.Fprintf(t, "%s\t%s\t%t\t%d\t%d\t%d\t%d\t%d\n", r.Name, r.Version, r.Ready, r.Associations, r.Agents, r.Chains.Assumptions, r.Chains.Throttled, r.Chains.Queue)
	}
	fmt.Fprintln(t, "\nAGENT OF NODE\tVERSION\tLISTENING\tPODS\tHITS\tMISSES")
	for _, a := range h.Agents {
		cache := console.AgentCache{}
		if a.Cache != nil {
			cache = *a.Cache
		}
		fmt.Fprintf(t, "%s\t%s\t%t\t%d\t%d\t%d\n", a.Node, a.Version, a.Listening, cache.Pods, cache.Hits, cache.Misses)
	}
	return t.Flush()
}
