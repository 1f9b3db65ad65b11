package association

import (
	"context"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// CreateInput is what CreatePodIdentityAssociation is asked for
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html).
type CreateInput struct {
	Cluster            string
	Namespace          string
	ServiceAccount     string
	RoleARN            string
	TargetRoleARN      string
	DisableSessionTags bool
	Policy             string
	Tags               map[string]string
	RequestToken       string
}

// Create makes an association. The caller needs
// eks:CreatePodIdentityAssociation on the cluster, eks:TagResource on the
// association if it gets tags, and iam:PassRole on the roles that Rules name.
func (s *Service) Create(ctx context.Context, caller identity.Caller, in CreateInput) (identity.Association, error) {
	d := s.auditor.Decide(ctx, caller, s.now(), audit.CreatePodIdentityAssociation, in.Cluster)
	made, err := s.create(ctx, d, in)
	return made, d.End(ctx, err)
}

func (s *Service) create(ctx context.Context, caller *Decision, in CreateInput) (identity.Association, error) {
	var none identity.Association
	cluster, err := s.cluster(caller, in.Cluster)
	if err != nil {
		return none, err
	}
	now := s.stamp()
	a := identity.Association{
		ID: newID(), Cluster: cluster.Cluster, Namespace: in.Namespace, ServiceAccount: in.ServiceAccount,
		RoleARN: in.RoleARN, TargetRoleARN: in.TargetRoleARN, DisableSessionTags: in.DisableSessionTags,
		Policy: in.Policy, Tags: in.Tags, CreatedAt: now, ModifiedAt: now,
	}
	if err := check(a); err != nil {
		return none, err
	}
	caller.Changes(nil, &a)
	once, err := s.once("create", in.RequestToken, in)
	if err != nil {
		return none, err
	}
	access := withRequestTags(onCluster("eks:CreatePodIdentityAssociation", cluster), a.Tags)
	access.Namespace, access.ServiceAccount = a.Namespace, a.ServiceAccount
	if err := caller.Authorize(ctx, access); err != nil {
		return none, err
	}
	if len(a.Tags) > 0 {
		untagged := a
		untagged.Tags = nil
		if err := caller.Authorize(ctx, withRequestTags(onAssociation("eks:TagResource", untagged), a.Tags)); err != nil {
			return none, err
		}
	}
	if err := s.rules.pass(ctx, caller, a); err != nil {
		return none, err
	}
	if err := s.roles.Check(ctx, a); err != nil {
		return none, err
	}
	if err := caller.Admit(ctx); err != nil {
		return none, err
	}
	made, err := s.store.Create(ctx, a, once, s.limit)
	if err == nil {
		s.changed(made, false)
	}
	return made, err
}

// Describe returns an association.
func (s *Service) Describe(ctx context.Context, caller identity.Caller, clusterName, id string) (identity.Association, error) {
	cluster, err := s.cluster(caller, clusterName)
	if err != nil {
		return identity.Association{}, err
	}
	return s.authorized(ctx, caller, "eks:DescribePodIdentityAssociation", cluster, id, nil)
}

// ListInput is what ListPodIdentityAssociations is asked for. Empty filters do
// not restrict.
type ListInput struct {
	Cluster        string
	Namespace      string
	ServiceAccount string
	Page           Page
}

// List returns one page of a cluster's associations, and the token of the next
// page, empty with the last.
func (s *Service) List(ctx context.Context, caller identity.Caller, in ListInput) (found []identity.Association, next string, err error) {
	cluster, err := s.cluster(caller, in.Cluster)
	if err != nil {
		return nil, "", err
	}
	access := onCluster("eks:ListPodIdentityAssociations", cluster)
	access.Namespace, access.ServiceAccount = in.Namespace, in.ServiceAccount
	if err := caller.Authorize(ctx, access); err != nil {
		return nil, "", err
	}
	scope := []string{"associations", cluster.ARN(), in.Namespace, in.ServiceAccount}
	size, after, err := in.Page.open(scope)
	if err != nil {
		return nil, "", err
	}
	found, err = s.store.Find(ctx, Query{
		Cluster: cluster.Cluster, Namespace: in.Namespace, ServiceAccount: in.ServiceAccount,
		After: after, Limit: size + 1, // one more tells whether there is a next page
	})
	if err != nil || len(found) <= size {
		return found, "", err
	}
	found = found[:size]
	return found, pageToken(scope, found[size-1].ID), nil
}

// UpdateInput is what UpdatePodIdentityAssociation is asked for: nil leaves a
// field as it is, and "" clears the target role or the policy
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdatePodIdentityAssociation.html).
type UpdateInput struct {
	Cluster            string
	ID                 string
	RoleARN            *string
	TargetRoleARN      *string
	DisableSessionTags *bool
	Policy             *string
	RequestToken       string
}

// apply changes a as asked and says whether anything is different now.
func (in UpdateInput) apply(a *identity.Association) (changed bool) {
	before := *a
	if in.RoleARN != nil {
		a.RoleARN = *in.RoleARN
	}
	if in.TargetRoleARN != nil {
		a.TargetRoleARN = *in.TargetRoleARN
	}
	if in.DisableSessionTags != nil {
		a.DisableSessionTags = *in.DisableSessionTags
	}
	if in.Policy != nil {
		a.Policy = *in.Policy
	}
	return a.RoleARN != before.RoleARN || a.TargetRoleARN != before.TargetRoleARN ||
		a.DisableSessionTags != before.DisableSessionTags || a.Policy != before.Policy
}

// Update changes an association. The caller needs
// eks:UpdatePodIdentityAssociation on it, and iam:PassRole on the roles that it
// will have: also where those stay the same, because a target role, a policy or
// the tags decide what is done with a role.
func (s *Service) Update(ctx context.Context, caller identity.Caller, in UpdateInput) (identity.Association, error) {
	d := s.auditor.Decide(ctx, caller, s.now(), audit.UpdatePodIdentityAssociation, in.Cluster)
	updated, err := s.update(ctx, d, in)
	return updated, d.End(ctx, err)
}

func (s *Service) update(ctx context.Context, caller *Decision, in UpdateInput) (updated identity.Association, err error) {
	cluster, err := s.cluster(caller, in.Cluster)
	if err != nil {
		return updated, err
	}
	once, err := s.once("update", in.RequestToken, in)
	if err != nil {
		return updated, err
	}
	err = settle(func() error {
		seen, err := s.authorized(ctx, caller, "eks:UpdatePodIdentityAssociation", cluster, in.ID, nil)
		if err != nil {
			return err
		}
		wanted := seen
		changed := in.apply(&wanted)
		if err := check(wanted); err != nil {
			return err
		}
		caller.Changes(&seen, &wanted)
		if err := s.rules.pass(ctx, caller, wanted); err != nil {
			return err
		}
		// The target role has no part in the first hop, which is what is tried.
		if in.RoleARN != nil || in.DisableSessionTags != nil || in.Policy != nil {
			if err := s.roles.Check(ctx, wanted); err != nil {
				return err
			}
		}
		updated, err = s.store.Update(ctx, cluster.Cluster, in.ID, once, func(a *identity.Association) error {
			if err := unmoved(seen, *a); err != nil {
				return err
			}
			if !changed {
				return identity.Errorf(identity.InvalidRequest,
					"The update changes nothing: at least one property has to differ from what the association has.")
			}
			if err := caller.Admit(ctx); err != nil {
				return err
			}
			*a = wanted
			a.ModifiedAt = s.stamp()
			return nil
		})
		return err
	})
	if err == nil {
		s.changed(updated, false)
	}
	return updated, err
}

// Delete removes an association and returns it as it was.
func (s *Service) Delete(ctx context.Context, caller identity.Caller, clusterName, id string) (identity.Association, error) {
	d := s.auditor.Decide(ctx, caller, s.now(), audit.DeletePodIdentityAssociation, clusterName)
	deleted, err := s.delete(ctx, d, clusterName, id)
	return deleted, d.End(ctx, err)
}

func (s *Service) delete(ctx context.Context, caller *Decision, clusterName, id string) (deleted identity.Association, err error) {
	cluster, err := s.cluster(caller, clusterName)
	if err != nil {
		return deleted, err
	}
	err = settle(func() error {
		seen, err := s.authorized(ctx, caller, "eks:DeletePodIdentityAssociation", cluster, id, nil)
		if err != nil {
			return err
		}
		caller.Changes(&seen, nil)
		deleted, err = s.store.Delete(ctx, cluster.Cluster, id, func(a identity.Association) error {
			if err := unmoved(seen, a); err != nil {
				return err
			}
			return caller.Admit(ctx)
		})
		return err
	})
	if err == nil {
		s.changed(deleted, true)
	}
	return deleted, err
}
