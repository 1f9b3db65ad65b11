package association

import (
	"context"
	"time"

	"github.com/podid/podid/internal/identity"
)

// Store keeps associations. Each method is one transaction: it happens in full
// or not at all, what it has returned without an error survives a crash, and
// every later call sees it. Errors are *identity.Error: those of this file,
// Unavailable where trying again may help, and Internal.
type Store interface {
	// Create stores a, and returns it as it is stored: its id and times may be
	// the store's own. In this order: if once is known, it returns the
	// association that request made, or TokenReused; AlreadyExists if the
	// service account has an association; LimitReached if the cluster has
	// limit of them.
	Create(ctx context.Context, a identity.Association, once Once, limit int) (identity.Association, error)

	// Find returns the associations that q asks for, in order of their ids.
	Find(ctx context.Context, q Query) ([]identity.Association, error)

	// Update stores what edit makes of an association, and returns it. If once
	// is known, it returns the association without calling edit, or
	// TokenReused. An error of edit is returned as it is, and nothing changes.
	// edit leaves cluster, id, namespace and service account alone, and may
	// run more than once. No such association: NotFound.
	Update(ctx context.Context, cluster identity.Cluster, id string, once Once, edit func(*identity.Association) error) (identity.Association, error)

	// Delete removes an association that passes check, and returns it. An error
	// of check is returned as it is. No such association: NotFound.
	Delete(ctx context.Context, cluster identity.Cluster, id string, check func(identity.Association) error) (identity.Association, error)
}

// Query selects associations of one cluster. Empty fields do not restrict.
type Query struct {
	Cluster        identity.Cluster
	ID             string
	Namespace      string
	ServiceAccount string
	After          string // only ids greater than this
	Limit          int    // at most this many; required
}

// Once makes a request idempotent: a store remembers the token, within its
// cluster, for OnceLifetime as a rule, sooner forgotten only if the association
// is deleted or many requests came after. The zero value is a request that is
// not idempotent.
type Once struct {
	Token  string
	Digest string // of all that was asked; the same token must come with the same digest
	At     time.Time
}

// OnceLifetime is how long a clientRequestToken is remembered. AWS states no
// figure for EKS.
const OnceLifetime = 24 * time.Hour

// AlreadyExists is AWS's text to the letter: clients read the id from its end
// (https://github.com/eksctl-io/eksctl/issues/7753).
func AlreadyExists(id string) *identity.Error {
	return identity.Errorf(identity.InUse, "Association already exists: %s", id)
}

// LimitReached says that a cluster has as many associations as it may.
func LimitReached(limit int) *identity.Error {
	return identity.Errorf(identity.LimitExceeded,
		"The cluster has %d pod identity associations, and can have no more. Delete those no longer needed.", limit)
}

// NotFound says that a cluster has no association of that id.
func NotFound(id string) *identity.Error {
	return identity.Errorf(identity.NotFound,
		"No pod identity association found for id: %.64s. List the cluster's associations to find its id.", id)
}

// TokenReused says that a request token came before with another request.
func TokenReused() *identity.Error {
	return identity.Errorf(identity.InvalidParameter,
		"clientRequestToken was used before, with different parameters. Use a new token for a new request.")
}
