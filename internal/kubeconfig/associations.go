package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
)

// Associations are those of a cluster as its API server shows them to the user,
// with the operations that AWS's client of the EKS API has for them: what uses
// that client can use this. It is for one command, which does one thing at a time.
type Associations struct {
	cluster identity.Cluster
	live    client.Client
	known   map[string]client.ObjectKey // by id; those that were seen
}

// page is how many associations are listed at once, as kubectl does it.
const page = 500

// Associations returns the associations of the cluster.
func (k *Cluster) Associations(ctx context.Context) (*Associations, error) {
	info, err := k.Info(ctx)
	if err != nil {
		return nil, err
	}
	return &Associations{cluster: info.Cluster, live: k.live, known: map[string]client.ObjectKey{}}, nil
}

// Cluster is the cluster as AWS would name it.
func (a *Associations) Cluster() identity.Cluster { return a.cluster }

// CreatePodIdentityAssociation creates the custom resource of a service account.
func (a *Associations) CreatePodIdentityAssociation(ctx context.Context, in *eks.CreatePodIdentityAssociationInput, _ ...func(*eks.Options)) (*eks.CreatePodIdentityAssociationOutput, error) {
	if in.ClientRequestToken != nil {
		return nil, errors.New("--client-request-token is for the EKS API: here the service account's name is what makes an association one")
	}
	o := &v1alpha1.PodIdentityAssociation{
		ObjectMeta: metav1.ObjectMeta{Namespace: aws.ToString(in.Namespace), Name: aws.ToString(in.ServiceAccount)},
		Spec: v1alpha1.PodIdentityAssociationSpec{
			RoleARN: aws.ToString(in.RoleArn), TargetRoleARN: aws.ToString(in.TargetRoleArn),
			DisableSessionTags: aws.ToBool(in.DisableSessionTags), Policy: aws.ToString(in.Policy),
		},
	}
	if len(in.Tags) > 0 {
		o.Spec.Tags = make(map[string]v1alpha1.TagValue, len(in.Tags))
		for k, v := range in.Tags {
			o.Spec.Tags[k] = v1alpha1.TagValue(v)
		}
	}
	if err := a.live.Create(ctx, o); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("service account %s/%s has an association: change it with update", o.Namespace, o.Name)
		}
		return nil, plain(err)
	}
	return &eks.CreatePodIdentityAssociationOutput{Association: wire(a.cluster, o)}, nil
}

// DescribePodIdentityAssociation finds an association by its id.
func (a *Associations) DescribePodIdentityAssociation(ctx context.Context, in *eks.DescribePodIdentityAssociationInput, _ ...func(*eks.Options)) (*eks.DescribePodIdentityAssociationOutput, error) {
	o, err := a.find(ctx, aws.ToString(in.AssociationId))
	if err != nil {
		return nil, err
	}
	return &eks.DescribePodIdentityAssociationOutput{Association: wire(a.cluster, o)}, nil
}

// UpdatePodIdentityAssociation changes what the input names: an empty text
// clears its field.
func (a *Associations) UpdatePodIdentityAssociation(ctx context.Context, in *eks.UpdatePodIdentityAssociationInput, _ ...func(*eks.Options)) (*eks.UpdatePodIdentityAssociationOutput, error) {
	if in.ClientRequestToken != nil {
		return nil, errors.New("--client-request-token is for the EKS API: here an update changes what is there, or fails")
	}
	var updated *v1alpha1.PodIdentityAssociation
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := a.find(ctx, aws.ToString(in.AssociationId))
		if err != nil {
			return err
		}
		for _, field := range []struct{ to, value *string }{
			{&o.Spec.RoleARN, in.RoleArn}, {&o.Spec.TargetRoleARN, in.TargetRoleArn}, {&o.Spec.Policy, in.Policy},
		} {
			if field.value != nil {
				*field.to = *field.value
			}
		}
		if in.DisableSessionTags != nil {
			o.Spec.DisableSessionTags = *in.DisableSessionTags
		}
		updated = o
		return a.live.Update(ctx, o)
	})
	if err != nil {
		return nil, plain(err)
	}
	return &eks.UpdatePodIdentityAssociationOutput{Association: wire(a.cluster, updated)}, nil
}

// Revoke has the credentials made for an association before now dropped, wherever
// they are kept, and returns since when they have to be newer.
func (a *Associations) Revoke(ctx context.Context, _, id string) (time.Time, error) {
	var at time.Time
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := a.find(ctx, id)
		if err != nil {
			return err
		}
		o.Spec.RevokedAt = kube.Revocation(o.Spec.RevokedAt, time.Now())
		at = o.Spec.RevokedAt.Time
		return a.live.Update(ctx, o)
	})
	return at, plain(err)
}

// DeletePodIdentityAssociation deletes the association of that id, and none that
// has taken its name since.
func (a *Associations) DeletePodIdentityAssociation(ctx context.Context, in *eks.DeletePodIdentityAssociationInput, _ ...func(*eks.Options)) (*eks.DeletePodIdentityAssociationOutput, error) {
	o, err := a.find(ctx, aws.ToString(in.AssociationId))
	if err != nil {
		return nil, err
	}
	if err := a.live.Delete(ctx, o, client.Preconditions{UID: &o.UID}); err != nil {
		return nil, plain(err)
	}
	return &eks.DeletePodIdentityAssociationOutput{Association: wire(a.cluster, o)}, nil
}

// find reads the association of an id. Its names are known if it was listed; if
// not, it is looked for in the whole cluster.
func (a *Associations) find(ctx context.Context, id string) (*v1alpha1.PodIdentityAssociation, error) {
	key, known := a.known[id]
	if !known {
		list := &v1alpha1.PodIdentityAssociationList{}
		err := a.live.List(ctx, list)
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("%w; with rights in one namespace alone, name the association by -n and -s", plain(err))
		}
		if err != nil {
			return nil, plain(err)
		}
		a.saw(list.Items)
		if key, known = a.known[id]; !known {
			return nil, fmt.Errorf("no association has the id %.64s", id)
		}
	}
	o := &v1alpha1.PodIdentityAssociation{}
	if err := a.live.Get(ctx, key, o); err != nil {
		return nil, plain(err)
	}
	if kube.ID(o.UID) != id {
		return nil, fmt.Errorf("association %s is gone; %s/%s has another", id, o.Namespace, o.Name)
	}
	return o, nil
}

func (a *Associations) saw(items []v1alpha1.PodIdentityAssociation) {
	for i := range items {
		a.known[kube.ID(items[i].UID)] = client.ObjectKeyFromObject(&items[i])
	}
}

// plain says in words what the API server's error says in types.
func plain(err error) error {
	if meta.IsNoMatchError(err) {
		return errors.New("the cluster knows no PodIdentityAssociation: podid is not installed there")
	}
	return err
}
