package awssim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

const (
	orgSCP       = "SERVICE_CONTROL_POLICY"
	orgRCP       = "RESOURCE_CONTROL_POLICY"
	orgRootID    = "r-root"
	fullAccessID = "p-" + fullAccess
)

// orgPolicy is one control policy where it is attached. A world has a policy of
// its own for each place.
type orgPolicy struct{ ID, Name, Type, Content string }

func (p orgPolicy) summary(o *Organization) policySummary {
	s := policySummary{ID: p.ID, Name: p.Name, Type: p.Type, AWSManaged: p.ID == fullAccessID}
	kind, owner := "service_control_policy", o.ManagementAccountID+":policy/"+o.ID
	if p.Type == orgRCP {
		kind = "resource_control_policy"
	}
	if s.AWSManaged {
		owner = "aws:policy"
	}
	s.ARN = "arn:aws:organizations::" + owner + "/" + kind + "/" + p.ID
	return s
}

// unitAt is a unit in its place. Ids follow from the names on the way to it, so
// that they stay the same over restarts.
type unitAt struct {
	*Unit
	id, parent, path string
}

// units lists the root and all units, from the root down.
func (o *organization) units() []unitAt {
	all := []unitAt{{Unit: &o.Seed.Root, id: orgRootID}}
	for i := 0; i < len(all); i++ {
		for j := range all[i].Units {
			below := &all[i].Units[j]
			path := all[i].path + "/" + below.Name
			all = append(all, unitAt{Unit: below, id: "ou-root-" + shortHash(path), parent: all[i].id, path: path})
		}
	}
	return all
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:5])
}

// parent returns the id of what an account or unit is directly under.
func (o *organization) parent(child string) (string, bool) {
	for _, u := range o.units() {
		if slices.Contains(u.Accounts, child) {
			return u.id, true
		}
		if u.id == child && u.parent != "" {
			return u.parent, true
		}
	}
	return orgRootID, child == o.Seed.ManagementAccountID
}

// attached returns the policies of an account, a unit or the root. Accounts
// have the one that AWS attaches; what a world gives them is of a unit around.
func (o *organization) attached(target string) ([]orgPolicy, bool) {
	for _, u := range o.units() {
		if u.id == target {
			return u.policies(), true
		}
	}
	_, member := o.parent(target)
	return []orgPolicy{{fullAccessID, fullAccess, orgSCP, fullAccessDocument}}, member
}

func (u unitAt) policies() []orgPolicy {
	scps := u.SCPs
	if len(scps) == 0 {
		scps = map[string]string{fullAccess: ""}
	}
	var all []orgPolicy
	for _, name := range slices.Sorted(maps.Keys(scps)) {
		if name == fullAccess && scps[name] == "" {
			all = append(all, orgPolicy{fullAccessID, fullAccess, orgSCP, fullAccessDocument})
			continue
		}
		all = append(all, orgPolicy{u.policyID(orgSCP, name), name, orgSCP, scps[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(u.RCPs)) {
		all = append(all, orgPolicy{u.policyID(orgRCP, name), name, orgRCP, u.RCPs[name]})
	}
	return all
}

func (u unitAt) policyID(kind, name string) string { return "p-" + shortHash(u.path+" "+kind+" "+name) }

// policy finds a policy by its id.
func (o *organization) policy(id string) (orgPolicy, bool) {
	for _, u := range o.units() {
		for _, p := range u.policies() {
			if p.ID == id {
				return p, true
			}
		}
	}
	return orgPolicy{}, false
}

// with returns a copy of the organization in which a policy has another content.
func (o *organization) with(id, content string) (*organization, error) {
	text, err := json.Marshal(o.Seed)
	if err != nil {
		return nil, fmt.Errorf("copying the organization: %w", err)
	}
	next := &organization{}
	if err := json.Unmarshal(text, &next.Seed); err != nil {
		return nil, fmt.Errorf("copying the organization: %w", err)
	}
	for _, u := range next.units() {
		for _, p := range u.policies() {
			switch {
			case p.ID != id || id == fullAccessID:
			case p.Type == orgRCP:
				u.RCPs[p.Name] = content
			default:
				u.SCPs[p.Name] = content
			}
		}
	}
	return next, next.compile()
}
