package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/podid/podid/internal/identity"
)

// Record is an association, and how it stands with it.
type Record struct {
	identity.Association
	State       State
	StateReason string
	FailedHop   int // of Failing: 1 or 2, if it is known
	LastIssued  time.Time
	ManagedBy   string
	Conditions  []Condition
	Object      string // namespace/name in Kubernetes
}

// Index has all associations in memory, in every order that was asked for, so
// that a page of 50,000 takes milliseconds. Whoever keeps the associations tells
// it of each change. The zero value is empty. It is safe for concurrent use.
type Index struct {
	mu        sync.RWMutex // guards what follows
	byID      map[string]*entry
	bySubject map[subject]*entry
	orders    map[string][]*entry // by sort key; made when first asked for
	// namespaces are those that have associations, with how many.
	namespaces map[string]int
}

type subject struct{ cluster, namespace, serviceAccount string }

func subjectOf(a identity.Association) subject {
	return subject{a.Cluster.Name, a.Namespace, a.ServiceAccount}
}

// entry is a record with what is searched. It never changes.
type entry struct {
	Record
	text                   string // lower-case, of all that a search looks at
	account, targetAccount string
}

func newEntry(r Record) *entry {
	e := &entry{Record: r, account: accountOf(r.RoleARN), targetAccount: accountOf(r.TargetRoleARN)}
	parts := []string{r.Namespace + "/" + r.ServiceAccount, r.RoleARN, r.TargetRoleARN, r.ID, r.Cluster.Name}
	for k, v := range r.Tags {
		parts = append(parts, k+"="+v)
	}
	e.text = strings.ToLower(strings.Join(parts, "\n"))
	return e
}

// name is NAMESPACE/SERVICEACCOUNT in lower case, which the text begins with.
func (e *entry) name() string { return e.text[:len(e.Namespace)+1+len(e.ServiceAccount)] }

func accountOf(roleARN string) string {
	a, err := identity.ParseARN(roleARN)
	if err != nil {
		return ""
	}
	return a.AccountID
}

// Put adds an association, or replaces what was known of it.
func (x *Index) Put(r Record) {
	e := newEntry(r)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.putLocked(e)
}

func (x *Index) putLocked(e *entry) {
	if x.byID == nil {
		x.byID, x.bySubject, x.namespaces = map[string]*entry{}, map[subject]*entry{}, map[string]int{}
	}
	x.dropLocked(e.ID)
	if old := x.bySubject[subjectOf(e.Association)]; old != nil { // it was made anew, and its deletion comes late
		x.dropLocked(old.ID)
	}
	x.byID[e.ID], x.bySubject[subjectOf(e.Association)] = e, e
	x.namespaces[e.Namespace]++
	for key, order := range x.orders {
		at, _ := slices.BinarySearchFunc(order, e, sorts[key])
		x.orders[key] = slices.Insert(order, at, e)
	}
}

// Remove takes an association out.
func (x *Index) Remove(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropLocked(id)
}

func (x *Index) dropLocked(id string) {
	e := x.byID[id]
	if e == nil {
		return
	}
	delete(x.byID, id)
	if x.namespaces[e.Namespace]--; x.namespaces[e.Namespace] == 0 {
		delete(x.namespaces, e.Namespace)
	}
	if x.bySubject[subjectOf(e.Association)] == e {
		delete(x.bySubject, subjectOf(e.Association))
	}
	for key, order := range x.orders {
		if at, found := slices.BinarySearchFunc(order, e, sorts[key]); found {
			x.orders[key] = slices.Delete(order, at, at+1)
		}
	}
}

// Update changes what is known of an association, if it still has that version,
// identity.Association.Version.
func (x *Index) Update(id, version string, edit func(*Record)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.byID[id]
	if e == nil || e.Version() != version {
		return
	}
	r := e.Record
	edit(&r)
	x.putLocked(newEntry(r))
}

// Get returns an association by its id.
func (x *Index) Get(id string) (Record, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.byID[id]
	if e == nil {
		return Record{}, false
	}
	return e.Record, true
}

// Of returns the association of a service account.
func (x *Index) Of(cluster, namespace, serviceAccount string) (Record, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.bySubject[subject{cluster, namespace, serviceAccount}]
	if e == nil {
		return Record{}, false
	}
	return e.Record, true
}

// Namespaces returns the namespaces that have associations.
func (x *Index) Namespaces() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.namespaces))
}

// Len returns how many associations there are.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.byID)
}

// sorts are the orders of lists: total ones, so that an entry has one place.
var sorts = map[string]func(a, b *entry) int{
	"namespace":      func(a, b *entry) int { return names(a, b) },
	"serviceAccount": func(a, b *entry) int { return cmp.Or(strings.Compare(a.ServiceAccount, b.ServiceAccount), names(a, b)) },
	"role":           func(a, b *entry) int { return cmp.Or(strings.Compare(a.RoleARN, b.RoleARN), names(a, b)) },
	"targetRole":     func(a, b *entry) int { return cmp.Or(strings.Compare(a.TargetRoleARN, b.TargetRoleARN), names(a, b)) },
	"account": func(a, b *entry) int {
		return cmp.Or(strings.Compare(a.reached(), b.reached()), names(a, b))
	},
	"state":      func(a, b *entry) int { return cmp.Or(strings.Compare(string(a.State), string(b.State)), names(a, b)) },
	"created":    func(a, b *entry) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), names(a, b)) },
	"modified":   func(a, b *entry) int { return cmp.Or(a.ModifiedAt.Compare(b.ModifiedAt), names(a, b)) },
	"lastIssued": func(a, b *entry) int { return cmp.Or(a.LastIssued.Compare(b.LastIssued), names(a, b)) },
}

func names(a, b *entry) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.ServiceAccount, b.ServiceAccount), strings.Compare(a.ID, b.ID))
}

// reached is the account of the role whose credentials reach pods.
func (e *entry) reached() string { return cmp.Or(e.targetAccount, e.account) }

// page returns the entries of a page in an order, and how many match in all.
func (x *Index) page(m matcher, sort string, descending bool, skip, limit int) (found []*entry, total int) {
	x.order(sort)
	x.mu.RLock()
	defer x.mu.RUnlock()
	order := x.orders[sort]
	if m.all() {
		total = len(order)
		for i := skip; i < min(skip+limit, total); i++ {
			if descending {
				found = append(found, order[total-1-i])
			} else {
				found = append(found, order[i])
			}
		}
		return found, total
	}
	for i := range order {
		e := order[i]
		if descending {
			e = order[len(order)-1-i]
		}
		if !m.matches(e) {
			continue
		}
		if total >= skip && len(found) < limit {
			found = append(found, e)
		}
		total++
	}
	return found, total
}

// order makes sure that there is an order.
func (x *Index) order(sort string) {
	x.mu.RLock()
	_, made := x.orders[sort]
	x.mu.RUnlock()
	if made {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.orders == nil {
		x.orders = map[string][]*entry{}
	}
	if _, made := x.orders[sort]; made {
		return
	}
	all := make([]*entry, 0, len(x.byID))
	for _, e := range x.byID {
		all = append(all, e)
	}
	slices.SortFunc(all, sorts[sort])
	x.orders[sort] = all
}

// each calls f for what matches, in no order.
func (x *Index) each(m matcher, f func(*entry)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, e := range x.byID {
		if m.matches(e) {
			f(e)
		}
	}
}
