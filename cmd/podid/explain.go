package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/kubeconfig"
	"github.com/podid/podid/internal/token/request"
)

// explaining is what the flags of podid explain say.
type explaining struct {
	target
	question   explain.Question
	profiles   map[string]string
	firstHopAs string
	live       string
	keySecret  string
	output     string
}

func newExplain() *cobra.Command {
	e := new(explaining)
	cmd := &cobra.Command{
		Use:   "explain -n NAMESPACE -s SERVICEACCOUNT [--action ACTION --resource ARN]",
		Short: "Say why a pod gets its AWS credentials or not, and what to change",
		Long: `Walk the path that the credentials of a service account take: the association, the webhook, each role
assumption and, if asked for, what the pod then wants to do. Every step is judged by the policies as they
are, on EKS, AWS or the small AWS, read with ordinary AWS credentials; every refusal comes with the
smallest change that mends it, and the command that makes the change. Nothing is changed by explain itself.

It reads each account with the credentials at hand if they are of that account, else with the profile that
--profile names for it, or else with the profile that has the account's id for a name. It needs
eks:ListPodIdentityAssociations, eks:DescribePodIdentityAssociation, iam:Get* and iam:List* of roles and
policies; and, to see service control policies, organizations:Describe* and organizations:List* in the
management account. What it cannot read, it names.

The exit status is 0 if all is allowed, 1 if something is refused, 2 if that cannot be known.`,
		Example: `  podid explain -n default -s demo-app-sa
  podid explain -n default -s demo-app-sa --action s3:GetObject --resource arn:aws:s3:::example-data-444455556666/hello.txt
  podid explain -n default -s demo-app-sa --cluster prod --profile 444455556666=prod-data
  podid explain -n default -s demo-app-sa --live -           # also try it, with a token made for that
  podid explain -n default -s demo-app-sa --live token.jwt   # or with a token of the pod`,
		Args: cobra.NoArgs,
		RunE: e.at(func(cmd *cobra.Command, where place, _ []string) error {
			report, err := e.run(cmd, where)
			if err != nil {
				return err
			}
			return printReport(cmd, e.output, report)
		}),
	}
	e.target.add(cmd)
	f := cmd.Flags()
	f.StringVar(&e.question.Cluster, "cluster", os.Getenv("PODID_CLUSTER"), "cluster ($PODID_CLUSTER; in a Kubernetes cluster: as podid's server says)")
	f.StringVarP(&e.question.Namespace, "namespace", "n", "default", "namespace of the service account (in a Kubernetes cluster: that of the context)")
	f.StringVarP(&e.question.ServiceAccount, "service-account", "s", "", "service account")
	f.StringVar(&e.question.Pod, "pod", "", "name of the pod, for conditions on it (default: any); in a Kubernetes cluster, also to look at what the webhook did to it")
	f.StringVar(&e.question.Action, "action", "", "what the pod then does, such as s3:GetObject; needs --resource")
	f.StringVar(&e.question.Resource, "resource", "", "ARN that it does it to; '*' for actions that have none")
	f.StringToStringVar(&e.profiles, "profile", nil, "profile to read an account with: ACCOUNT=PROFILE, may be repeated")
	f.StringVar(&e.firstHopAs, "first-hop-as", "", "ARN of the IAM user or role that podid works with, off EKS (default: the service pods.eks.amazonaws.com)")
	f.StringVar(&e.live, "live", "", "also try the chain, with the service account token in this file; - has one made, by podid dev or else by the cluster of your kubeconfig")
	f.StringVar(&e.keySecret, "access-key-secret", "", "with --live in a Kubernetes cluster: Secret of a podid access key for the credentials of pods, NAMESPACE/NAME")
	// The flag was added above, which is all that this call could complain of.
	_ = cmd.MarkFlagRequired("service-account")
	outputFlag(cmd, &e.output, "json")
	return cmd
}

func (e *explaining) run(cmd *cobra.Command, where place) (*explain.Report, error) {
	ctx := cmd.Context()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(e.region)) // "": that of the environment
	if err != nil {
		return nil, err
	}
	c := explain.Config{AWS: cfg, FirstHopAs: e.firstHopAs, AuthEndpoint: os.Getenv("AWS_ENDPOINT_URL_EKS_AUTH")}
	if where == atCluster {
		if err := e.inCluster(cmd, &c); err != nil {
			return nil, err
		}
	}
	c.Account = explain.Profiles(c.AWS, e.profiles)
	explainer, err := explain.New(c)
	if err != nil {
		return nil, err
	}
	if err := e.token(cmd, where); err != nil {
		return nil, err
	}
	return explainer.Explain(ctx, e.question)
}

// inCluster has the cluster say what it knows: itself, its associations, the pod.
func (e *explaining) inCluster(cmd *cobra.Command, c *explain.Config) error {
	k, err := e.cluster(cmd)
	if err != nil {
		return err
	}
	info, err := k.Info(cmd.Context())
	if err != nil {
		return err
	}
	if c.FirstHopAs, err = firstHopOf(info, c.FirstHopAs); err != nil {
		return err
	}
	if c.Associations, err = k.Associations(cmd.Context()); err != nil {
		return err
	}
	c.Kubernetes, c.AWS.Region = true, info.Cluster.Region
	q := &e.question
	q.Cluster = info.Cluster.Name
	if e.live != "" {
		if c.Try, err = e.tryAt(cmd, k); err != nil {
			return fmt.Errorf("--live: %w", err)
		}
	}
	if q.Association != nil {
		return nil // and it may be of no pod yet
	}
	q.Namespace = namespaceOf(cmd, k, q.Namespace)
	if q.Pod == "" {
		return nil
	}
	seen, uid, err := k.Look(cmd.Context(), q.Namespace, q.ServiceAccount, q.Pod)
	if err != nil {
		return err
	}
	q.Mutation, q.PodUID = (*explain.Mutation)(&seen), uid
	return nil
}

// tryAt has chains made by podid's server in the cluster.
func (e *explaining) tryAt(cmd *cobra.Command, k *kubeconfig.Cluster) (func(context.Context, identity.Secret) (*eksauth.Grant, error), error) {
	if e.keySecret == "" { // the keys in the environment are for reading AWS
		return nil, errors.New("podid's server wants a podid access key: name its Secret by --access-key-secret NAMESPACE/NAME")
	}
	keys, err := k.Credentials(cmd.Context(), e.keySecret, os.Getenv)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, token identity.Secret) (grant *eksauth.Grant, err error) {
		err = k.WithServer(ctx, keys, func(ctx context.Context, server *eksauth.Client) error {
			grant, err = server.AssumeRoleForPodIdentity(ctx, token)
			return err
		})
		return grant, err
	}, nil
}

// token finds the token to try the chain with.
func (e *explaining) token(cmd *cobra.Command, where place) error {
	q := &e.question
	switch e.live {
	case "":
		return nil
	case "-":
		minted, err := e.mint(cmd, where)
		if err != nil {
			return fmt.Errorf("--live: %w", err)
		}
		q.Token, q.Pod, q.PodUID = minted.Raw, minted.PodName, minted.PodUID
		return nil
	}
	text, err := os.ReadFile(e.live)
	if err != nil {
		return fmt.Errorf("--live: %w", err)
	}
	q.Token = identity.Secret(strings.TrimSpace(string(text)))
	return nil
}

// mint has a token made: by podid dev if its env file was sourced, and otherwise
// by the cluster that kubectl talks to, which may be one of EKS.
func (e *explaining) mint(cmd *cobra.Command, where place) (request.Token, error) {
	q := e.question
	if where == atDev {
		dev, err := devenv.ClientFromEnv(os.Getenv)
		if err != nil {
			return request.Token{}, err
		}
		minted, err := dev.Token(cmd.Context(), devenv.Pod{Cluster: q.Cluster, Namespace: q.Namespace, ServiceAccount: q.ServiceAccount, Name: q.Pod})
		return request.Token{Raw: identity.Secret(minted.Token), PodName: minted.PodName, PodUID: minted.PodUID}, err
	}
	k, err := e.cluster(cmd)
	if err != nil {
		return request.Token{}, err
	}
	return k.Token(cmd.Context(), request.Pod{Namespace: q.Namespace, ServiceAccount: q.ServiceAccount, Name: q.Pod})
}

// printReport prints a report, and says by the exit status what it says.
func printReport(cmd *cobra.Command, format string, report *explain.Report) error {
	w := cmd.OutOrStdout()
	if err := write(w, format, report, func() error { return explain.Print(w, report, styleOf(w)) }); err != nil {
		return err
	}
	switch report.Verdict {
	case explain.Allowed:
		return nil
	case explain.Refused:
		return exitStatus(1)
	}
	return exitStatus(2)
}

// narrowest is the least width of a terminal that sentences are wrapped for.
const narrowest = 60

// styleOf is how to print to w: on a terminal in colour (https://no-color.org)
// and as wide as it is.
func styleOf(w io.Writer) explain.Style {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return explain.Style{}
	}
	style := explain.Style{Color: os.Getenv("NO_COLOR") == ""}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= narrowest {
		style.Width = width
	}
	return style
}
