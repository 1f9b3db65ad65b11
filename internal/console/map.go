package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/podid/podid/internal/identity"
)

// granularities are what can be drawn, the finest first.
var granularities = []string{"serviceAccount,role", "namespace,role", "namespace,account"}

// maxPaths bounds the paths that a flow tells of.
const maxPaths = 50

// draw answers with who can reach what.
func (c *Console) draw(k *call) (any, error) {
	q := queryOf(k.Request)
	filter := q.associations()
	by := cmp.Or(q.one("by"), "auto")
	limit := q.number("limit", 1, 2000, 400)
	tried := granularities
	if by != "auto" {
		if !slices.Contains(granularities, by) {
			q.fail("by: want auto, %s.", strings.Join(granularities, "; or "))
		}
		tried = []string{by}
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	found := 0
	drawn := make([]map[group]*member, len(tried))
	for i := range drawn {
		drawn[i] = map[group]*member{}
	}
	err := c.each(k, filter, func(e *entry) {
		found++
		for i, by := range tried {
			groupOf(e, by).add(drawn[i], e)
		}
	})
	if err != nil {
		return nil, err
	}
	var f *flows
	for i := range tried {
		by = tried[i]
		if i+1 < len(tried) && by == granularities[0] && len(drawn[i]) > limit {
			continue // there are at least as many flows
		}
		f = flowsOf(drawn[i], by, len(c.config.Clusters) > 1, c.config.Surroundings.Accounts)
		if len(f.flows) <= limit {
			break
		}
	}
	return f.drawn(by, found, limit), nil
}

// group is what associations that are drawn alike have in common.
type group struct{ cluster, namespace, serviceAccount, role, target string }

func groupOf(e *entry, by string) group {
	g := group{e.Cluster.Name, e.Namespace, e.ServiceAccount, e.RoleARN, e.TargetRoleARN}
	if by != granularities[0] {
		g.serviceAccount = ""
	}
	if by == granularities[2] {
		g.role, g.target = e.account, e.targetAccount
	}
	return g
}

// member counts those of a group.
type member struct {
	id                      string // of one of them
	total, working, failing int
}

func (g group) add(to map[group]*member, e *entry) {
	m := to[g]
	if m == nil {
		m = &member{id: e.ID}
		to[g] = m
	}
	m.total++
	switch e.State {
	case Working:
		m.working++
	case Failing, NotReady:
		m.failing++
	}
}

// flows are the flows of associations.
type flows struct {
	nodes map[string]*MapNode
	flows map[[2]string]*MapFlow
	paths map[[2]string]map[string]bool
}

func flowsOf(all map[group]*member, by string, clusters bool, accounts map[string]string) *flows {
	f := &flows{nodes: map[string]*MapNode{}, flows: map[[2]string]*MapFlow{}, paths: map[[2]string]map[string]bool{}}
	for g, m := range all {
		stations := stationsOf(g, by, clusters, accounts)
		ids := make([]string, len(stations))
		for i, n := range stations {
			ids[i] = n.ID
			if f.nodes[n.ID] == nil {
				f.nodes[n.ID] = &n
			}
			f.nodes[n.ID].Associations += m.total
		}
		path := strings.Join(ids, " ")
		for i := 1; i < len(ids); i++ {
			f.add([2]string{ids[i-1], ids[i]}, path, m)
		}
	}
	return f
}

func (f *flows) add(key [2]string, path string, m *member) {
	flow := f.flows[key]
	if flow == nil {
		flow = &MapFlow{From: key[0], To: key[1], AssociationID: m.id}
		f.flows[key], f.paths[key] = flow, map[string]bool{}
	}
	flow.Associations += m.total
	flow.Working += m.working
	flow.Failing += m.failing
	if flow.Associations > 1 {
		flow.AssociationID = ""
	}
	if len(f.paths[key]) < maxPaths {
		f.paths[key][path] = true
	}
}

// stationsOf are the nodes that the associations of a group go through.
func stationsOf(g group, by string, clusters bool, accounts map[string]string) []MapNode {
	left, right, _ := strings.Cut(by, ",")
	namespace := g.namespace
	parent := ""
	if clusters {
		namespace, parent = g.cluster+"/"+g.namespace, g.cluster
	}
	out := []MapNode{{ID: "ns:" + namespace, Kind: "namespace", Label: namespace, Parent: parent}}
	if left == "serviceAccount" {
		out[0] = MapNode{ID: "sa:" + namespace + "/" + g.serviceAccount, Kind: "serviceAccount", Label: g.serviceAccount, Parent: namespace}
	}
	for i, arn := range []string{g.role, g.target} { // or their accounts
		if arn == "" {
			continue
		}
		column := i + 1
		side := [...]string{"role:", "target:"}[i]
		if right == "account" {
			out = append(out, MapNode{ID: side + arn, Kind: "account", Column: column, Label: cmp.Or(accounts[arn], arn), Parent: arn})
			continue
		}
		account := accountOf(arn)
		label := arn
		if parsed, err := identity.ParseARN(arn); err == nil {
			label = cmp.Or(parsed.RoleName(), arn)
		}
		out = append(out, MapNode{ID: side + arn, Kind: "role", Column: column, Label: label, Parent: account, ARN: arn})
	}
	return out
}

// drawn keeps the largest flows, and the nodes that these join.
func (f *flows) drawn(by string, total, limit int) Map {
	out := Map{By: by, Nodes: []MapNode{}, Flows: []MapFlow{}, Associations: total}
	for key, flow := range f.flows {
		flow.Paths = slices.Sorted(maps.Keys(f.paths[key]))
		out.Flows = append(out.Flows, *flow)
	}
	slices.SortFunc(out.Flows, func(a, b MapFlow) int {
		return cmp.Or(cmp.Compare(b.Associations, a.Associations), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	out.Truncated = len(out.Flows) > limit
	out.Flows = out.Flows[:min(len(out.Flows), limit)]
	joined := map[string]bool{}
	for _, flow := range out.Flows {
		joined[flow.From], joined[flow.To] = true, true
		if f.nodes[flow.From].Column == 0 { // each association has one such flow
			out.Shown += flow.Associations
		}
	}
	for id := range joined {
		out.Nodes = append(out.Nodes, *f.nodes[id])
	}
	slices.SortFunc(out.Nodes, func(a, b MapNode) int {
		return cmp.Or(cmp.Compare(a.Column, b.Column), strings.Compare(a.Parent, b.Parent), strings.Compare(a.Label, b.Label), strings.Compare(a.ID, b.ID))
	})
	return out
}
