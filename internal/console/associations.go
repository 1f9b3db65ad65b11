package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

// session tells who asks what they may do.
func (c *Console) session(k *call) (any, error) {
	if err := queryOf(k.Request).done(); err != nil {
		return nil, err
	}
	scope, err := k.user.Scope(k.Context())
	if err != nil {
		return nil, err
	}
	may, err := k.user.May(k.Context(), "")
	if err != nil {
		return nil, err
	}
	s := Session{
		User: k.user.Name(), Groups: k.user.Groups(), Mode: c.config.Mode, ReadOnly: c.config.ReadOnly, Version: c.config.Version,
		May: c.offered(may), AllNamespaces: scope.All, Namespaces: slices.Sorted(maps.Keys(scope.Namespaces)), Now: c.config.Now().UTC(),
	}
	for _, cluster := range c.config.Clusters {
		s.Clusters = append(s.Clusters, Cluster{cluster.Name, cluster.ARN(), cluster.Region, cluster.AccountID})
	}
	return s, nil
}

// offered leaves out what the console itself does not do.
func (c *Console) offered(m May) May {
	if c.config.ReadOnly {
		m.Create, m.Update, m.Delete = false, false, false
	}
	return m
}

// turn waits for a turn to look through all associations, which takes
// milliseconds of a processor: half of them are left to the pods that wait for
// credentials. Whoever has looked calls done.
func (c *Console) turn(k *call) (done func(), err error) {
	select {
	case c.looking <- struct{}{}:
		return func() { <-c.looking }, nil
	case <-k.Context().Done():
		return nil, identity.Errorf(identity.Unavailable, "The request was given up.").Because(k.Context().Err())
	}
}

// each calls f for the associations that match, as far as the user sees them.
func (c *Console) each(k *call, filter AssociationFilter, f func(*entry)) error {
	scope, err := k.user.Scope(k.Context())
	if err != nil {
		return err
	}
	done, err := c.turn(k)
	if err != nil {
		return err
	}
	defer done()
	c.config.Index.each(matcher{filter, scope}, f)
	return nil
}

// list answers with a page of associations.
func (c *Console) list(k *call) (any, error) {
	q := queryOf(k.Request)
	filter := q.associations()
	sort, descending := strings.CutPrefix(cmp.Or(q.one("sort"), "namespace"), "-")
	if sorts[sort] == nil {
		q.fail("sort: want one of %s, with - in front for descending.", strings.Join(slices.Sorted(maps.Keys(sorts)), ", "))
	}
	size := q.number("pageSize", 1, 200, 50)
	page := q.number("page", 1, 1_000_000, 1)
	if err := q.done(); err != nil {
		return nil, err
	}
	scope, err := k.user.Scope(k.Context())
	if err != nil {
		return nil, err
	}
	done, err := c.turn(k)
	if err != nil {
		return nil, err
	}
	defer done()
	found, total := c.config.Index.page(matcher{filter, scope}, sort, descending, (page-1)*size, size)
	out := AssociationPage{Items: make([]Association, len(found)), Total: total, Page: page, PageSize: size, Pages: (total + size - 1) / size}
	for i, e := range found {
		out.Items[i] = row(e.Record)
		c.verify.look(e.Record)
	}
	return out, nil
}

// row is an association as a list shows it.
func row(r Record) Association {
	return Association{
		ID: r.ID, ARN: r.ARN(), Cluster: r.Cluster.Name, Namespace: r.Namespace, ServiceAccount: r.ServiceAccount,
		RoleARN: r.RoleARN, RoleAccount: accountOf(r.RoleARN), TargetRoleARN: r.TargetRoleARN, TargetRoleAccount: accountOf(r.TargetRoleARN),
		ExternalID: r.ExternalID(), DisableSessionTags: r.DisableSessionTags, Policy: r.Policy, Tags: r.Tags,
		State: r.State, StateReason: r.StateReason, CreatedAt: r.CreatedAt.UTC(), ModifiedAt: r.ModifiedAt.UTC(),
		RevokedAt: known(r.RevokedAt), LastIssued: known(r.LastIssued), Version: versionOf(r), ManagedBy: r.ManagedBy,
	}
}

// versionOf stands for all that an edit can change of an association: unlike
// identity.Association.Version, its tags too.
func versionOf(r Record) string {
	var tags strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		tags.WriteString(key + "=" + r.Tags[key] + "\n")
	}
	return r.Version() + "-" + digest(tags.String())
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// facets counts the values of a field.
func (c *Console) facets(k *call) (any, error) {
	q := queryOf(k.Request)
	filter := q.associations()
	field := q.one("field")
	prefix := strings.ToLower(q.one("prefix"))
	limit := q.number("limit", 1, 500, 100)
	var values func(e *entry) (string, string)
	switch field {
	case "cluster":
		filter.Cluster, values = nil, func(e *entry) (string, string) { return e.Cluster.Name, "" }
	case "namespace":
		filter.Namespace, values = nil, func(e *entry) (string, string) { return e.Namespace, "" }
	case "serviceAccount":
		filter.ServiceAccount, values = nil, func(e *entry) (string, string) { return e.ServiceAccount, "" }
	case "role":
		filter.Role, values = nil, func(e *entry) (string, string) { return e.RoleARN, e.TargetRoleARN }
	case "account":
		filter.Account, values = nil, func(e *entry) (string, string) { return e.account, e.targetAccount }
	case "state":
		filter.State, values = nil, func(e *entry) (string, string) { return string(e.State), "" }
	default:
		q.fail("field: want cluster, namespace, serviceAccount, role, account or state.")
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	err := c.each(k, filter, func(e *entry) {
		one, other := values(e)
		counts[one]++
		if other != "" && other != one {
			counts[other]++
		}
	})
	if err != nil {
		return nil, err
	}
	out := Facets{Field: field, Items: []Facet{}}
	for v, n := range counts {
		if strings.Contains(strings.ToLower(v), prefix) {
			out.Items = append(out.Items, Facet{v, n})
		}
	}
	slices.SortFunc(out.Items, func(a, b Facet) int { return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value)) })
	out.Items, out.More = atMost(out.Items, limit)
	return out, nil
}

// atMost cuts a list, and tells whether it was longer.
func atMost[T any](items []T, limit int) (cut []T, more bool) {
	return items[:min(len(items), limit)], len(items) > limit
}

// describe answers with one association.
func (c *Console) describe(k *call) (any, error) {
	if err := queryOf(k.Request).done(); err != nil {
		return nil, err
	}
	r, err := c.named(k)
	if err != nil {
		return nil, err
	}
	may, err := k.user.May(k.Context(), r.Namespace)
	if err != nil {
		return nil, err
	}
	c.verify.look(r)
	return AssociationDetail{Association: row(r), Conditions: r.Conditions, Object: r.Object, May: c.offered(may)}, nil
}

// named is the association that the path names, if the user may see it: what
// they may not see is not there.
func (c *Console) named(k *call) (Record, error) {
	id := k.PathValue("id")
	scope, err := k.user.Scope(k.Context())
	if err != nil {
		return Record{}, err
	}
	r, ok := c.config.Index.Get(id)
	if !ok || !scope.sees(r.Namespace) {
		return Record{}, association.NotFound(id)
	}
	return r, nil
}
