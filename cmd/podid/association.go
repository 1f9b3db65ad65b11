package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
)

// associations is what the subcommands share.
type associations struct {
	target
	cluster, namespace, serviceAccount string
	output                             string
}

func newAssociation() *cobra.Command {
	a := new(associations)
	cmd := &cobra.Command{
		Use:     "association",
		Aliases: []string{"associations"},
		Short:   "Create, show, change and delete associations",
		Long: `Create, show, change and delete pod identity associations: as custom resources of the Kubernetes cluster
that --context or --kubeconfig names, with your own rights there, as kubectl does; or else through the EKS
API, of podid where AWS_ENDPOINT_URL names one, and otherwise of AWS.`,
	}
	cmd.PersistentFlags().StringVar(&a.cluster, "cluster", os.Getenv("PODID_CLUSTER"), "cluster ($PODID_CLUSTER; in a Kubernetes cluster: as podid's server says)")
	a.target.add(cmd)
	cmd.AddCommand(a.newCreate(), a.newDescribe(), a.newList(), a.newUpdate(), a.newDelete())
	return cmd
}

// subjectFlags are the flags that name a service account.
func (a *associations) subjectFlags(cmd *cobra.Command, namespace string) {
	cmd.Flags().StringVarP(&a.namespace, "namespace", "n", namespace, "namespace of the service account (in a Kubernetes cluster: that of the context)")
	cmd.Flags().StringVarP(&a.serviceAccount, "service-account", "s", "", "service account")
}

// associationAPI is where associations are: AWS's client of the EKS API, or the
// custom resources of a cluster.
type associationAPI interface {
	explain.Associations
	CreatePodIdentityAssociation(context.Context, *eks.CreatePodIdentityAssociationInput, ...func(*eks.Options)) (*eks.CreatePodIdentityAssociationOutput, error)
	UpdatePodIdentityAssociation(context.Context, *eks.UpdatePodIdentityAssociationInput, ...func(*eks.Options)) (*eks.UpdatePodIdentityAssociationOutput, error)
	DeletePodIdentityAssociation(context.Context, *eks.DeletePodIdentityAssociationInput, ...func(*eks.Options)) (*eks.DeletePodIdentityAssociationOutput, error)
}

// open returns the associations of the place, and their cluster as far as it is known.
func (a *associations) open(cmd *cobra.Command, where place) (associationAPI, identity.Cluster, error) {
	if where == atCluster {
		return a.openCluster(cmd)
	}
	if a.cluster == "" {
		return nil, identity.Cluster{}, errors.New("no cluster: give --cluster or set PODID_CLUSTER; or name a Kubernetes cluster by --context or --kubeconfig")
	}
	cfg, err := config.LoadDefaultConfig(cmd.Context(), config.WithRegion(a.region)) // "": that of the environment
	if err != nil {
		return nil, identity.Cluster{}, err
	}
	if cfg.Region == "" {
		return nil, identity.Cluster{}, errors.New("no region: set AWS_REGION, or source the env file of podid dev")
	}
	return eks.NewFromConfig(cfg), identity.Cluster{Name: a.cluster, Region: cfg.Region}, nil
}

// openCluster opens a Kubernetes cluster's own, whose names then count.
func (a *associations) openCluster(cmd *cobra.Command) (associationAPI, identity.Cluster, error) {
	k, err := a.target.cluster(cmd)
	if err != nil {
		return nil, identity.Cluster{}, err
	}
	api, err := k.Associations(cmd.Context())
	if err != nil {
		return nil, identity.Cluster{}, err
	}
	a.cluster, a.namespace = api.Cluster().Name, namespaceOf(cmd, k, a.namespace)
	return api, api.Cluster(), nil
}

// find returns the id named on the command line, or the one of the service account in the flags.
func (a *associations) find(ctx context.Context, client associationAPI, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if a.serviceAccount == "" {
		return "", errors.New("name the association: its id, or -n NAMESPACE -s SERVICEACCOUNT")
	}
	out, err := client.ListPodIdentityAssociations(ctx, &eks.ListPodIdentityAssociationsInput{
		ClusterName: &a.cluster, Namespace: &a.namespace, ServiceAccount: &a.serviceAccount,
	})
	if err != nil {
		return "", err
	}
	if len(out.Associations) == 0 {
		return "", fmt.Errorf("service account %s/%s of cluster %s has no association", a.namespace, a.serviceAccount, a.cluster)
	}
	return aws.ToString(out.Associations[0].AssociationId), nil
}

// roleFlags are what create and update have in common.
type roleFlags struct {
	roleARN, targetRoleARN, policy string
	disableSessionTags             bool
	clientToken                    string
}

func (r *roleFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.roleARN, "role-arn", "", "Pod Identity role, in the cluster's account")
	f.StringVar(&r.targetRoleARN, "target-role-arn", "", "target role, in any account")
	f.BoolVar(&r.disableSessionTags, "disable-session-tags", false, "send no session tags")
	f.StringVar(&r.policy, "policy", "", "session policy: JSON, or file://PATH; needs --disable-session-tags")
	f.StringVar(&r.clientToken, "client-request-token", "", "idempotency token (default: made up)")
}

// changed returns a pointer to the flag's value if the flag was given: an
// empty value clears a field, an absent flag leaves it.
func changed[T any](cmd *cobra.Command, flag string, value T) *T {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return &value
}

func (r *roleFlags) policyText(cmd *cobra.Command) (*string, error) {
	if path, isFile := cutFile(r.policy); isFile {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
		return aws.String(string(text)), nil
	}
	return changed(cmd, "policy", r.policy), nil
}

func (a *associations) newCreate() *cobra.Command {
	var roles roleFlags
	var before preflight
	var tags map[string]string
	cmd := &cobra.Command{
		Use:   "create -n NAMESPACE -s SERVICEACCOUNT --role-arn ARN [--target-role-arn ARN]",
		Short: "Create an association",
		Example: `  podid association create -n default -s demo-app-sa \
    --role-arn arn:aws:iam::111122223333:role/eks-pod-identity-primary-role \
    --target-role-arn arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources --explain`,
		Args: cobra.NoArgs,
		RunE: a.at(func(cmd *cobra.Command, where place, _ []string) error {
			client, cluster, err := a.open(cmd, where)
			if err != nil {
				return err
			}
			policy, err := roles.policyText(cmd)
			if err != nil {
				return err
			}
			planned := identity.Association{
				Cluster: cluster, Namespace: a.namespace, ServiceAccount: a.serviceAccount,
				RoleARN: roles.roleARN, TargetRoleARN: roles.targetRoleARN, DisableSessionTags: roles.disableSessionTags,
				Policy: aws.ToString(policy), Tags: tags,
			}
			if err := before.check(cmd, a.target, where, planned); err != nil {
				return err
			}
			out, err := client.CreatePodIdentityAssociation(cmd.Context(), &eks.CreatePodIdentityAssociationInput{
				ClusterName: &a.cluster, Namespace: &a.namespace, ServiceAccount: &a.serviceAccount, RoleArn: &roles.roleARN,
				TargetRoleArn: changed(cmd, "target-role-arn", roles.targetRoleARN), Policy: policy,
				DisableSessionTags: changed(cmd, "disable-session-tags", roles.disableSessionTags),
				ClientRequestToken: changed(cmd, "client-request-token", roles.clientToken), Tags: tags,
			})
			if err != nil {
				return err
			}
			return a.print(cmd, out.Association)
		}),
	}
	a.subjectFlags(cmd, "default")
	roles.add(cmd)
	before.add(cmd)
	cmd.Flags().StringToStringVar(&tags, "tags", nil, "tags of the association: key=value,...")
	for _, flag := range []string{"service-account", "role-arn"} {
		// The flags were added above, which is all that this call could complain of.
		_ = cmd.MarkFlagRequired(flag)
	}
	outputFlag(cmd, &a.output, "json", "yaml")
	return cmd
}

func (a *associations) newDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe ID | -n NAMESPACE -s SERVICEACCOUNT",
		Short:   "Show an association",
		Example: "  podid association describe a-abcdefghijklmnop1\n  podid association describe -n default -s demo-app-sa -o yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: a.at(func(cmd *cobra.Command, where place, args []string) error {
			client, _, err := a.open(cmd, where)
			if err != nil {
				return err
			}
			id, err := a.find(cmd.Context(), client, args)
			if err != nil {
				return err
			}
			out, err := client.DescribePodIdentityAssociation(cmd.Context(), &eks.DescribePodIdentityAssociationInput{ClusterName: &a.cluster, AssociationId: &id})
			if err != nil {
				return err
			}
			return a.print(cmd, out.Association)
		}),
	}
	a.subjectFlags(cmd, "default")
	outputFlag(cmd, &a.output, "json", "yaml")
	return cmd
}

func (a *associations) newList() *cobra.Command {
	var role, account string
	cmd := &cobra.Command{
		Use:   "list [-n NAMESPACE] [-s SERVICEACCOUNT] [--role ROLE] [--account ACCOUNT]",
		Short: "List the associations of a cluster, or those that lead to a role or an account",
		Example: `  podid association list
  podid association list -n default -o json
  podid association list --role arn:aws:iam::444455556666:role/orders   # who can become this role
  podid association list --account 444455556666                         # who can become a role of this account`,
		Args: cobra.NoArgs,
		RunE: a.at(func(cmd *cobra.Command, where place, _ []string) error {
			client, _, err := a.open(cmd, where)
			if err != nil {
				return err
			}
			pages := eks.NewListPodIdentityAssociationsPaginator(client, &eks.ListPodIdentityAssociationsInput{
				ClusterName: &a.cluster, Namespace: changed(cmd, "namespace", a.namespace), ServiceAccount: changed(cmd, "service-account", a.serviceAccount),
			})
			all := []types.PodIdentityAssociationSummary{}
			for pages.HasMorePages() {
				page, err := pages.NextPage(cmd.Context())
				if err != nil {
					return err
				}
				all = append(all, page.Associations...)
			}
			if role == "" && account == "" {
				return a.printList(cmd, all)
			}
			return a.printLeading(cmd, client, all, role, account)
		}),
	}
	a.subjectFlags(cmd, "")
	cmd.Flags().StringVar(&role, "role", "", "only those that lead to this role: its ARN or name")
	cmd.Flags().StringVar(&account, "account", "", "only those that lead to a role of this AWS account")
	outputFlag(cmd, &a.output, "json", "yaml")
	return cmd
}

func (a *associations) newUpdate() *cobra.Command {
	var roles roleFlags
	var before preflight
	cmd := &cobra.Command{
		Use:   "update ID | -n NAMESPACE -s SERVICEACCOUNT",
		Short: "Change an association; what is not named stays as it is",
		Example: `  podid association update -n default -s demo-app-sa --target-role-arn arn:aws:iam::444455556666:role/other
  podid association update a-abcdefghijklmnop1 --target-role-arn ""   # remove the target role`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.at(func(cmd *cobra.Command, where place, args []string) error {
			client, _, err := a.open(cmd, where)
			if err != nil {
				return err
			}
			id, err := a.find(cmd.Context(), client, args)
			if err != nil {
				return err
			}
			policy, err := roles.policyText(cmd)
			if err != nil {
				return err
			}
			if before.wanted {
				planned, err := a.planned(cmd, client, id, roles, policy)
				if err != nil {
					return err
				}
				if err := before.check(cmd, a.target, where, planned); err != nil {
					return err
				}
			}
			out, err := client.UpdatePodIdentityAssociation(cmd.Context(), &eks.UpdatePodIdentityAssociationInput{
				ClusterName: &a.cluster, AssociationId: &id, Policy: policy,
				RoleArn: changed(cmd, "role-arn", roles.roleARN), TargetRoleArn: changed(cmd, "target-role-arn", roles.targetRoleARN),
				DisableSessionTags: changed(cmd, "disable-session-tags", roles.disableSessionTags),
				ClientRequestToken: changed(cmd, "client-request-token", roles.clientToken),
			})
			if err != nil {
				return err
			}
			return a.print(cmd, out.Association)
		}),
	}
	a.subjectFlags(cmd, "default")
	roles.add(cmd)
	before.add(cmd)
	outputFlag(cmd, &a.output, "json", "yaml")
	return cmd
}

// planned is an association as an update will leave it.
func (a *associations) planned(cmd *cobra.Command, client associationAPI, id string, roles roleFlags, policy *string) (identity.Association, error) {
	out, err := client.DescribePodIdentityAssociation(cmd.Context(), &eks.DescribePodIdentityAssociationInput{ClusterName: &a.cluster, AssociationId: &id})
	if err != nil {
		return identity.Association{}, err
	}
	p, err := explain.FromEKS(out.Association)
	if err != nil {
		return p, err
	}
	set := func(to *string, value *string) {
		if value != nil {
			*to = *value
		}
	}
	set(&p.RoleARN, changed(cmd, "role-arn", roles.roleARN))
	set(&p.TargetRoleARN, changed(cmd, "target-role-arn", roles.targetRoleARN))
	set(&p.Policy, policy)
	if v := changed(cmd, "disable-session-tags", roles.disableSessionTags); v != nil {
		p.DisableSessionTags = *v
	}
	return p, nil
}

func (a *associations) newDelete() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "delete ID | -n NAMESPACE -s SERVICEACCOUNT",
		Short: "Delete an association, or say what that would change",
		Example: `  podid association delete -n default -s demo-app-sa --dry-run   # what would change, and for which pods
  podid association delete -n default -s demo-app-sa`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.at(func(cmd *cobra.Command, where place, args []string) error {
			client, _, err := a.open(cmd, where)
			if err != nil {
				return err
			}
			id, err := a.find(cmd.Context(), client, args)
			if err != nil {
				return err
			}
			if dryRun {
				return a.foretell(cmd, where, client, id)
			}
			out, err := client.DeletePodIdentityAssociation(cmd.Context(), &eks.DeletePodIdentityAssociationInput{ClusterName: &a.cluster, AssociationId: &id})
			if err != nil {
				return err
			}
			return a.print(cmd, out.Association)
		}),
	}
	a.subjectFlags(cmd, "default")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "delete nothing: say what would change, and for which pods")
	outputFlag(cmd, &a.output, "json", "yaml")
	return cmd
}
