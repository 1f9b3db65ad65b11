package devenv

import (
	"maps"
	"slices"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/identity"
)

const (
	administrator       = "administrator"
	administratorAccess = "arn:aws:iam::aws:policy/AdministratorAccess"
	nodeUser            = "podid-node"
)

// nodePolicy is what AmazonEKSWorkerNodePolicy gives nodes for Pod Identity
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html).
const nodePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks-auth:AssumeRoleForPodIdentity","Resource":"*"}]}`

// simulated turns the world into the small AWS's, and adds the users that
// development mode works with: an administrator for each account and, where
// there are clusters, a node.
func (w *World) simulated(keys *keyring, issuerURL func(cluster string) string) awssim.World {
	out := awssim.World{Organization: w.organization()}
	for _, a := range w.Accounts {
		account := awssim.Account{ID: a.ID, Name: a.Name}
		hasAdministrator := false
		for _, u := range a.Users {
			user := awssim.User{
				Name: u.Name, Path: u.Path, InlinePolicies: texts(u.Policies), ManagedPolicies: u.ManagedPolicies,
				PermissionsBoundary: u.PermissionsBoundary, Tags: sortedTags(u.Tags),
			}
			for _, k := range u.AccessKeys {
				user.AccessKeys = append(user.AccessKeys, awssim.AccessKey{ID: k.ID, Secret: identity.Secret(k.Secret)})
			}
			if u.Name == administrator {
				hasAdministrator = true
				user.AccessKeys = append(user.AccessKeys, keys.Administrators[a.ID].awssim())
			}
			account.Users = append(account.Users, user)
		}
		if !hasAdministrator {
			account.Users = append(account.Users, awssim.User{
				Name: administrator, ManagedPolicies: []string{administratorAccess},
				AccessKeys: []awssim.AccessKey{keys.Administrators[a.ID].awssim()},
			})
		}
		if node, ok := keys.Nodes[a.ID]; ok {
			account.Users = append(account.Users, awssim.User{
				Name: nodeUser, InlinePolicies: map[string]string{"eks-auth": nodePolicy}, AccessKeys: []awssim.AccessKey{node.awssim()},
			})
		}
		for _, r := range a.Roles {
			account.Roles = append(account.Roles, awssim.Role{
				Name: r.Name, Path: r.Path, Description: r.Description, TrustPolicy: string(r.Trust), InlinePolicies: texts(r.Policies),
				ManagedPolicies: r.ManagedPolicies, PermissionsBoundary: r.PermissionsBoundary, Tags: sortedTags(r.Tags),
				MaxSessionDuration: time.Duration(r.MaxSessionDuration) * time.Second,
			})
		}
		for _, p := range a.Policies {
			account.Policies = append(account.Policies, awssim.ManagedPolicy{Name: p.Name, Path: p.Path, Document: string(p.Policy)})
		}
		for _, b := range a.Buckets {
			account.Buckets = append(account.Buckets, awssim.Bucket{Name: b.Name, Region: b.Region, Policy: string(b.Policy), Objects: b.Objects})
		}
		for _, p := range a.OIDCProviders {
			url := p.URL
			if p.Cluster != "" {
				url = issuerURL(p.Cluster)
			}
			account.OIDCProviders = append(account.OIDCProviders, awssim.OIDCProvider{URL: url, ClientIDs: p.ClientIDs, Thumbprints: p.Thumbprints})
		}
		out.Accounts = append(out.Accounts, account)
	}
	return out
}

func (w *World) organization() *awssim.Organization {
	o := w.Organization
	if o == nil {
		return nil
	}
	root := worldUnit{Name: "Root", SCPs: o.SCPs, RCPs: o.RCPs, Accounts: o.Accounts, Units: o.Units}
	return &awssim.Organization{ID: "o-exampleorg", ManagementAccountID: o.ManagementAccount, Root: root.simulated()}
}

// simulated puts an account with policies of its own into a unit of its own:
// policies on an account act as those of a unit around it.
func (u worldUnit) simulated() awssim.Unit {
	out := awssim.Unit{Name: u.Name, SCPs: texts(u.SCPs), RCPs: texts(u.RCPs)}
	for _, m := range u.Accounts {
		if len(m.SCPs) == 0 && len(m.RCPs) == 0 {
			out.Accounts = append(out.Accounts, m.ID)
			continue
		}
		out.Units = append(out.Units, awssim.Unit{Name: "account " + m.ID, SCPs: texts(m.SCPs), RCPs: texts(m.RCPs), Accounts: []string{m.ID}})
	}
	for _, child := range u.Units {
		out.Units = append(out.Units, child.simulated())
	}
	return out
}

func texts(ds map[string]document) map[string]string {
	out := make(map[string]string, len(ds))
	for name, d := range ds {
		out[name] = string(d)
	}
	return out
}

func sortedTags(tags map[string]string) []identity.Tag {
	var out []identity.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, identity.Tag{Key: key, Value: tags[key]})
	}
	return out
}

// clusters are the world's clusters as DescribeCluster tells of them.
func (w *World) clusters(issuerURL func(cluster string) string, created time.Time) []association.Cluster {
	var out []association.Cluster
	for _, c := range w.Clusters {
		version := c.Version
		if version == "" {
			version = "1.34"
		}
		out = append(out, association.Cluster{
			Cluster: c.identity(), Version: version, PlatformVersion: "podid.1", Issuer: issuerURL(c.Name), CreatedAt: created,
		})
	}
	return out
}

func (c worldCluster) identity() identity.Cluster {
	return identity.Cluster{Name: c.Name, Region: c.Region, AccountID: c.Account}
}

// cluster finds a cluster by its name, which is unique in a world.
func (w *World) cluster(name string) (identity.Cluster, bool) {
	for _, c := range w.Clusters {
		if c.Name == name {
			return c.identity(), true
		}
	}
	return identity.Cluster{}, false
}
