package awssim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// user returns a user by name. Names that differ in case alone can't be taken
// twice, but name one user only as it was written.
func (s *state) user(account, name string) (*user, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.users[account][strings.ToLower(name)]
	return u, ok && u.Name == name
}

// userTaken tells whether a new user may not have this name.
func (s *state) userTaken(account, name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.users[account][strings.ToLower(name)]
	return ok
}

// usersOf returns an account's users by path and name.
func (s *state) usersOf(account string) []*user {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.users[account]), func(a, b *user) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name))
	})
}

// userByKey returns the user that has an access key, and the key.
func (s *state) userByKey(accessKeyID string) (*user, accessKey, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if u, ok := s.keys[accessKeyID]; ok {
		for _, k := range u.Keys {
			if k.ID == accessKeyID {
				return u, k, true
			}
		}
	}
	return nil, accessKey{}, false
}

// role returns a role by name, as user does.
func (s *state) role(account, name string) (*role, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.roles[account][strings.ToLower(name)]
	return r, ok && r.Name == name
}

// roleTaken tells whether a new role may not have this name.
func (s *state) roleTaken(account, name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.roles[account][strings.ToLower(name)]
	return ok
}

// roleByID returns a role by its unique id, AROA...
func (s *state) roleByID(id string) (*role, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.roleIDs[id]
	return r, ok
}

// userByID returns a user by its unique id, AIDA...
func (s *state) userByID(id string) (*user, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.userIDs[id]
	return u, ok
}

// rolesOf returns an account's roles by path and name.
func (s *state) rolesOf(account string) []*role {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.roles[account]), func(a, b *role) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name))
	})
}

// managedPolicy returns a managed policy by ARN, AWS's own included.
func (s *state) managedPolicy(arn string) (*managedPolicy, bool) {
	if p, ok := s.aws[arn]; ok {
		return p, true
	}
	account, name, ok := splitIAM(arn, "policy")
	if !ok {
		return nil, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.policies[account][strings.ToLower(name)]
	return p, ok && p.ARN() == arn
}

// policyTaken tells whether a new managed policy may not have this name.
func (s *state) policyTaken(account, name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.policies[account][strings.ToLower(name)]
	return ok
}

// managedPoliciesOf returns an account's own managed policies by path and name.
func (s *state) managedPoliciesOf(account string) []*managedPolicy {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.policies[account]), func(a, b *managedPolicy) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name))
	})
}

// roleByARN returns the role that an ARN names, path included.
func (s *state) roleByARN(arn string) (*role, bool) {
	account, name, ok := splitIAM(arn, "role")
	if !ok {
		return nil, false
	}
	r, ok := s.role(account, name)
	return r, ok && r.ARN() == arn
}

// userByARN returns the user that an ARN names, path included.
func (s *state) userByARN(arn string) (*user, bool) {
	account, name, ok := splitIAM(arn, "user")
	if !ok {
		return nil, false
	}
	u, ok := s.user(account, name)
	return u, ok && u.ARN() == arn
}

// provider returns an account's OIDC provider by URL without "https://".
func (s *state) provider(account, url string) (*oidcProvider, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.issuers[account][url]
	return p, ok
}

// providersOf returns an account's OIDC providers by URL.
func (s *state) providersOf(account string) []*oidcProvider {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.issuers[account]), func(a, b *oidcProvider) int { return cmp.Compare(a.URL, b.URL) })
}

// bucket returns a bucket by name, whoever owns it.
func (s *state) bucket(name string) (*bucket, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.buckets[name]
	return b, ok
}

// bucketsOf returns an account's buckets by name.
func (s *state) bucketsOf(account string) []*bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var own []*bucket
	for _, b := range s.buckets {
		if b.AccountID == account {
			own = append(own, b)
		}
	}
	slices.SortFunc(own, func(a, b *bucket) int { return cmp.Compare(a.Name, b.Name) })
	return own
}

// organization returns the organization, or nil.
func (s *state) organization() *organization {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.org
}

// masterKey returns the secret under which sessions are sealed.
func (s *state) masterKey() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.master.Key
}

// splitIAM takes the account and the name out of the ARN of an IAM entity.
func splitIAM(arn, kind string) (account, name string, ok bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:iam::")
	if !ok {
		return "", "", false
	}
	account, rest, _ = strings.Cut(rest, ":")
	path, ok := strings.CutPrefix(rest, kind+"/")
	return account, path[strings.LastIndexByte(path, '/')+1:], ok
}
