package association

import (
	"context"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// Revoke declares that no credentials of an association are to be used that were
// made before now: podid drops what it holds, everywhere, and makes new ones.
// The caller needs eks:UpdatePodIdentityAssociation on it, and no iam:PassRole,
// since the roles stay as they are. It returns the association, whose RevokedAt
// is the next whole second: AWS dates sessions in whole seconds, and those of
// this one are to be told apart from those that come after.
func (s *Service) Revoke(ctx context.Context, caller identity.Caller, clusterName, id string) (identity.Association, error) {
	d := s.auditor.Decide(ctx, caller, s.now(), audit.RevokePodIdentityAssociation, clusterName)
	revoked, err := s.revoke(ctx, d, clusterName, id)
	return revoked, d.End(ctx, err)
}

func (s *Service) revoke(ctx context.Context, caller *Decision, clusterName, id string) (revoked identity.Association, err error) {
	cluster, err := s.cluster(caller, clusterName)
	if err != nil {
		return revoked, err
	}
	err = settle(func() error {
		seen, err := s.authorized(ctx, caller, "eks:UpdatePodIdentityAssociation", cluster, id, nil)
		if err != nil {
			return err
		}
		revoked, err = s.store.Update(ctx, cluster.Cluster, id, Once{}, func(a *identity.Association) error {
			if err := unmoved(seen, *a); err != nil {
				return err
			}
			now := s.stamp()
			next := now.Truncate(time.Second).Add(time.Second)
			if next.After(a.RevokedAt) {
				a.RevokedAt = next
			}
			a.ModifiedAt = now
			caller.Changes(&seen, a)
			return caller.Admit(ctx)
		})
		return err
	})
	if err == nil {
		s.changed(revoked, false)
	}
	return revoked, err
}
