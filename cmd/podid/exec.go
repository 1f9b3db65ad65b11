package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/devenv"
)

func newExec() *cobra.Command {
	var pod devenv.Pod
	cmd := &cobra.Command{
		Use:   "exec -n NAMESPACE -s SERVICEACCOUNT [--pod NAME] -- COMMAND [ARG...]",
		Short: "Run a program as a pod",
		Long: `Run any local program as a pod of the development cluster: with the container credential
variables, the region and the endpoint, and no other AWS credentials. Its service account token is
renewed while it runs, and its exit code is podid's.`,
		Example: `  podid exec -n default -s demo-app-sa -- aws sts get-caller-identity
  podid exec -n default -s demo-app-sa --pod web-0 -- ./my-program --flag`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := devenv.ClientFromEnv(os.Getenv)
			if err != nil {
				return err
			}
			e := devenv.Exec{Client: client, Pod: pod, Command: args, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
			code, err := e.Run(cmd.Context())
			if err == nil && code != 0 {
				return exitStatus(code)
			}
			return err
		},
	}
	podFlags(cmd, &pod)
	return cmd
}

// podFlags are the flags that name a pod.
func podFlags(cmd *cobra.Command, pod *devenv.Pod) {
	f := cmd.Flags()
	f.StringVarP(&pod.Namespace, "namespace", "n", "default", "namespace of the service account")
	f.StringVarP(&pod.ServiceAccount, "service-account", "s", "", "service account")
	f.StringVar(&pod.Name, "pod", "", "name of the pod (default: made up)")
	f.StringVar(&pod.Cluster, "cluster", "", "cluster (default: $PODID_CLUSTER)")
	// The flag was added above, which is all that this call could complain of.
	_ = cmd.MarkFlagRequired("service-account")
}

func newToken() *cobra.Command {
	var pod devenv.Pod
	var output string
	cmd := &cobra.Command{
		Use:   "token -n NAMESPACE -s SERVICEACCOUNT",
		Short: "Mint a service account token of the development cluster",
		Long: `Mint a projected service account token as the kubelet would for a pod, for any namespace and
service account. Claims that are not given, such as uids, are made up.`,
		Example: `  podid token -n default -s demo-app-sa
  podid token -n default -s demo-app-sa --pod web-0 --node node-1 --expires 10m -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := devenv.ClientFromEnv(os.Getenv)
			if err != nil {
				return err
			}
			token, err := client.Token(cmd.Context(), pod)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), output, token, func() error {
				_, err := cmd.OutOrStdout().Write([]byte(token.Token + "\n"))
				return err
			})
		},
	}
	podFlags(cmd, &pod)
	f := cmd.Flags()
	f.StringVar(&pod.Node, "node", "", "name of the node (default: made up)")
	f.StringVar(&pod.Audience, "audience", "", "audience (default: pods.eks.amazonaws.com)")
	f.DurationVar(&pod.Lifetime, "expires", 24*time.Hour, "how long the token is valid, at least 10m")
	outputFlag(cmd, &output, "json", "yaml")
	return cmd
}
