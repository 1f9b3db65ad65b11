package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/kubeconfig"
)

// accessKeys is what the subcommands share.
type accessKeys struct {
	target
	output string
}

func newAccessKey() *cobra.Command {
	k := new(accessKeys)
	cmd := &cobra.Command{
		Use:     "access-key",
		Aliases: []string{"access-keys"},
		Short:   "Make, list and delete podid access keys of a Kubernetes cluster",
		Long: `Make, list and delete podid access keys: AWS access keys that are good for podid's server alone, and stand for
a Kubernetes user there. They are for clients that speak AWS's protocols: the AWS CLI, Terraform, the stock
agent, podid exec. What the user may do, RBAC decides.

Keys are Secrets of one namespace. Whoever may create Secrets there can act as any user towards podid, so that
right is for those who administer the cluster anyway.`,
	}
	k.target.add(cmd)
	cmd.AddCommand(k.newCreate(), k.newList(), k.newDelete())
	return cmd
}

// in wraps what needs the cluster of the kubeconfig.
func (k *accessKeys) in(run func(cmd *cobra.Command, cluster *kubeconfig.Cluster, args []string) error) func(*cobra.Command, []string) error {
	return k.at(func(cmd *cobra.Command, where place, args []string) error {
		if where != atCluster {
			return errors.New("access keys are of a Kubernetes cluster: name one by --context or --kubeconfig, or call this as 'kubectl podid'")
		}
		cluster, err := k.cluster(cmd)
		if err != nil {
			return err
		}
		return run(cmd, cluster, args)
	})
}

// madeKey is a key as it is told once.
type madeKey struct {
	ID     string `json:"AWS_ACCESS_KEY_ID"`
	Secret string `json:"AWS_SECRET_ACCESS_KEY"`
}

func (k *accessKeys) newCreate() *cobra.Command {
	var user string
	var groups, uses []string
	cmd := &cobra.Command{
		Use:   "create --user NAME --use eks|eks-auth",
		Short: "Make an access key and print it; its secret is not shown again",
		Example: `  podid access-key create --context prod --user terraform --group shop-deployers --use eks
  podid access-key create --context prod --user jane --use eks-auth > key.env   # for podid exec`,
		Args: cobra.NoArgs,
		RunE: k.in(func(cmd *cobra.Command, cluster *kubeconfig.Cluster, _ []string) error {
			key, err := cluster.CreateKey(cmd.Context(), user, groups, uses)
			if err != nil {
				return err
			}
			made := madeKey{key.ID, key.Secret.Reveal()}
			return write(cmd.OutOrStdout(), k.output, made, func() error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n", made.ID, made.Secret)
				return err
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&user, "user", "", "Kubernetes user that the key stands for")
	f.StringArrayVar(&groups, "group", nil, "group of the user; repeat it for more")
	f.StringSliceVar(&uses, "use", nil, "what the key is for: "+accesskey.UseEKS+" for associations, "+accesskey.UseEKSAuth+" for the credentials of pods; or both, with a comma")
	for _, flag := range []string{"user", "use"} {
		// The flags were added above, which is all that this call could complain of.
		_ = cmd.MarkFlagRequired(flag)
	}
	outputFlag(cmd, &k.output, "json", "yaml")
	return cmd
}

func (k *accessKeys) newList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the access keys, without their secrets",
		Example: "  podid access-key list --context prod\n  podid access-key list --context prod -o json",
		Args:    cobra.NoArgs,
		RunE: k.in(func(cmd *cobra.Command, cluster *kubeconfig.Cluster, _ []string) error {
			keys, err := cluster.Keys(cmd.Context())
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), k.output, keys, func() error {
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ACCESS KEY\tUSER\tGROUPS\tFOR\tCREATED")
				for _, key := range keys {
					use := strings.Join(key.Uses, ",")
					if key.Broken != "" {
						use = "nothing: " + key.Broken
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", key.ID, key.User, strings.Join(key.Groups, ","), use, key.Created.Local().Format(time.DateTime))
				}
				return w.Flush()
			})
		}),
	}
	outputFlag(cmd, &k.output, "json", "yaml")
	return cmd
}

func (k *accessKeys) newDelete() *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete an access key, which is then dead at once",
		Example: "  podid access-key delete --context prod AKIAABCDEFGHIJKLMNOP",
		Args:    cobra.ExactArgs(1),
		RunE: k.in(func(cmd *cobra.Command, cluster *kubeconfig.Cluster, args []string) error {
			return cluster.DeleteKey(cmd.Context(), args[0])
		}),
	}
}
