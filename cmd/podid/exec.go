package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/kubeconfig"
	"github.com/podid/podid/internal/podexec"
	"github.com/podid/podid/internal/token/request"
)

// podTarget is a pod, and where it is.
type podTarget struct {
	target
	devenv.Pod
	keySecret string
}

func newExec() *cobra.Command {
	var pod podTarget
	cmd := &cobra.Command{
		Use:   "exec -n NAMESPACE -s SERVICEACCOUNT [--pod NAME] -- COMMAND [ARG...]",
		Short: "Run a program as a pod",
		Long: `Run any local program as a pod: with the container credential variables and the region, and no other AWS
credentials. Its service account token is renewed while it runs, and its exit code is podid's.

The pod is one of podid dev, where the env file was sourced: any that you name. Or it is one of the Kubernetes
cluster that --context or --kubeconfig names, and then exists there. That takes two rights: to have tokens of
its service account made (create serviceaccounts/token), and a podid access key for the credentials of pods
(podid access-key create --use eks-auth), from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or from its Secret.
Whoever has both can do everything that the pods of the service account can do in AWS.`,
		Example: `  podid exec -n default -s demo-app-sa -- aws sts get-caller-identity
  podid exec -n default -s demo-app-sa --pod web-0 -- ./my-program --flag
  podid exec --context prod -n shop -s orders --access-key-secret podid-access-keys/access-key-akia... -- aws s3 ls`,
		Args: cobra.MinimumNArgs(1),
		RunE: pod.at(func(cmd *cobra.Command, where place, args []string) error {
			program := podexec.Config{Command: args, Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
			code, err := pod.exec(cmd, where, program)
			if err == nil && code != 0 {
				return exitStatus(code)
			}
			return err
		}),
	}
	pod.add(cmd)
	f := cmd.Flags()
	f.StringVar(&pod.keySecret, "access-key-secret", "", "in a Kubernetes cluster: Secret of the podid access key, NAMESPACE/NAME (default: the key in the environment)")
	f.StringVar(&pod.kube.AuthorityFile, "certificate-authority", "", "in a Kubernetes cluster: file with the certificates of podid's authority (default: as podid says)")
	return cmd
}

func (p *podTarget) exec(cmd *cobra.Command, where place, program podexec.Config) (int, error) {
	ctx := cmd.Context()
	switch where {
	case atDev:
		client, err := devenv.ClientFromEnv(os.Getenv)
		if err != nil {
			return 0, err
		}
		as := client.AsPod(p.Pod)
		as.Command, as.Environ, as.Stdin, as.Stdout, as.Stderr = program.Command, program.Environ, program.Stdin, program.Stdout, program.Stderr
		return podexec.Run(ctx, as)
	case atCluster:
		k, err := p.cluster(cmd)
		if err != nil {
			return 0, err
		}
		keys, err := k.Credentials(ctx, p.keySecret, os.Getenv)
		if err != nil {
			return 0, err
		}
		return k.Exec(ctx, p.requested(cmd, k), keys, program)
	}
	return 0, errNowhere()
}

// add adds the flags that name a pod.
func (p *podTarget) add(cmd *cobra.Command) {
	p.target.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&p.Namespace, "namespace", "n", "default", "namespace of the service account (in a Kubernetes cluster: that of the context)")
	f.StringVarP(&p.ServiceAccount, "service-account", "s", "", "service account")
	f.StringVar(&p.Name, "pod", "", "name of the pod (default: made up; in a Kubernetes cluster: one that runs)")
	f.StringVar(&p.Cluster, "cluster", "", "cluster (default: $PODID_CLUSTER; in a Kubernetes cluster: as podid's server says)")
	// The flag was added above, which is all that this call could complain of.
	_ = cmd.MarkFlagRequired("service-account")
}

// requested is the pod in a Kubernetes cluster.
func (p *podTarget) requested(cmd *cobra.Command, k *kubeconfig.Cluster) request.Pod {
	return request.Pod{Namespace: namespaceOf(cmd, k, p.Namespace), ServiceAccount: p.ServiceAccount, Name: p.Name}
}
