package association

import (
	"context"
	"maps"
	"strings"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// Tag sets tags of the association with that ARN; other tags stay.
func (s *Service) Tag(ctx context.Context, caller identity.Caller, resourceARN string, tags map[string]string) error {
	if len(tags) == 0 {
		return identity.Errorf(identity.InvalidParameter, "tags has to hold 1-%d tags.", maxTags)
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.retag(ctx, caller, audit.TagResource, resourceARN,
		func(access identity.Access) identity.Access { return withRequestTags(access, tags) },
		func(stored map[string]string) error {
			maps.Copy(stored, tags)
			if len(stored) > maxTags {
				return tooManyTags()
			}
			return nil
		})
}

// Untag removes the tags with those keys; keys that are not there are no error.
func (s *Service) Untag(ctx context.Context, caller identity.Caller, resourceARN string, keys []string) error {
	if len(keys) == 0 || len(keys) > maxTags {
		return identity.Errorf(identity.InvalidParameter, "tagKeys has to hold 1-%d keys.", maxTags)
	}
	for _, key := range keys {
		if err := checkTagKey(key); err != nil {
			return err
		}
	}
	return s.retag(ctx, caller, audit.UntagResource, resourceARN,
		func(access identity.Access) identity.Access {
			access.Context["aws:TagKeys"] = keys
			return access
		},
		func(stored map[string]string) error {
			for _, key := range keys {
				delete(stored, key)
			}
			return nil
		})
}

// retag changes the tags of an association, of which modifiedAt tells nothing.
func (s *Service) retag(ctx context.Context, caller identity.Caller, name, resourceARN string,
	more func(identity.Access) identity.Access, edit func(map[string]string) error) error {
	cluster, id, err := s.resource(caller, resourceARN)
	if err != nil {
		return err
	}
	d := s.auditor.Decide(ctx, caller, s.now(), name, cluster.Name)
	return d.End(ctx, s.retagged(ctx, d, "eks:"+name, cluster, id, more, edit))
}

func (s *Service) retagged(ctx context.Context, caller *Decision, action string, cluster Cluster, id string,
	more func(identity.Access) identity.Access, edit func(map[string]string) error) error {
	if id == "" {
		return identity.Errorf(identity.InvalidParameter, "The tags of a cluster are part of podid's configuration. Change them there.")
	}
	return settle(func() error {
		seen, err := s.authorized(ctx, caller, action, cluster, id, more)
		if err != nil {
			return err
		}
		tagged, err := s.store.Update(ctx, cluster.Cluster, id, Once{}, func(a *identity.Association) error {
			if err := unmoved(seen, *a); err != nil {
				return err
			}
			tags := map[string]string{}
			maps.Copy(tags, a.Tags)
			a.Tags = tags
			if err := edit(tags); err != nil {
				return err
			}
			caller.Changes(&seen, a)
			return caller.Admit(ctx)
		})
		if err == nil {
			s.changed(tagged, false)
		}
		return err
	})
}

// ListTags returns the tags of an association or a cluster.
func (s *Service) ListTags(ctx context.Context, caller identity.Caller, resourceARN string) (map[string]string, error) {
	const action = "eks:ListTagsForResource"
	cluster, id, err := s.resource(caller, resourceARN)
	if err != nil {
		return nil, err
	}
	if id != "" {
		a, err := s.authorized(ctx, caller, action, cluster, id, nil)
		return a.Tags, err
	}
	if err := caller.Authorize(ctx, onCluster(action, cluster)); err != nil {
		return nil, err
	}
	return cluster.Tags, nil
}

// resource finds what an ARN names: a cluster of the caller's account, and the
// id of an association of it, or "" for the cluster itself.
func (s *Service) resource(caller identity.Caller, resourceARN string) (cluster Cluster, id string, err error) {
	arn, err := identity.ParseARN(resourceARN)
	kind, rest, _ := strings.Cut(arn.Resource, "/")
	name := rest
	if kind == "podidentityassociation" {
		name, id, _ = strings.Cut(rest, "/")
	}
	if err != nil || arn.Service != "eks" || kind != "cluster" && id == "" {
		return Cluster{}, "", identity.Errorf(identity.InvalidParameter,
			"resourceArn is not valid: want the ARN of a pod identity association, arn:aws:eks:REGION:ACCOUNT:podidentityassociation/CLUSTER/ID, or of a cluster.")
	}
	cluster, err = s.cluster(caller, name)
	named := identity.Cluster{Name: name, Region: arn.Region, AccountID: arn.AccountID}
	if err != nil || cluster.Cluster != named || arn.Partition != identity.Partition(arn.Region) {
		return Cluster{}, "", identity.Errorf(identity.NotFound, "No resource found for ARN: %.300s.", resourceARN)
	}
	return cluster, id, nil
}
