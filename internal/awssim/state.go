package awssim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// state is everything that the accounts hold. Entities go in and out whole and
// are never changed in place, so whoever got one may keep using it without a lock.
type state struct {
	storage Storage
	aws     map[string]*managedPolicy // AWS's own managed policies by ARN; never changes

	// writing is held by update from its first read until its changes are seen.
	writing sync.Mutex

	// mu guards what follows. It is never held during I/O.
	mu       sync.RWMutex
	accounts map[string]*account
	users    table[*user] // by account and lower-case name: IAM's names are unique without regard to case
	roles    table[*role]
	policies table[*managedPolicy]
	issuers  table[*oidcProvider]
	buckets  map[string]*bucket // by name
	keys     map[string]*user   // by access key id
	roleIDs  map[string]*role   // by unique id
	userIDs  map[string]*user   // by unique id
	org      *organization      // nil: none
	master   *masterKey
}

// table holds one kind of entity: account id -> key within the account -> entity.
type table[E any] map[string]map[string]E

func (t table[E]) put(account, key string, e E) {
	if t[account] == nil {
		t[account] = map[string]E{}
	}
	t[account][key] = e
}

func newState(storage Storage) *state {
	return &state{
		storage: storage, accounts: map[string]*account{},
		users: table[*user]{}, roles: table[*role]{}, policies: table[*managedPolicy]{}, issuers: table[*oidcProvider]{},
		buckets: map[string]*bucket{}, keys: map[string]*user{}, roleIDs: map[string]*role{}, userIDs: map[string]*user{},
	}
}

// tx collects the changes of one update. Reads through the state's methods see
// the state as it was before the update; no other update runs meanwhile.
type tx struct{ puts, deletes []entity }

// put adds an entity or replaces the one of the same key.
func (t *tx) put(e entity) { t.puts = append(t.puts, e) }

// delete removes an entity.
func (t *tx) delete(e entity) { t.deletes = append(t.deletes, e) }

// update runs change, stores what it asks for, and only then lets it be seen.
// If change or the storage fails, nothing has happened.
func (s *state) update(change func(*tx) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	var t tx
	if err := change(&t); err != nil {
		return err
	}
	batch := make([]Change, 0, len(t.puts)+len(t.deletes))
	for _, e := range t.deletes {
		kind, key := e.id()
		batch = append(batch, Change{Kind: kind, Key: key})
	}
	for _, e := range t.puts {
		kind, key := e.id()
		value, err := json.Marshal(e.stored())
		if err != nil {
			return fmt.Errorf("storing %s %s: %w", kind, key, err)
		}
		batch = append(batch, Change{Kind: kind, Key: key, Value: value})
	}
	if err := s.storage.Commit(batch); err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range t.deletes {
		s.deleteLocked(e)
	}
	for _, e := range t.puts {
		s.putLocked(e)
	}
	return nil
}

func (s *state) putLocked(e entity) {
	switch e := e.(type) {
	case *account:
		s.accounts[e.ID] = e
	case *user:
		if old, ok := s.users[e.AccountID][strings.ToLower(e.Name)]; ok {
			s.deleteLocked(old) // its keys may differ
		}
		s.users.put(e.AccountID, strings.ToLower(e.Name), e)
		s.userIDs[e.ID] = e
		for _, k := range e.Keys {
			s.keys[k.ID] = e
		}
	case *role:
		s.roles.put(e.AccountID, strings.ToLower(e.Name), e)
		s.roleIDs[e.ID] = e
	case *managedPolicy:
		s.policies.put(e.AccountID, strings.ToLower(e.Name), e)
	case *oidcProvider:
		s.issuers.put(e.AccountID, e.URL, e)
	case *bucket:
		s.buckets[e.Name] = e
	case *organization:
		s.org = e
	case *masterKey:
		s.master = e
	}
}

func (s *state) deleteLocked(e entity) {
	switch e := e.(type) {
	case *account:
		delete(s.accounts, e.ID)
	case *user:
		delete(s.users[e.AccountID], strings.ToLower(e.Name))
		delete(s.userIDs, e.ID)
		for _, k := range e.Keys {
			delete(s.keys, k.ID)
		}
	case *role:
		delete(s.roles[e.AccountID], strings.ToLower(e.Name))
		delete(s.roleIDs, e.ID)
	case *managedPolicy:
		delete(s.policies[e.AccountID], strings.ToLower(e.Name))
	case *oidcProvider:
		delete(s.issuers[e.AccountID], e.URL)
	case *bucket:
		delete(s.buckets, e.Name)
	case *organization:
		s.org = nil
	}
}

// account returns an account by id.
func (s *state) account(id string) (*account, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.accounts[id]
	return a, ok
}

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
