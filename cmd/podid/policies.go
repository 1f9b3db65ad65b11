package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/kubeconfig"
	"github.com/podid/podid/internal/rolepolicy"
)

// policies is what the flags of podid policies say.
type policies struct {
	associations
	roles      roleFlags
	form       string
	firstHopAs string
	accounts   rolepolicy.Target
}

func newPolicies() *cobra.Command {
	p := new(policies)
	cmd := &cobra.Command{
		Use:   "policies -n NAMESPACE -s SERVICEACCOUNT [--role-arn ARN --target-role-arn ARN]",
		Short: "Print the policies that the roles of an association need",
		Long: `Print the trust policy of the Pod Identity role, its permission policy, and the trust policy of the target
role: with the least privileges that let the pods of one service account through, and nobody else.

Without --role-arn they are those of the association that the service account has. With it, the association
need not exist, and no AWS API is called.

The form is how the target role tells this association from others: by the session tags, or by the external
ID, as the EKS user guide has it (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html).`,
		Example: `  podid policies -n default -s demo-app-sa
  podid policies -n default -s demo-app-sa --form external-id -o commands --existing
  podid policies --cluster prod --region eu-central-1 -n shop -s orders -o terraform \
    --role-arn arn:aws:iam::111122223333:role/shop-pods --target-role-arn arn:aws:iam::444455556666:role/orders-data`,
		Args: cobra.NoArgs,
		RunE: p.at(func(cmd *cobra.Command, where place, _ []string) error { return p.run(cmd, where) }),
	}
	f := cmd.Flags()
	f.StringVar(&p.cluster, "cluster", os.Getenv("PODID_CLUSTER"), "cluster ($PODID_CLUSTER)")
	p.subjectFlags(cmd, "default")
	p.target.add(cmd)
	f.StringVar(&p.roles.roleARN, "role-arn", "", "Pod Identity role, in the cluster's account")
	f.StringVar(&p.roles.targetRoleARN, "target-role-arn", "", "target role, in any account")
	f.BoolVar(&p.roles.disableSessionTags, "disable-session-tags", false, "the association sends no session tags")
	f.StringVar(&p.form, "form", "auto", "tags, external-id, or auto: tags unless they are disabled")
	f.StringVar(&p.firstHopAs, "first-hop-as", "", "ARN of the IAM user or role that podid works with, off EKS (default: the service pods.eks.amazonaws.com)")
	f.BoolVar(&p.accounts.Existing, "existing", false, "with -o commands or terraform: the roles exist, change their policies alone")
	f.StringToStringVar(&p.accounts.Profiles, "profile", nil, "AWS profile of an account: ACCOUNT=PROFILE, may be repeated (default: named like the account)")
	// The flag was added above, which is all that this call could complain of.
	_ = cmd.MarkFlagRequired("service-account")
	outputFlag(cmd, &p.output, "json", "terraform", "commands")
	return cmd
}

// forms are the values of --form.
var forms = map[string]rolepolicy.Form{"auto": rolepolicy.Auto, "tags": rolepolicy.Tags, "external-id": rolepolicy.ExternalID}

func (p *policies) run(cmd *cobra.Command, where place) error {
	form, known := forms[p.form]
	if !known {
		return fmt.Errorf("--form %q: want tags, external-id or auto", p.form)
	}
	if p.accounts.Existing && p.output != "commands" && p.output != "terraform" {
		return errors.New("--existing is for -o commands and -o terraform: the policies themselves are the same")
	}
	a, err := p.association(cmd, where)
	if err != nil {
		return err
	}
	all, err := rolepolicy.For(rolepolicy.Config{Association: a, Form: form, FirstHopAs: p.firstHopAs})
	if err != nil {
		return err
	}
	p.accounts.Region = a.Cluster.Region
	w := cmd.OutOrStdout()
	switch p.output {
	case "terraform":
		return rolepolicy.Terraform(w, all, p.accounts)
	case "commands":
		return rolepolicy.Commands(w, all, p.accounts)
	}
	return write(w, p.output, all, func() error { return rolepolicy.Print(w, all) })
}

// association is the one in the flags, or else the service account's own.
func (p *policies) association(cmd *cobra.Command, where place) (identity.Association, error) {
	if where == atCluster {
		k, err := p.target.cluster(cmd)
		if err != nil {
			return identity.Association{}, err
		}
		info, err := k.Info(cmd.Context())
		if err != nil {
			return identity.Association{}, err
		}
		p.cluster, p.region, p.namespace = info.Cluster.Name, info.Cluster.Region, namespaceOf(cmd, k, p.namespace)
		if p.firstHopAs, err = firstHopOf(info, p.firstHopAs); err != nil {
			return identity.Association{}, err
		}
	}
	a := identity.Association{
		Cluster:   identity.Cluster{Name: p.cluster, Region: cmp.Or(p.region, os.Getenv("AWS_REGION"))},
		Namespace: p.namespace, ServiceAccount: p.serviceAccount,
		RoleARN: p.roles.roleARN, TargetRoleARN: p.roles.targetRoleARN, DisableSessionTags: p.roles.disableSessionTags,
	}
	if a.RoleARN == "" {
		client, _, err := p.open(cmd, where)
		if err != nil {
			return a, err
		}
		id, err := p.find(cmd.Context(), client, nil)
		if err != nil {
			return a, fmt.Errorf("%w; for one that is still to be made, give --role-arn and --target-role-arn", err)
		}
		out, err := client.DescribePodIdentityAssociation(cmd.Context(), &eks.DescribePodIdentityAssociationInput{ClusterName: &p.cluster, AssociationId: &id})
		if err != nil {
			return a, err
		}
		return explain.FromEKS(out.Association)
	}
	// The Pod Identity role is of the cluster's account, whatever else there is.
	if role, err := identity.ParseRoleARN(strings.TrimSpace(a.RoleARN)); err == nil {
		a.Cluster.AccountID = role.AccountID
	}
	return a, nil
}

// firstHopOf returns as whom podid makes the first hop in a cluster: what the
// user says, or what podid says; empty: as the service.
func firstHopOf(info kubeconfig.Info, given string) (string, error) {
	switch {
	case given != "" || info.AsService:
		return given, nil
	case info.FirstHopAs != "":
		return info.FirstHopAs, nil
	}
	return "", errors.New("podid assumes Pod Identity roles with an IAM identity of its own here, and does not say which: give its ARN by --first-hop-as (what the server's AWS credentials are: see aws sts get-caller-identity)")
}
