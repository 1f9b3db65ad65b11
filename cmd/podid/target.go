package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/kubeconfig"
)

// A place is where a command works.
type place int

const (
	atAWS     place = iota // the EKS API: AWS's, or that of $AWS_ENDPOINT_URL
	atDev                  // a running podid dev
	atCluster              // the cluster of a kubeconfig
)

// target is the place in flags and environment.
type target struct {
	kube              kubeconfig.Config
	region, accountID string
	opened            *kubeconfig.Cluster
}

// clusterOnly are the flags that mean something for the cluster of a kubeconfig alone.
var clusterOnly = []string{"podid-namespace", "account-id", "access-key-secret", "certificate-authority"}

// add adds the flags to cmd, in kubectl's words, and has its errors say where
// they come from.
func (t *target) add(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&t.kube.Context, "context", "", "work in the Kubernetes cluster of this context of the kubeconfig")
	f.StringVar(&t.kube.File, "kubeconfig", "", "work in the Kubernetes cluster of this kubeconfig")
	f.StringVar(&t.kube.PodidNamespace, "podid-namespace", kubeconfig.DefaultNamespace, "in a Kubernetes cluster: namespace of podid's server")
	f.StringVar(&t.accountID, "account-id", "", "in a Kubernetes cluster: its AWS account (default: as podid's server says)")
	if cmd.Flags().Lookup("region") == nil {
		f.StringVar(&t.region, "region", "", "region of the cluster (default: as podid's server says, or $AWS_REGION)")
	}
}

// choose says where cmd works, and why.
func (t *target) choose(cmd *cobra.Command) (place, string) {
	for _, flag := range []string{"context", "kubeconfig"} {
		if cmd.Flags().Changed(flag) {
			return atCluster, "--" + flag
		}
	}
	switch {
	case isPlugin(cmd):
		return atCluster, "the name kubectl podid"
	case cmd.Flags().Changed("server"):
		return atAWS, "" // at that server, with AWS's settings
	case os.Getenv(devenv.EnvAgentURL) != "":
		return atDev, devenv.EnvAgentURL + ", from the env file of podid dev"
	}
	return atAWS, ""
}

// errNowhere says what a command lacks that does not work at AWS.
func errNowhere() error {
	return fmt.Errorf("%w; or, for the Kubernetes cluster of your kubeconfig, call this as 'kubectl podid', or give --context or --kubeconfig", devenv.ErrNotRunning)
}

// cluster opens the cluster of the kubeconfig, once.
func (t *target) cluster(cmd *cobra.Command) (*kubeconfig.Cluster, error) {
	if t.opened != nil {
		return t.opened, nil
	}
	c := t.kube
	c.Warnings = cmd.ErrOrStderr()
	c.AWS.AccountID = t.accountID
	for flag, field := range map[string]*string{"cluster": &c.AWS.Name, "region": &c.AWS.Region} {
		if given := cmd.Flags().Lookup(flag); given != nil && given.Changed { // not from the environment
			*field = given.Value.String()
		}
	}
	var err error
	t.opened, err = kubeconfig.Open(c)
	return t.opened, err
}

// namespaceOf is the one that was given, or that of the context, as with kubectl.
func namespaceOf(cmd *cobra.Command, k *kubeconfig.Cluster, given string) string {
	if cmd.Flags().Changed("namespace") {
		return given
	}
	return k.Namespace
}

// at wraps what cmd does, so that it is told where it works, and so that its
// errors tell it to the user.
func (t *target) at(run func(cmd *cobra.Command, where place, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		where, why := t.choose(cmd)
		if where != atCluster {
			for _, flag := range clusterOnly {
				if cmd.Flags().Changed(flag) {
					return fmt.Errorf("--%s is for a Kubernetes cluster: name one by --context or --kubeconfig, or call this as 'kubectl podid'", flag)
				}
			}
		}
		err := run(cmd, where, args)
		if _, told := errors.AsType[exitStatus](err); err == nil || told {
			return err
		}
		switch where {
		case atCluster:
			name := "the current context"
			if t.opened != nil && t.opened.Context != "" {
				name = "context " + t.opened.Context
			}
			return fmt.Errorf("%w\n(in the Kubernetes cluster of %s, chosen by %s)", err, name, why)
		case atDev:
			return fmt.Errorf("%w\n(at podid dev, chosen by %s)", err, why)
		}
		return err
	}
}
