package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// pods answers with the pods that use an association.
func (c *Console) pods(k *call) (any, error) {
	q := queryOf(k.Request)
	limit := q.number("limit", 1, 1000, 100)
	if err := q.done(); err != nil {
		return nil, err
	}
	r, err := c.named(k)
	if err != nil {
		return nil, err
	}
	return c.podsOf(k, r, limit)
}

// podsOf are the pods that there are, with when they last asked; or, where nobody
// knows pods, those that asked.
func (c *Console) podsOf(k *call, r Record, limit int) (Pods, error) {
	asked := c.asking(k, r)
	out := Pods{Items: []Pod{}, Known: c.config.Surroundings.Pods != nil}
	if !out.Known {
		for _, p := range asked {
			out.Items = append(out.Items, p)
		}
	} else {
		found, err := c.config.Surroundings.Pods(k.Context(), k.user, r)
		if identity.KindOf(err) == identity.AccessDenied && err != nil {
			return Pods{Items: []Pod{}, Reason: identity.SafeMessage(err)}, nil
		}
		if err != nil {
			return out, err
		}
		for _, p := range found {
			if last, ok := asked[p.UID]; ok {
				p.LastAsked, p.LastOutcome = last.LastAsked, last.LastOutcome
			}
			out.Items = append(out.Items, p)
		}
	}
	slices.SortFunc(out.Items, func(a, b Pod) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.UID, b.UID)) })
	out.Total = len(out.Items)
	out.Items = out.Items[:min(len(out.Items), limit)]
	return out, nil
}

// asking are the pods whose newest requests for credentials this replica knows
// of, by their uids.
func (c *Console) asking(k *call, r Record) map[string]Pod {
	out := map[string]Pod{}
	scope, err := k.user.Activity(k.Context())
	if err != nil || !scope.sees(r.Namespace) || c.config.Local == nil {
		return out // it is for who may see activity
	}
	page, err := c.config.Local.Events(audit.Query{Limit: audit.MaxPage, Filter: audit.Filter{
		EventName: audit.AssumeRoleForPodIdentity, Namespace: r.Namespace, ServiceAccount: r.ServiceAccount,
	}, Also: func(e *audit.Event) bool { return e.ClusterName == r.Cluster.Name && e.Subject != nil }})
	if err != nil { // of a cursor, and there is none
		return out
	}
	for _, e := range page.Events {
		if _, newer := out[e.Subject.PodUID]; newer {
			continue
		}
		out[e.Subject.PodUID] = Pod{
			Namespace: e.Subject.Namespace, Name: e.Subject.PodName, UID: e.Subject.PodUID, Node: e.Subject.NodeName,
			LastAsked: known(e.EventTime), LastOutcome: string(e.Outcome),
		}
	}
	return out
}

// deletion answers what deleting an association would do.
func (c *Console) deletion(k *call) (any, error) {
	if err := queryOf(k.Request).done(); err != nil {
		return nil, err
	}
	r, err := c.named(k)
	if err != nil {
		return nil, err
	}
	pods, err := c.podsOf(k, r, 100)
	if err != nil {
		return nil, err
	}
	d := DeletionOf(r, pods)
	d.CredentialsUntil = c.until(k, r)
	return d, nil
}

// DeletionOf is what deleting an association does, as far as the association and
// its pods tell.
func DeletionOf(r Record, pods Pods) Deletion {
	return Deletion{Pods: pods, Consequences: consequences(r, pods)}
}

// consequences say in sentences what deleting an association does.
func consequences(r Record, pods Pods) []string {
	var out []string
	const then = "Once the credentials that they hold have ended, their requests to AWS are refused."
	switch {
	case pods.Reason != "":
		out = append(out, "Which pods use it is not known: "+pods.Reason+" "+then)
	case pods.Total == 0 && pods.Known:
		out = append(out, "No pod runs as its service account now.")
	case pods.Known:
		out = append(out, fmt.Sprintf("Pods that run as its service account now: %d. %s", pods.Total, then))
	case pods.Total == 0:
		out = append(out, "No pod has asked for its credentials lately.")
	default:
		out = append(out, fmt.Sprintf("Pods that have asked for its credentials lately: %d. %s", pods.Total, then))
	}
	out = append(out,
		fmt.Sprintf("podid drops what it holds for service account %s/%s within seconds, on every node.", r.Namespace, r.ServiceAccount),
		"Credentials that AWS has given already stay valid at AWS until they expire. To end them too, revoke the sessions of the role: podid revoke prints how.",
		"New pods of the service account are no longer given the environment and the token by the webhook.")
	if r.TargetRoleARN != "" {
		out = append(out, fmt.Sprintf("The roles stay as they are. Whoever makes an association of %s/%s again gets the same external ID.", r.Namespace, r.ServiceAccount))
	} else {
		out = append(out, "The role stays as it is.")
	}
	if r.ManagedBy != "" {
		out = append(out, fmt.Sprintf("It is kept by %s, which may make it again.", r.ManagedBy))
	}
	return out
}

// until is when the last credentials end that this replica knows were given.
func (c *Console) until(k *call, r Record) *time.Time {
	scope, err := k.user.Activity(k.Context())
	if err != nil || !scope.sees(r.Namespace) || c.config.Local == nil {
		return nil // it is for who may see activity
	}
	page, err := c.config.Local.Events(audit.Query{Limit: audit.MaxPage, Filter: audit.Filter{EventName: audit.AssumeRoleForPodIdentity, Outcome: audit.Granted},
		Also: func(e *audit.Event) bool { return e.Association != nil && e.Association.ID == r.ID }})
	if err != nil { // of a cursor, and there is none
		return nil
	}
	last := time.Time{}
	for _, e := range page.Events {
		if n := len(e.Hops); n > 0 && e.Hops[n-1].Expires != nil && e.Hops[n-1].Expires.After(last) {
			last = *e.Hops[n-1].Expires
		}
	}
	if !last.After(c.config.Now()) {
		return nil
	}
	return known(last)
}

// events answers with Kubernetes' own events of an association.
func (c *Console) events(k *call) (any, error) {
	if err := queryOf(k.Request).done(); err != nil {
		return nil, err
	}
	r, err := c.named(k)
	if err != nil {
		return nil, err
	}
	out := Events{Items: []KubernetesEvent{}}
	if c.config.Surroundings.Events == nil {
		return out, nil
	}
	found, err := c.config.Surroundings.Events(k.Context(), k.user, r)
	if err != nil {
		return nil, err
	}
	const most = 100
	out.Items, out.Known = append(out.Items, found[:min(len(found), most)]...), true
	return out, nil
}

// picked is what a picker asks for.
type picked struct {
	word, cluster string
	limit         int
}

func (c *Console) picker(q *query) picked {
	p := picked{word: strings.ToLower(q.one("q")), cluster: cmp.Or(q.one("cluster"), c.config.Clusters[0].Name), limit: q.number("limit", 1, 500, 100)}
	if !slices.ContainsFunc(c.config.Clusters, func(k identity.Cluster) bool { return k.Name == p.cluster }) {
		q.fail("cluster: it is none of this console's.")
	}
	return p
}

// matches tells whether a name has what was typed.
func (p picked) matches(name string) bool { return strings.Contains(strings.ToLower(name), p.word) }

// namespaces answers with those of the cluster, or those of associations where
// nobody knows the cluster's.
func (c *Console) namespaces(k *call) (any, error) {
	q := queryOf(k.Request)
	p := c.picker(q)
	if err := q.done(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	if err := c.each(k, AssociationFilter{Cluster: []string{p.cluster}}, func(e *entry) { seen[e.Namespace] = true }); err != nil {
		return nil, err
	}
	if c.config.Surroundings.Namespaces != nil {
		there, err := c.config.Surroundings.Namespaces(k.Context(), k.user, p.cluster)
		if err != nil {
			return nil, err
		}
		for _, name := range there {
			seen[name] = true
		}
	}
	out := Names{Items: []string{}}
	for name := range seen {
		if p.matches(name) {
			out.Items = append(out.Items, name)
		}
	}
	slices.Sort(out.Items)
	out.Items, out.More = atMost(out.Items, p.limit)
	return out, nil
}

// serviceAccounts answers with those of the cluster, and which have associations.
func (c *Console) serviceAccounts(k *call) (any, error) {
	q := queryOf(k.Request)
	p := c.picker(q)
	namespace := q.one("namespace")
	if err := q.done(); err != nil {
		return nil, err
	}
	filter := AssociationFilter{Cluster: []string{p.cluster}}
	if namespace != "" {
		filter.Namespace = []string{namespace}
	}
	type name struct{ namespace, name string }
	seen := map[name]string{}
	err := c.each(k, filter, func(e *entry) {
		if strings.Contains(e.name(), p.word) {
			seen[name{e.Namespace, e.ServiceAccount}] = e.ID
		}
	})
	if err != nil {
		return nil, err
	}
	if c.config.Surroundings.ServiceAccounts != nil {
		there, err := c.config.Surroundings.ServiceAccounts(k.Context(), k.user, p.cluster, namespace)
		if err != nil {
			return nil, err
		}
		for _, s := range there {
			if _, has := seen[name{s.Namespace, s.Name}]; !has && p.matches(s.Namespace+"/"+s.Name) {
				seen[name{s.Namespace, s.Name}] = ""
			}
		}
	}
	out := ServiceAccounts{Items: []ServiceAccount{}}
	for n, id := range seen {
		out.Items = append(out.Items, ServiceAccount{n.namespace, n.name, id})
	}
	slices.SortFunc(out.Items, func(a, b ServiceAccount) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	out.Items, out.More = atMost(out.Items, p.limit)
	return out, nil
}

// roles answers with the roles of associations, and those that are known besides.
func (c *Console) roles(k *call) (any, error) {
	q := queryOf(k.Request)
	p := c.picker(q)
	accounts := q.all("account")
	if err := q.done(); err != nil {
		return nil, err
	}
	seen := map[string]*Role{}
	role := func(arn string) *Role {
		if seen[arn] == nil {
			seen[arn] = &Role{ARN: arn, Account: accountOf(arn)}
			if _, name, ok := strings.Cut(arn, ":role/"); ok {
				seen[arn].Name = name
			}
		}
		return seen[arn]
	}
	err := c.each(k, AssociationFilter{}, func(e *entry) {
		role(e.RoleARN).PodIdentityRoleOf++
		if e.TargetRoleARN != "" {
			role(e.TargetRoleARN).TargetRoleOf++
		}
	})
	if err != nil {
		return nil, err
	}
	if c.config.Surroundings.Roles != nil {
		there, err := c.config.Surroundings.Roles(k.Context(), k.user)
		if err != nil {
			return nil, err
		}
		for _, r := range there {
			role(r.ARN).Description = r.Description
		}
	}
	out := Roles{Items: []Role{}}
	for _, r := range seen {
		if p.matches(r.ARN+" "+r.Description) && is(accounts, r.Account) {
			out.Items = append(out.Items, *r)
		}
	}
	slices.SortFunc(out.Items, func(a, b Role) int { return strings.Compare(a.ARN, b.ARN) })
	out.Items, out.More = atMost(out.Items, p.limit)
	return out, nil
}
