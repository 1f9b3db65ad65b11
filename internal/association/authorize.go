package association

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/podid/podid/internal/identity"
)

// onCluster is an access to a cluster
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html).
func onCluster(action string, c Cluster) identity.Access {
	return identity.Access{Action: action, Resource: c.ARN(), Context: resourceTags(c.Tags)}
}

// onAssociation is an access to an association.
func onAssociation(action string, a identity.Association) identity.Access {
	return identity.Access{
		Action: action, Resource: a.ARN(), Context: resourceTags(a.Tags),
		Namespace: a.Namespace, ServiceAccount: a.ServiceAccount,
	}
}

func resourceTags(tags map[string]string) map[string][]string {
	keys := map[string][]string{}
	for k, v := range tags {
		keys["aws:ResourceTag/"+k] = []string{v}
	}
	return keys
}

// withRequestTags adds the condition keys of tags in a request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html#access_tags_control-requests).
func withRequestTags(access identity.Access, tags map[string]string) identity.Access {
	if len(tags) == 0 {
		return access
	}
	for k, v := range tags {
		access.Context["aws:RequestTag/"+k] = []string{v}
	}
	access.Context["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	return access
}

// authorized finds an association that caller may do action to. It asks even
// about one that does not exist, so that nobody can probe for ids.
func (s *Service) authorized(ctx context.Context, caller identity.Caller, action string, cluster Cluster, id string, more func(identity.Access) identity.Access) (identity.Association, error) {
	if !associationID.MatchString(id) {
		return identity.Association{}, NotFound(id)
	}
	found, err := s.store.Find(ctx, Query{Cluster: cluster.Cluster, ID: id, Limit: 1})
	if err != nil {
		return identity.Association{}, err
	}
	a := identity.Association{Cluster: cluster.Cluster, ID: id}
	if len(found) == 1 {
		a = found[0]
	}
	if d, ok := caller.(*Decision); ok {
		d.of(a)
	}
	access := onAssociation(action, a)
	if more != nil {
		access = more(access)
	}
	if err := caller.Authorize(ctx, access); err != nil {
		return identity.Association{}, err
	}
	if len(found) == 0 {
		return identity.Association{}, NotFound(id)
	}
	return a, nil
}

// errMoved says that an association is no longer what was judged.
var errMoved = errors.New("the association was changed by another request")

// unmoved returns errMoved unless an association still has all that a judgement
// can have rested on, and all that an update would put back.
func unmoved(seen, now identity.Association) error {
	if now.RoleARN != seen.RoleARN || now.TargetRoleARN != seen.TargetRoleARN || now.Policy != seen.Policy ||
		now.DisableSessionTags != seen.DisableSessionTags || !now.RevokedAt.Equal(seen.RevokedAt) || !maps.Equal(now.Tags, seen.Tags) {
		return errMoved
	}
	return nil
}

// maxAttempts is how often a request starts over because another changed the
// association while it was being authorised.
const maxAttempts = 20

// settle runs attempt, which authorises and then writes, until nothing moved in
// between.
func settle(attempt func() error) error {
	for range maxAttempts {
		if err := attempt(); !errors.Is(err, errMoved) {
			return err
		}
	}
	return identity.Errorf(identity.Throttled, "The association is being changed by other requests. Try again.").Because(errMoved)
}
