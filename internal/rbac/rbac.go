// Package rbac makes the users of a Kubernetes cluster into callers whom its
// RBAC judges: what IAM's actions are on AWS, verbs on podid.dev are here.
package rbac

import (
	"context"
	"errors"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
)

// defaultTimeout bounds one review.
const defaultTimeout = 2 * time.Second

// Reviews creates SubjectAccessReviews; the typed client's SubjectAccessReviews() does.
type Reviews interface {
	Create(ctx context.Context, review *authorizationv1.SubjectAccessReview, opts metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error)
}

// Config says who judges, and for which cluster. Reviews and Cluster are required.
type Config struct {
	// Reviews is the cluster's API server. podid needs the verb create on
	// subjectaccessreviews.authorization.k8s.io.
	Reviews Reviews
	// Cluster is the cluster as AWS would name it: its users are callers of its account.
	Cluster identity.Cluster
	// Timeout bounds one review. 0: 2 s.
	Timeout time.Duration
}

// Users makes callers of users. It is safe for concurrent use.
type Users struct{ config Config }

// New makes a Users. It asks nothing yet.
func New(c Config) (*Users, error) {
	if c.Reviews == nil || c.Cluster == (identity.Cluster{}) {
		return nil, errors.New("rbac: Reviews and Cluster are required")
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return &Users{c}, nil
}

// Caller returns the user whom the API server would know by these attributes
// (https://kubernetes.io/docs/reference/access-authn-authz/authentication/).
// Whoever calls must have authenticated the user: nothing is checked here.
func (u *Users) Caller(user, uid string, groups []string, extra map[string][]string) identity.Caller {
	c := &caller{users: u, user: user, uid: uid, groups: slices.Clone(groups), extra: map[string]authorizationv1.ExtraValue{}}
	for k, v := range extra {
		c.extra[k] = slices.Clone(v)
	}
	return c
}

type caller struct {
	users     *Users
	user, uid string
	groups    []string
	extra     map[string]authorizationv1.ExtraValue
}

// ARN names the user: arn:PARTITION:eks:REGION:ACCOUNT:user/CLUSTER/USER. AWS
// has no such resource; it is for logs and texts.
func (c *caller) ARN() string {
	cluster := c.users.config.Cluster
	return identity.ARN{
		Partition: identity.Partition(cluster.Region), Service: "eks", Region: cluster.Region,
		AccountID: cluster.AccountID, Resource: "user/" + cluster.Name + "/" + c.user,
	}.String()
}

// AccountID is that of the cluster.
func (c *caller) AccountID() string { return c.users.config.Cluster.AccountID }

// User returns the user's name and groups, for audit events.
func (c *caller) User() (name string, groups []string) { return c.user, c.groups }

// Authorize asks the API server, by a SubjectAccessReview. Its error is an
// *identity.Error: AccessDenied, whose text holds the RBAC objects that would
// allow it, or Unavailable.
func (c *caller) Authorize(ctx context.Context, access identity.Access) error {
	needed, known := permissionOf(access)
	if !known {
		return identity.Errorf(identity.AccessDenied,
			"User: %s is not authorized to perform: %s on resource: %s because a Kubernetes user cannot be allowed that action", c.user, access.Action, access.Resource)
	}
	if c.user == "" {
		return identity.Errorf(identity.AccessDenied, "A caller without a name is not authorized to perform: %s on resource: %s", access.Action, access.Resource)
	}
	ctx, cancel := context.WithTimeout(ctx, c.users.config.Timeout)
	defer cancel()
	review, err := c.users.config.Reviews.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: c.user, UID: c.uid, Groups: c.groups, Extra: c.extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: Group, Version: "v1alpha1", Resource: needed.resource, Verb: needed.verb, Namespace: needed.namespace, Name: needed.name,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return identity.Errorf(identity.Unavailable, "The cluster's API server cannot say at present whether User: %s may perform: %s.", c.user, access.Action).Because(err)
	}
	if !review.Status.Allowed || review.Status.Denied {
		return (&lack{c.user, []identity.Access{access}, []permission{needed}}).denied()
	}
	return nil
}
