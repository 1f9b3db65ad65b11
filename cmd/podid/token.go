package main

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/devenv"
)

func newToken() *cobra.Command {
	var pod podTarget
	var output string
	cmd := &cobra.Command{
		Use:   "token -n NAMESPACE -s SERVICEACCOUNT",
		Short: "Have a service account token of a pod made",
		Long: `Print a service account token of a pod, as the kubelet would have it made.

Of podid dev, where its env file was sourced, it can be for any namespace and service account; claims that are
not given, such as uids, are made up. Of the Kubernetes cluster that --context or --kubeconfig names, it is
bound to a pod that exists: podid gives no credentials for others. That takes the right to create
serviceaccounts/token, which is the right to act as the service account.`,
		Example: `  podid token -n default -s demo-app-sa
  podid token -n default -s demo-app-sa --pod web-0 --node node-1 --expires 10m -o json
  podid token --context prod -n shop -s orders --pod orders-0`,
		Args: cobra.NoArgs,
		RunE: pod.at(func(cmd *cobra.Command, where place, _ []string) error {
			token, err := pod.token(cmd, where)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), output, token, func() error {
				_, err := cmd.OutOrStdout().Write([]byte(token.Token + "\n"))
				return err
			})
		}),
	}
	pod.add(cmd)
	f := cmd.Flags()
	f.StringVar(&pod.Node, "node", "", "name of the node (default: made up; in a Kubernetes cluster: the pod's)")
	f.StringVar(&pod.Audience, "audience", "", "audience (default: pods.eks.amazonaws.com)")
	f.DurationVar(&pod.Lifetime, "expires", 24*time.Hour, "how long the token is valid, at least 10m (in a Kubernetes cluster: 10m, and at most what it allows)")
	outputFlag(cmd, &output, "json", "yaml")
	return cmd
}

func (p *podTarget) token(cmd *cobra.Command, where place) (devenv.TokenReply, error) {
	switch where {
	case atDev:
		client, err := devenv.ClientFromEnv(os.Getenv)
		if err != nil {
			return devenv.TokenReply{}, err
		}
		return client.Token(cmd.Context(), p.Pod)
	case atCluster:
		if p.Node != "" {
			return devenv.TokenReply{}, errors.New("--node is for podid dev: in a Kubernetes cluster a pod is where it is")
		}
		k, err := p.cluster(cmd)
		if err != nil {
			return devenv.TokenReply{}, err
		}
		pod := p.requested(cmd, k)
		pod.Audience = p.Audience
		if cmd.Flags().Changed("expires") {
			pod.Lifetime = p.Lifetime
		}
		t, err := k.Token(cmd.Context(), pod)
		return devenv.TokenReply{Token: t.Raw.Reveal(), Expires: t.Expires, PodName: t.PodName, PodUID: t.PodUID, NodeName: t.NodeName}, err
	}
	return devenv.TokenReply{}, errNowhere()
}
