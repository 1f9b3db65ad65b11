package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/identity"
)

// describedAtOnce is how many associations are looked at beside each other: the
// EKS API lists them without their roles.
const describedAtOnce = 8

// printLeading prints those of the associations that lead to a role, or to any
// role of an account.
func (a *associations) printLeading(cmd *cobra.Command, client associationAPI, all []types.PodIdentityAssociationSummary, role, account string) error {
	views := make([]associationView, len(all))
	group, ctx := errgroup.WithContext(cmd.Context())
	group.SetLimit(describedAtOnce)
	if _, forMany := client.(*eks.Client); !forMany {
		group.SetLimit(1) // the custom resources remember what they saw
	}
	for i := range all {
		group.Go(func() error {
			out, err := client.DescribePodIdentityAssociation(ctx, &eks.DescribePodIdentityAssociationInput{ClusterName: &a.cluster, AssociationId: all[i].AssociationId})
			if err == nil {
				views[i] = viewOf(out.Association)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	views = slices.DeleteFunc(views, func(v associationView) bool {
		return !isRole(v.RoleARN, role, account) && !isRole(v.TargetRoleARN, role, account)
	})
	return write(cmd.OutOrStdout(), a.output, views, func() error {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAMESPACE\tSERVICE ACCOUNT\tPOD IDENTITY ROLE\tTARGET ROLE")
		for _, v := range views {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Namespace, v.ServiceAccount, v.RoleARN, v.TargetRoleARN)
		}
		return w.Flush()
	})
}

// isRole tells whether an ARN is of the role, by ARN or name, and of the
// account; empty: of any.
func isRole(arn, role, account string) bool {
	parsed, err := identity.ParseRoleARN(arn)
	if err != nil {
		return false
	}
	return (role == "" || role == arn || strings.HasSuffix(arn, "/"+role)) && (account == "" || parsed.AccountID == account)
}
