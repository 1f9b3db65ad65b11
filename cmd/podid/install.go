package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/internal/install"
)

// installing is what the flags of podid install say.
type installing struct {
	settings            install.Settings
	kubeconfig, context string
	check, dryRun       bool
	force, skipAWS      bool
	output              string
}

func newInstall() *cobra.Command {
	i := new(installing)
	cmd := &cobra.Command{
		Use:   "install --cluster-name NAME --region REGION --account-id ACCOUNT",
		Short: "Put podid into a Kubernetes cluster, or say what is in its way",
		Long: `Apply podid's manifests to the cluster of the current kubeconfig context, after looking at whether podid can
work there: the API server's version, its tokens, your rights, the webhooks, the agents, clocks, and access to AWS.

--check only looks, at a cluster with podid or without, and changes nothing. --dry-run prints the manifests, and asks
no cluster. Who needs other settings than these uses the chart, charts/podid, from which the manifests are made.

Exit status 1: it did not succeed, or a check failed. Warnings change nothing about it.`,
		Example: `  podid install --check
  podid install --cluster-name prod --region eu-central-1 --account-id 111122223333 --image registry.example/podid:v1 \
    --agent-image registry.example/podid-agent:v1 --dry-run > podid.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&i.settings.Cluster.Name, "cluster-name", "", "name of the cluster: in ARNs, session tags and external IDs")
	f.StringVar(&i.settings.Cluster.Region, "region", os.Getenv("AWS_REGION"), "region of the cluster ($AWS_REGION)")
	f.StringVar(&i.settings.Cluster.AccountID, "account-id", "", "account that the cluster's Pod Identity roles are in")
	f.StringVar(&i.settings.Image, "image", "", "image of the server (default: podid:dev)")
	f.StringVar(&i.settings.AgentImage, "agent-image", "", "image of the agent (default: podid-agent:dev)")
	f.StringVar(&i.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, or else ~/.kube/config)")
	f.StringVar(&i.context, "context", "", "context of the kubeconfig (default: the current one)")
	f.BoolVar(&i.check, "check", false, "only look, and change nothing")
	f.BoolVar(&i.dryRun, "dry-run", false, "only print the manifests")
	f.BoolVar(&i.force, "force", false, "install though a check fails, and take over fields that others manage")
	f.BoolVar(&i.skipAWS, "skip-aws", false, "do not ask AWS who this machine is")
	outputFlag(cmd, &i.output, "json", "yaml")
	cmd.MarkFlagsMutuallyExclusive("check", "dry-run")
	return cmd
}

func (i *installing) run(cmd *cobra.Command) error {
	if i.dryRun {
		manifests, err := install.Manifests(i.settings)
		if err != nil {
			return err
		}
		_, err = io.WriteString(cmd.OutOrStdout(), manifests)
		return err
	}
	// What is missing is said before anything is looked at.
	var manifests string
	var err error
	if !i.check {
		if manifests, err = install.Manifests(i.settings); err != nil {
			return err
		}
	}
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	log.SetLogger(logr.Discard()) // or else the library complains that nobody did
	api, err := i.cluster()
	if err != nil {
		return err
	}
	report, err := i.look(ctx, api)
	if err != nil {
		return err
	}
	// Standard output is for what was asked for: the report, or what was applied.
	w := cmd.ErrOrStderr()
	if i.check {
		w = cmd.OutOrStdout()
	}
	if err := write(w, i.output, report, func() error { return printChecks(w, report) }); err != nil {
		return err
	}
	switch {
	case i.check && report.Failed():
		return exitStatus(1)
	case i.check:
		return nil
	case report.Failed() && !i.force:
		return errors.New("nothing was changed: mend what failed above, or add --force")
	}
	return install.Apply(ctx, api, manifests, i.force, func(object string) { fmt.Fprintln(cmd.OutOrStdout(), "applied", object) })
}

// cluster is the one that kubectl would talk to.
func (i *installing) cluster() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = i.kubeconfig
	api, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: i.context}).ClientConfig()
	if err != nil {
		return nil, err
	}
	api.UserAgent = "podid-install"
	// There are a few hundred questions, asked once.
	api.QPS, api.Burst = 100, 200
	return api, nil
}

func (i *installing) look(ctx context.Context, api *rest.Config) (*install.Report, error) {
	c := install.CheckConfig{API: api, AccountID: i.settings.Cluster.AccountID}
	if !i.skipAWS {
		found, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w; --skip-aws leaves AWS out", err)
		}
		if i.settings.Cluster.Region != "" {
			found.Region = i.settings.Cluster.Region
		}
		c.AWS = &found
	}
	return install.Run(ctx, c)
}

// printChecks prints a report for people.
func printChecks(w io.Writer, r *install.Report) error {
	fmt.Fprintf(w, "%s\n\n", r.APIServer)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		fmt.Fprintf(t, "%s\t%s\t%s\n", c.Status, c.Name, c.Found)
		if c.Do != "" {
			fmt.Fprintf(t, "\t\t→ %s\n", c.Do)
		}
	}
	return t.Flush()
}
