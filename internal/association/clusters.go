package association

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
)

// Cluster is a cluster as DescribeCluster tells of it.
type Cluster struct {
	identity.Cluster
	Version              string // Kubernetes minor version: "1.34"
	PlatformVersion      string
	Endpoint             string // URL of the API server
	CertificateAuthority string // of the API server, PEM in base64
	Issuer               string // URL of the issuer of service account tokens
	RoleARN              string
	CreatedAt            time.Time
	Tags                 map[string]string
}

type clusterKey struct{ accountID, name string }

// clusterName is EKS Auth's pattern of the member clusterName
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html).
var clusterName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$`)

func (c Cluster) check() error {
	if !clusterName.MatchString(c.Name) || !identity.IsAccountID(c.AccountID) || c.Region == "" {
		return fmt.Errorf("cluster %q of account %q in region %q: want a name of 1-100 letters, digits, - and _, an account of 12 digits and a region",
			c.Name, c.AccountID, c.Region)
	}
	return nil
}

// cluster finds a cluster of the caller's own account; those of others do not
// exist for them.
func (s *Service) cluster(caller identity.Caller, name string) (Cluster, error) {
	c, ok := s.clusters[clusterKey{caller.AccountID(), name}]
	if !ok {
		return Cluster{}, identity.Errorf(identity.NotFound,
			"No cluster found for name: %.100s. Check the name, and that the credentials are of the cluster's account.", name)
	}
	return c, nil
}

// DescribeCluster returns a cluster of the caller's account.
func (s *Service) DescribeCluster(ctx context.Context, caller identity.Caller, name string) (Cluster, error) {
	c, err := s.cluster(caller, name)
	if err != nil {
		return Cluster{}, err
	}
	if err := caller.Authorize(ctx, onCluster("eks:DescribeCluster", c)); err != nil {
		return Cluster{}, err
	}
	return c, nil
}

// ListClusters returns the names of the clusters of the caller's account, in
// order, and the token of the next page.
func (s *Service) ListClusters(ctx context.Context, caller identity.Caller, page Page) (names []string, next string, err error) {
	if err := caller.Authorize(ctx, identity.Access{Action: "eks:ListClusters", Resource: "*"}); err != nil {
		return nil, "", err
	}
	scope := []string{"clusters", caller.AccountID()}
	size, after, err := page.open(scope)
	if err != nil {
		return nil, "", err
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.clusters), func(a, b clusterKey) int { return strings.Compare(a.name, b.name) }) {
		if key.accountID != caller.AccountID() || key.name <= after {
			continue
		}
		if len(names) == size {
			return names, pageToken(scope, names[size-1]), nil
		}
		names = append(names, key.name)
	}
	return names, "", nil
}
