package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/spf13/cobra"
)

// associationView has the member names of AWS's API, for -o json and yaml.
type associationView struct {
	ClusterName        string            `json:"clusterName"`
	Namespace          string            `json:"namespace"`
	ServiceAccount     string            `json:"serviceAccount"`
	AssociationARN     string            `json:"associationArn"`
	AssociationID      string            `json:"associationId"`
	RoleARN            string            `json:"roleArn,omitempty"`
	TargetRoleARN      string            `json:"targetRoleArn,omitempty"`
	ExternalID         string            `json:"externalId,omitempty"`
	DisableSessionTags *bool             `json:"disableSessionTags,omitempty"`
	Policy             string            `json:"policy,omitempty"`
	Tags               map[string]string `json:"tags,omitempty"`
	OwnerARN           string            `json:"ownerArn,omitempty"`
	CreatedAt          *time.Time        `json:"createdAt,omitempty"`
	ModifiedAt         *time.Time        `json:"modifiedAt,omitempty"`
}

// viewOf is an association as AWS's API has it.
func viewOf(p *types.PodIdentityAssociation) associationView {
	return associationView{
		ClusterName: aws.ToString(p.ClusterName), Namespace: aws.ToString(p.Namespace), ServiceAccount: aws.ToString(p.ServiceAccount),
		AssociationARN: aws.ToString(p.AssociationArn), AssociationID: aws.ToString(p.AssociationId), RoleARN: aws.ToString(p.RoleArn),
		TargetRoleARN: aws.ToString(p.TargetRoleArn), ExternalID: aws.ToString(p.ExternalId), DisableSessionTags: p.DisableSessionTags,
		Policy: aws.ToString(p.Policy), Tags: p.Tags, OwnerARN: aws.ToString(p.OwnerArn), CreatedAt: p.CreatedAt, ModifiedAt: p.ModifiedAt,
	}
}

func (a *associations) print(cmd *cobra.Command, p *types.PodIdentityAssociation) error {
	v := viewOf(p)
	return write(cmd.OutOrStdout(), a.output, v, func() error {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		row := func(name, value string) {
			if value != "" {
				fmt.Fprintf(w, "%s\t%s\n", name, value)
			}
		}
		row("ID", v.AssociationID)
		row("Cluster", v.ClusterName)
		row("Service account", v.Namespace+"/"+v.ServiceAccount)
		row("Pod Identity role", v.RoleARN)
		row("Target role", v.TargetRoleARN)
		row("External ID", v.ExternalID)
		row("Session tags", map[bool]string{false: "on", true: "off"}[aws.ToBool(v.DisableSessionTags)])
		row("Session policy", v.Policy)
		row("Tags", joinTags(v.Tags))
		if v.ModifiedAt != nil {
			row("Modified", v.ModifiedAt.Local().Format(time.DateTime))
		}
		return w.Flush()
	})
}

func joinTags(tags map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, key+"="+tags[key])
	}
	return strings.Join(all, ", ")
}

func (a *associations) printList(cmd *cobra.Command, all []types.PodIdentityAssociationSummary) error {
	views := make([]associationView, 0, len(all))
	for _, s := range all {
		views = append(views, associationView{
			ClusterName: aws.ToString(s.ClusterName), Namespace: aws.ToString(s.Namespace), ServiceAccount: aws.ToString(s.ServiceAccount),
			AssociationARN: aws.ToString(s.AssociationArn), AssociationID: aws.ToString(s.AssociationId), OwnerARN: aws.ToString(s.OwnerArn),
		})
	}
	return write(cmd.OutOrStdout(), a.output, views, func() error {
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAMESPACE\tSERVICE ACCOUNT\tID")
		for _, v := range views {
			fmt.Fprintf(w, "%s\t%s\t%s\n", v.Namespace, v.ServiceAccount, v.AssociationID)
		}
		return w.Flush()
	})
}

// cutFile understands the AWS CLI's file://PATH.
func cutFile(value string) (path string, isFile bool) { return strings.CutPrefix(value, "file://") }
