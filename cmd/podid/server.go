package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/internal/server"
	"github.com/podid/podid/internal/sts"
	"github.com/podid/podid/internal/trace/otlp"
)

// serverOptions are the flags that are not fields of server.Config as they stand.
type serverOptions struct {
	kubeconfig, ownServiceAccount, agentServiceAccount, verification, stsEndpoint, firstHop, prewarm string

	verifyChains, passTargetRole, verbose bool

	audit  auditSinks
	config server.Config
}

func newServer() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "server --cluster-name NAME --region REGION --account-id ACCOUNT",
		Short: "Run podid in a Kubernetes cluster: its APIs, webhooks and controller",
		Long: `Run one replica of podid's server in a Kubernetes cluster: the EKS Auth API for the agents, the
association API for the AWS CLI and Terraform, the admission webhooks and the controller of
PodIdentityAssociations. Replicas share nothing but the API server. The chart runs it; its own AWS
credentials are those of the AWS SDK's default chain.

It runs until SIGTERM, then finishes what it has begun. Audit events go to stdout, unless a file or
a required webhook keeps them; the log goes to stderr.`,
		Example: `  podid server --cluster-name prod --region eu-central-1 --account-id 111122223333

  # against a small AWS, as the service pods.eks.amazonaws.com
  podid server --cluster-name example-cluster --region us-west-2 --account-id 111122223333 \
    --sts-endpoint http://small-aws.default.svc:7300 --first-hop service`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			level := slog.LevelInfo
			if o.verbose {
				level = slog.LevelDebug
			}
			o.config.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			// Kubernetes' libraries have loggers of their own, one for each process.
			klog.SetSlogLogger(o.config.Logger)
			ctrllog.SetLogger(logr.FromSlogHandler(o.config.Logger.Handler()))
			if err := o.complete(cmd); err != nil {
				return err
			}
			tracer, err := otlp.Tracer(ctx, "podid", o.config.Version, o.config.Logger)
			if err != nil {
				return err
			}
			o.config.Tracer = tracer
			defer tracer.Close()
			if o.config.Audit, err = o.audit.open(cmd.OutOrStdout(), o.config.Logger); err != nil {
				return err
			}
			if o.audit.sending != nil {
				o.config.AuditWebhook = o.audit.sending.Stats
			}
			return o.audit.during(ctx, func(ctx context.Context) error { return server.Run(ctx, o.config) })
		},
	}
	o.declare(cmd)
	return cmd
}

func (o *serverOptions) declare(cmd *cobra.Command) {
	f, c := cmd.Flags(), &o.config
	f.StringVar(&c.Cluster.Name, "cluster-name", "", "name of this cluster, as roles' trust policies and agents know it")
	f.StringVar(&c.Cluster.Region, "region", "", "AWS region that the cluster counts to")
	f.StringVar(&c.Cluster.AccountID, "account-id", "", "AWS account of the cluster and of its Pod Identity roles")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server (default: as a pod of the cluster)")
	f.StringVar(&c.Endpoint, "api-server-endpoint", "", "URL of the API server that DescribeCluster tells (default: the one used here)")
	f.StringVar(&c.Namespace, "namespace", "podid-system", "namespace of the server itself")
	f.StringVar(&c.KeyNamespace, "access-key-namespace", "podid-access-keys", "namespace of the Secrets that hold access keys")
	f.StringVar(&o.ownServiceAccount, "own-service-account", "podid-system/podid", "service account of the server itself, NAMESPACE/NAME")
	f.StringVar(&c.Pod, "pod-uid", "", "uid of the pod that this replica runs in, by which replicas know each other; without it they ask the API server about every pod whose service account has no association")
	f.StringVar(&o.agentServiceAccount, "agent-service-account", "podid-agent/podid-agent", "service account of the agents, NAMESPACE/NAME")
	f.StringVar(&c.AgentAudience, "agent-audience", server.DefaultAgentAudience, "audience of the agents' own tokens")
	f.StringVar(&o.verification, "token-verification", string(server.TokenReview), "how pods' tokens are verified: tokenreview asks the API server, jwks uses the cluster's public keys")
	f.StringVar(&o.stsEndpoint, "sts-endpoint", "", "URL of STS and IAM, such as that of a small AWS (default: AWS's own)")
	f.StringVar(&o.firstHop, "first-hop", "identity", "as whom Pod Identity roles are assumed: identity is podid's own in AWS, service is pods.eks.amazonaws.com, on the small AWS")
	f.DurationVar(&c.STS.FirstHopDuration, "first-hop-duration", time.Hour, "longest session of Pod Identity roles; an hour, where podid's own identity is a role")
	f.Float64Var(&c.STSRate, "sts-rate", 0, "role assumptions a second that are never exceeded; below that, STS's throttling is learned from (default 500)")
	f.DurationVar(&c.Lease, "lease", 0, "how long pods may hold credentials before they ask again; 0: until they expire")
	f.StringVar(&o.prewarm, "prewarm", "off", "make credentials ready when a pod is bound to a node: off, on, or namespaces with commas")
	f.BoolVar(&c.RemoveTaint, "remove-taint", false, "remove the taint podid.dev/agent-not-ready from nodes whose agent is ready")
	f.BoolVar(&o.verifyChains, "verify-chains", true, "try the chain of each association when it changes, and now and then")
	f.BoolVar(&o.passTargetRole, "pass-target-role", true, "ask for the verb pass on target roles too")
	f.BoolVar(&c.ACK, "ack", false, "take associations also from the objects of ACK's EKS controller (the chart's server.ack sets up what goes with it)")
	f.StringVar(&c.Pods.CredentialsURI, "credentials-uri", "", "where pods find the agent, such as http://[fd00:ec2::23]/v1/credentials in an IPv6 cluster (default: http://169.254.170.23/v1/credentials)")
	f.StringVar(&c.Pods.Region, "pod-region", "", "AWS region set in pods that name none (default: that of the cluster; - sets none)")
	f.Int64Var(&c.Pods.TokenExpiration, "pod-token-expiration", 0, "lifetime of pods' tokens in seconds (default: a day)")
	f.StringVar(&c.APIAddress, "listen", ":8443", "address of the APIs")
	f.StringVar(&c.WebhookAddress, "webhook-listen", ":9443", "address of the webhooks")
	f.StringVar(&c.MetricsAddress, "metrics-listen", ":8080", "address of /metrics")
	f.StringVar(&c.ProbeAddress, "probe-listen", ":8081", "address of /healthz and /readyz")
	f.StringVar(&c.Certificate.CertFile, "tls-cert-file", "", "serving certificate that something else keeps, such as cert-manager (default: podid keeps its own)")
	f.StringVar(&c.Certificate.KeyFile, "tls-key-file", "", "its key")
	f.StringVar(&c.Certificate.Secret, "tls-secret", "podid-serving-cert", "Secret that holds podid's own certificate")
	f.StringVar(&c.Certificate.ConfigMap, "ca-configmap", "podid-ca", "ConfigMap that its authority is published in")
	f.StringVar(&c.Certificate.MutatingWebhook, "mutating-webhook", "podid", "MutatingWebhookConfiguration that is given the authority")
	f.StringVar(&c.Certificate.ValidatingWebhook, "validating-webhook", "podid", "ValidatingWebhookConfiguration that is given the authority")
	f.StringSliceVar(&c.Certificate.Names, "tls-name", nil, "name that the certificate is for; repeat it for more (default: the Services podid and podid-replicas in the server's namespace)")
	f.StringVar(&c.Console.Address, "console-listen", "", "address of the web console, such as :8444 (default: it is not served)")
	f.BoolVar(&c.Console.ReadOnly, "console-read-only", false, "the web console refuses changes")
	f.StringSliceVar(&c.Console.Replicas, "console-replicas", nil, "HOST:PORT of the replicas' APIs, such as those of a headless Service, from which the console gathers activity and health (default: this replica alone)")
	f.StringVar(&c.Console.FirstHopAs, "first-hop-as", "", "ARN of the server's own IAM user or role, for the console's policies and explanations")
	f.DurationVar(&c.DrainDelay, "drain-delay", 5*time.Second, "how long requests are still taken after SIGTERM")
	o.audit.declare(cmd, "stdout")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log every request")
	for _, required := range []string{"cluster-name", "region", "account-id"} {
		_ = cmd.MarkFlagRequired(required) // it was added above
	}
}

// complete fills in what flags say in other words than server.Config.
func (o *serverOptions) complete(cmd *cobra.Command) (err error) {
	c := &o.config
	if c.API, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
		return fmt.Errorf("%w (outside a cluster: --kubeconfig)", err)
	}
	for _, account := range []struct {
		flag, value string
		to          *types.NamespacedName
	}{{"--own-service-account", o.ownServiceAccount, &c.ServiceAccount}, {"--agent-service-account", o.agentServiceAccount, &c.AgentServiceAccount}} {
		namespace, name, ok := strings.Cut(account.value, "/")
		if !ok || namespace == "" || name == "" {
			return fmt.Errorf("%s %q: want NAMESPACE/NAME", account.flag, account.value)
		}
		*account.to = types.NamespacedName{Namespace: namespace, Name: name}
	}
	c.Version, c.Verification = podidVersion(), server.Verification(o.verification)
	switch o.firstHop {
	case "identity":
	case "service":
		c.STS.FirstHop = sts.Service
	default:
		return fmt.Errorf("--first-hop %q: want identity or service", o.firstHop)
	}
	if c.STS.AWS, err = awsconfig.LoadDefaultConfig(cmd.Context(), awsconfig.WithRegion(c.Cluster.Region)); err != nil {
		return err
	}
	if o.stsEndpoint != "" {
		c.STS.AWS.BaseEndpoint = &o.stsEndpoint
	}
	switch o.prewarm {
	case "off":
	case "on":
		c.Prewarm.All = true
	case "":
		return errors.New("--prewarm: want off, on, or namespaces with commas")
	default:
		c.Prewarm.Namespaces = strings.Split(o.prewarm, ",")
	}
	switch c.Pods.Region {
	case "":
		c.Pods.Region = c.Cluster.Region
	case "-":
		c.Pods.Region = ""
	}
	c.SkipChainVerification, c.PassAnyTargetRole = !o.verifyChains, !o.passTargetRole
	if len(c.Certificate.Names) == 0 {
		// The two Services of the chart.
		for _, service := range []string{"podid", "podid-replicas"} {
			c.Certificate.Names = append(c.Certificate.Names, service+"."+c.Namespace+".svc", service+"."+c.Namespace+".svc.cluster.local")
		}
	}
	return nil
}
