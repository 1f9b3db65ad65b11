// Package association holds the rules of pod identity associations: who may
// touch them, what they may say, and that there is one for each service
// account. Where they are kept is a Store's business.
package association

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podid/podid/internal/identity"
)

// DefaultLimit is AWS's quota of associations for each cluster
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html).
const DefaultLimit = 5000

// Roles judges Pod Identity roles.
type Roles interface {
	// Check returns nil if podid may assume the Pod Identity role of a, for its
	// cluster and service account, and tag the session. Its error is an
	// *identity.Error: InvalidParameter, with AWS's text, where the role does
	// not exist or its trust policy is at fault.
	Check(ctx context.Context, a identity.Association) error
}

// Config says what a Service works with. Store and Roles are required.
type Config struct {
	Store Store
	Roles Roles
	// Rules are those that depend on where podid runs.
	Rules Rules
	// Clusters are those that associations can be made for. An account has one
	// cluster of a name, as requests name nothing else.
	Clusters []Cluster
	// Changed is told of each association that was made, changed, tagged or deleted, once
	// the store has it and before whoever asked hears of it. Of writes at the same
	// time it may hear in another order. Nil: nobody is told.
	Changed func(a identity.Association, deleted bool)
	// Audit writes an event of each change, made or refused. Zero: of none.
	Audit Auditor
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Limit is the number of associations a cluster can have. 0: DefaultLimit.
	Limit int
}

// Service answers for associations. Every method but Lookup takes its caller
// and asks what they may do. Errors are *identity.Error.
type Service struct {
	store    Store
	roles    Roles
	rules    Rules
	clusters map[clusterKey]Cluster
	changed  func(a identity.Association, deleted bool)
	auditor  Auditor
	now      func() time.Time
	limit    int
}

// New makes a Service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Roles == nil {
		return nil, errors.New("association: Config.Store and Config.Roles are required")
	}
	s := &Service{store: c.Store, roles: c.Roles, rules: c.Rules, clusters: map[clusterKey]Cluster{}, changed: c.Changed, auditor: c.Audit, now: c.Now, limit: c.Limit}
	if s.changed == nil {
		s.changed = func(identity.Association, bool) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.limit == 0 {
		s.limit = DefaultLimit
	}
	for _, cluster := range c.Clusters {
		if err := cluster.check(); err != nil {
			return nil, err
		}
		key := clusterKey{cluster.AccountID, cluster.Name}
		if _, taken := s.clusters[key]; taken {
			return nil, fmt.Errorf("account %s has two clusters named %s: requests could not tell them apart", cluster.AccountID, cluster.Name)
		}
		s.clusters[key] = cluster
	}
	return s, nil
}

// Lookup finds the association of a service account, for issuing credentials.
func (s *Service) Lookup(ctx context.Context, cluster identity.Cluster, namespace, serviceAccount string) (identity.Association, error) {
	found, err := s.store.Find(ctx, Query{Cluster: cluster, Namespace: namespace, ServiceAccount: serviceAccount, Limit: 1})
	if err != nil {
		return identity.Association{}, err
	}
	// An empty name would be no filter, and so find somebody else's.
	if namespace == "" || serviceAccount == "" || len(found) == 0 {
		return identity.Association{}, identity.Errorf(identity.NotFound,
			"No pod identity association found for service account %s in namespace %s of cluster %s.", serviceAccount, namespace, cluster.Name)
	}
	return found[0], nil
}

// stamp is the present to the millisecond, which is what the API shows.
func (s *Service) stamp() time.Time { return s.now().UTC().Truncate(time.Millisecond) }
