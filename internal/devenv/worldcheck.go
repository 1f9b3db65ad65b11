package devenv

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// problem is one thing wrong in a world, at a path such as accounts[0].id.
type problem struct{ path, text string }

var (
	iamName     = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)                                        // IAM model: roleNameType, userNameType
	policyName  = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,128}$`)                                       // IAM model: policyNameType
	iamPath     = regexp.MustCompile(`^/([!-~]{1,510}/)?$`)                                               // IAM model: pathType
	clusterName = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)                                  // EKS Auth model: ClusterName
	regionName  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)                                        // such as us-west-2, us-gov-east-1
	bucketName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)                                // S3 user guide, bucket naming rules
	namespaceRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)                              // RFC 1123 label
	saName      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`) // RFC 1123 subdomain
)

// checker gathers problems; it never stops at the first.
type checker struct {
	found    []problem
	accounts map[string]bool
	clusters map[string]bool
	buckets  map[string]bool
}

func (w *World) problems() []problem {
	c := &checker{accounts: map[string]bool{}, clusters: map[string]bool{}, buckets: map[string]bool{}}
	if len(w.Accounts) == 0 {
		c.add("accounts", "a world needs at least one account")
	}
	if len(w.Clusters) == 0 {
		c.add("clusters", "a world needs at least one cluster")
	}
	for i, a := range w.Accounts {
		c.account(fmt.Sprintf("accounts[%d]", i), a)
	}
	for i, k := range w.Clusters {
		c.cluster(fmt.Sprintf("clusters[%d]", i), k)
	}
	for i, a := range w.Accounts { // an issuer may be named before its cluster
		for j, p := range a.OIDCProviders {
			c.oidcProvider(fmt.Sprintf("accounts[%d].oidcProviders[%d]", i, j), p)
		}
	}
	seen := map[string]bool{}
	for i, a := range w.Associations {
		c.association(fmt.Sprintf("associations[%d]", i), a, seen)
	}
	if o := w.Organization; o != nil {
		c.known("organization.managementAccount", o.ManagementAccount)
		c.unit("organization", worldUnit{SCPs: o.SCPs, RCPs: o.RCPs, Accounts: o.Accounts, Units: o.Units})
	}
	return c.found
}

func (c *checker) add(path, format string, args ...any) {
	c.found = append(c.found, problem{path, fmt.Sprintf(format, args...)})
}

func (c *checker) match(path, value string, form *regexp.Regexp, want string) {
	if !form.MatchString(value) {
		c.add(path, "%q is not %s", value, want)
	}
}

// once reports a name that stands twice among its kind.
func (c *checker) once(path string, seen map[string]bool, name string) {
	if seen[name] {
		c.add(path, "%q is there twice", name)
	}
	seen[name] = true
}

func (c *checker) known(path, account string) {
	if !c.accounts[account] {
		c.add(path, "account %q is not among this world's accounts", account)
	}
}

func (c *checker) policy(path string, t policy.Type, d document) {
	if _, err := policy.Parse(t, string(d)); err != nil {
		c.add(path, "%v", err)
	}
}

func (c *checker) policies(path string, t policy.Type, ds map[string]document) {
	for _, name := range slices.Sorted(maps.Keys(ds)) {
		at := path + "." + name
		c.match(at, name, policyName, "the name of a policy: up to 128 letters, digits and _+=,.@-")
		c.policy(at, t, ds[name])
	}
}

func (c *checker) iamPolicyARN(path, arn string) {
	a, err := identity.ParseARN(arn)
	if err != nil || a.Service != "iam" || len(a.Resource) < len("policy/x") || a.Resource[:7] != "policy/" {
		c.add(path, "%q is not the ARN of a managed policy: want arn:aws:iam::111122223333:policy/NAME", arn)
	}
}

// entity checks what users and roles have in common.
func (c *checker) entity(path, name, iamPathValue string, inline map[string]document, managed []string, boundary string) {
	c.match(path+".name", name, iamName, "a name in IAM: up to 64 letters, digits and _+=,.@-")
	if iamPathValue != "" {
		c.match(path+".path", iamPathValue, iamPath, "an IAM path: it begins and ends with /")
	}
	c.policies(path+".policies", policy.Identity, inline)
	for i, arn := range managed {
		c.iamPolicyARN(fmt.Sprintf("%s.managedPolicies[%d]", path, i), arn)
	}
	if boundary != "" {
		c.iamPolicyARN(path+".permissionsBoundary", boundary)
	}
}

func (c *checker) account(path string, a worldAccount) {
	c.match(path+".id", a.ID, regexp.MustCompile(`^[0-9]{12}$`), "an account id: 12 digits in quotes")
	c.once(path+".id", c.accounts, a.ID)
	users, roles, managed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, u := range a.Users {
		at := fmt.Sprintf("%s.users[%d]", path, i)
		c.once(at+".name", users, u.Name)
		c.entity(at, u.Name, u.Path, u.Policies, u.ManagedPolicies, u.PermissionsBoundary)
		for j, k := range u.AccessKeys {
			c.match(fmt.Sprintf("%s.accessKeys[%d].id", at, j), k.ID, regexp.MustCompile(`^AKIA[A-Z0-9]{16}$`), "an access key id: AKIA and 16 capitals or digits")
			if len(k.Secret) < 16 {
				c.add(fmt.Sprintf("%s.accessKeys[%d].secret", at, j), "a secret key has at least 16 characters")
			}
		}
	}
	for i, r := range a.Roles {
		at := fmt.Sprintf("%s.roles[%d]", path, i)
		c.once(at+".name", roles, r.Name)
		c.entity(at, r.Name, r.Path, r.Policies, r.ManagedPolicies, r.PermissionsBoundary)
		c.policy(at+".trust", policy.Trust, r.Trust)
		if d := r.MaxSessionDuration; d != 0 && (d < 3600 || d > 43200) {
			c.add(at+".maxSessionDuration", "%d is not between 3600 and 43200 seconds", d)
		}
	}
	for i, p := range a.Policies {
		at := fmt.Sprintf("%s.policies[%d]", path, i)
		c.match(at+".name", p.Name, policyName, "the name of a policy: up to 128 letters, digits and _+=,.@-")
		c.once(at+".name", managed, p.Name)
		c.policy(at+".policy", policy.Identity, p.Policy)
	}
	for i, b := range a.Buckets {
		at := fmt.Sprintf("%s.buckets[%d]", path, i)
		c.match(at+".name", b.Name, bucketName, "a bucket's name: 3 to 63 of a-z, 0-9, . and -")
		c.once(at+".name", c.buckets, b.Name)
		if b.Region != "" {
			c.match(at+".region", b.Region, regionName, "a region such as us-west-2")
		}
		if b.Policy != "" {
			c.policy(at+".policy", policy.Resource, b.Policy)
		}
	}
}

func (c *checker) oidcProvider(path string, p worldOIDCProvider) {
	switch {
	case (p.URL == "") == (p.Cluster == ""):
		c.add(path, "give either url or cluster")
	case p.Cluster != "" && !c.clusters[p.Cluster]:
		c.add(path+".cluster", "cluster %q is not among this world's clusters", p.Cluster)
	}
	if len(p.ClientIDs) == 0 {
		c.add(path+".clientIds", "a provider needs at least one client id, the audience of its tokens")
	}
}

func (c *checker) cluster(path string, k worldCluster) {
	c.match(path+".name", k.Name, clusterName, "the name of a cluster: up to 100 letters, digits, - and _")
	c.once(path+".name", c.clusters, k.Name)
	c.known(path+".account", k.Account)
	c.match(path+".region", k.Region, regionName, "a region such as us-west-2")
	for i, s := range k.ServiceAccounts {
		c.serviceAccount(fmt.Sprintf("%s.serviceAccounts[%d]", path, i), "name", s.Namespace, s.Name)
	}
}

func (c *checker) serviceAccount(path, field, namespace, name string) {
	c.match(path+".namespace", namespace, namespaceRE, "the name of a namespace (RFC 1123 label)")
	if len(name) > 253 || !saName.MatchString(name) {
		c.add(path+"."+field, "%q is not the name of a service account (RFC 1123 subdomain)", name)
	}
}

func (c *checker) association(path string, a worldAssociation, seen map[string]bool) {
	if !c.clusters[a.Cluster] {
		c.add(path+".cluster", "cluster %q is not among this world's clusters", a.Cluster)
	}
	c.serviceAccount(path, "serviceAccount", a.Namespace, a.ServiceAccount)
	if key := a.Cluster + "/" + a.Namespace + "/" + a.ServiceAccount; seen[key] {
		c.add(path, "%s has an association already", key)
	} else {
		seen[key] = true
	}
	if _, err := identity.ParseRoleARN(a.RoleARN); err != nil {
		c.add(path+".roleArn", "%v", err)
	}
	if a.TargetRoleARN != "" {
		if _, err := identity.ParseRoleARN(a.TargetRoleARN); err != nil {
			c.add(path+".targetRoleArn", "%v", err)
		}
	}
	if a.Policy != "" {
		if !a.DisableSessionTags {
			c.add(path+".policy", "a session policy needs disableSessionTags: true")
		}
		c.policy(path+".policy", policy.Session, a.Policy)
	}
}

func (c *checker) unit(path string, u worldUnit) {
	c.policies(path+".serviceControlPolicies", policy.SCP, u.SCPs)
	c.policies(path+".resourceControlPolicies", policy.RCP, u.RCPs)
	for i, m := range u.Accounts {
		at := fmt.Sprintf("%s.accounts[%d]", path, i)
		c.known(at+".id", m.ID)
		c.policies(at+".serviceControlPolicies", policy.SCP, m.SCPs)
		c.policies(at+".resourceControlPolicies", policy.RCP, m.RCPs)
	}
	for i, child := range u.Units {
		c.unit(fmt.Sprintf("%s.units[%d]", path, i), child)
	}
}
