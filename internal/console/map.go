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
	scope, err := k.user.Scope(k.Context())
	if err != nil {
		return nil, err
	}
	var found []*entry
	c.config.Index.each(matcher{filter, scope}, func(e *entry) { found = append(found, e) })
	var f *flows
	for _, by = range tried {
		f = flowsOf(found, by, len(c.config.Clusters) > 1, c.config.Surroundings.Accounts)
		if len(f.flows) <= limit {
			break
		}
	}
	return f.drawn(by, len(found), limit), nil
}

// flows are the flows of associations.
type flows struct {
	nodes map[string]*MapNode
	flows map[[2]string]*MapFlow
	paths map[[2]string]map[string]bool
}

func flowsOf(all []*entry, by string, clusters bool, accounts map[string]string) *flows {
	f := &flows{nodes: map[string]*MapNode{}, flows: map[[2]string]*MapFlow{}, paths: map[[2]string]map[string]bool{}}
	for _, e := range all {
		stations := stationsOf(e, by, clusters, accounts)
		ids := make([]string, len(stations))
		for i, n := range stations {
			ids[i] = n.ID
			if f.nodes[n.ID] == nil {
				f.nodes[n.ID] = &n
			}
			f.nodes[n.ID].Associations++
		}
		path := strings.Join(ids, " ")
		for i := 1; i < len(ids); i++ {
			f.add([2]string{ids[i-1], ids[i]}, path, e)
		}
	}
	return f
}

func (f *flows) add(key [2]string, path string, e *entry) {
	flow := f.flows[key]
	if flow == nil {
		flow = &MapFlow{From: key[0], To: key[1], AssociationID: e.ID}
		f.flows[key], f.paths[key] = flow, map[string]bool{}
	}
	if flow.Associations++; flow.Associations > 1 {
		flow.AssociationID = ""
	}
	switch e.State {
	case Working:
		flow.Working++
	case Failing, NotReady:
		flow.Failing++
	}
	if len(f.paths[key]) < maxPaths {
		f.paths[key][path] = true
	}
}

// stationsOf are the nodes that an association goes through.
func stationsOf(e *entry, by string, clusters bool, accounts map[string]string) []MapNode {
	left, right, _ := strings.Cut(by, ",")
	namespace := e.Namespace
	parent := ""
	if clusters {
		namespace, parent = e.Cluster.Name+"/"+e.Namespace, e.Cluster.Name
	}
	out := []MapNode{{ID: "ns:" + namespace, Kind: "namespace", Label: namespace, Parent: parent}}
	if left == "serviceAccount" {
		out[0] = MapNode{ID: "sa:" + namespace + "/" + e.ServiceAccount, Kind: "serviceAccount", Label: e.ServiceAccount, Parent: namespace}
	}
	for i, arn := range []string{e.RoleARN, e.TargetRoleARN} {
		if arn == "" {
			continue
		}
		column := i + 1
		side := [...]string{"role:", "target:"}[i]
		account := accountOf(arn)
		if right == "account" {
			out = append(out, MapNode{ID: side + account, Kind: "account", Column: column, Label: cmp.Or(accounts[account], account), Parent: account})
			continue
		}
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
