package awssim

import (
	"encoding/json"
	"fmt"
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
