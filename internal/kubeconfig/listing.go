package kubeconfig

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
)

// ListPodIdentityAssociations lists the associations of the cluster, of a
// namespace, or of a service account, which takes the right to get it alone.
func (a *Associations) ListPodIdentityAssociations(ctx context.Context, in *eks.ListPodIdentityAssociationsInput, _ ...func(*eks.Options)) (*eks.ListPodIdentityAssociationsOutput, error) {
	if name := aws.ToString(in.ClusterName); name != a.cluster.Name {
		return nil, a.noCluster(name)
	}
	list := &v1alpha1.PodIdentityAssociationList{}
	namespace, serviceAccount := aws.ToString(in.Namespace), aws.ToString(in.ServiceAccount)
	if namespace != "" && serviceAccount != "" {
		list.Items = make([]v1alpha1.PodIdentityAssociation, 1)
		err := a.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: serviceAccount}, &list.Items[0])
		if apierrors.IsNotFound(err) {
			list.Items = nil
		} else if err != nil {
			return nil, plain(err)
		}
	} else {
		err := a.live.List(ctx, list, client.InNamespace(namespace), client.Limit(page), client.Continue(aws.ToString(in.NextToken)))
		if err != nil {
			return nil, plain(err)
		}
	}
	a.saw(list.Items)
	out := &eks.ListPodIdentityAssociationsOutput{}
	if list.Continue != "" {
		out.NextToken = &list.Continue
	}
	for i := range list.Items {
		if o := &list.Items[i]; serviceAccount == "" || o.Name == serviceAccount {
			p := wire(a.cluster, o)
			out.Associations = append(out.Associations, types.PodIdentityAssociationSummary{
				AssociationArn: p.AssociationArn, AssociationId: p.AssociationId, ClusterName: p.ClusterName,
				Namespace: p.Namespace, ServiceAccount: p.ServiceAccount,
			})
		}
	}
	return out, nil
}

// ListClusters names the one cluster that a context is of.
func (a *Associations) ListClusters(context.Context, *eks.ListClustersInput, ...func(*eks.Options)) (*eks.ListClustersOutput, error) {
	return &eks.ListClustersOutput{Clusters: []string{a.cluster.Name}}, nil
}

// noCluster is AWS's exception, which its clients know.
func (a *Associations) noCluster(name string) error {
	return &types.ResourceNotFoundException{Message: aws.String(fmt.Sprintf("No cluster found for name: %s. This one is %s.", name, a.cluster.Name))}
}

// wire is an association as the EKS API has it.
func wire(cluster identity.Cluster, o *v1alpha1.PodIdentityAssociation) *types.PodIdentityAssociation {
	a := kube.Association(cluster, o)
	p := &types.PodIdentityAssociation{
		AssociationArn: aws.String(a.ARN()), AssociationId: &a.ID, ClusterName: &a.Cluster.Name,
		Namespace: &a.Namespace, ServiceAccount: &a.ServiceAccount, RoleArn: &a.RoleARN,
		DisableSessionTags: &a.DisableSessionTags, Tags: a.Tags, CreatedAt: &a.CreatedAt, ModifiedAt: &a.ModifiedAt,
	}
	if a.TargetRoleARN != "" {
		p.TargetRoleArn, p.ExternalId = &a.TargetRoleARN, aws.String(a.ExternalID())
	}
	if a.Policy != "" {
		p.Policy = &a.Policy
	}
	return p
}
