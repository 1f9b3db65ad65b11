package awssim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/podid/podid/internal/policy"
)

// fullAccess is the name and document of the SCP that is attached where nobody detached it.
const (
	fullAccess         = "FullAWSAccess"
	fullAccessDocument = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

// organization is an Organization with its policies parsed.
type organization struct {
	Seed Organization
	// members maps an account to the levels it is under, from the root down.
	members map[string]levels
}

type levels struct{ scp, rcp [][]policy.Policy }

func (o *organization) id() (string, string) { return "organization", "" }
func (o *organization) stored() any          { return o }

func (o *organization) compile() error {
	o.members = map[string]levels{}
	return o.enter(o.Seed.Root, levels{}, 0)
}

// maxUnitDepth is Organizations' own limit of five, and one for an account in a
// unit of its own
// (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html).
const maxUnitDepth = 6

func (o *organization) enter(u Unit, above levels, depth int) error {
	if depth > maxUnitDepth {
		return fmt.Errorf("organizational unit %s: units nest at most %d deep", u.Name, maxUnitDepth)
	}
	scps := u.SCPs
	if len(scps) == 0 {
		scps = map[string]string{fullAccess: ""}
	}
	scp, err := parseControls(u.Name, policy.SCP, "service control policy ", scps)
	if err != nil {
		return err
	}
	rcp, err := parseControls(u.Name, policy.RCP, "resource control policy ", u.RCPs)
	if err != nil {
		return err
	}
	here := levels{scp: append(slices.Clone(above.scp), scp), rcp: append(slices.Clone(above.rcp), rcp)}
	for _, account := range u.Accounts {
		if _, twice := o.members[account]; twice {
			return fmt.Errorf("account %s is in two places of the organization", account)
		}
		o.members[account] = here
	}
	for _, below := range u.Units {
		if err := o.enter(below, here, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func parseControls(unit string, t policy.Type, kind string, documents map[string]string) ([]policy.Policy, error) {
	var parsed []policy.Policy
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		text := documents[name]
		if text == "" && t == policy.SCP && name == fullAccess {
			text = fullAccessDocument
		}
		d, err := policy.Parse(t, text)
		if err != nil {
			return nil, fmt.Errorf("%s%s of %s: %w", kind, name, unit, err)
		}
		parsed = append(parsed, policy.Policy{Name: kind + name + " of " + unit, Type: t, Document: d})
	}
	return parsed, nil
}

// of returns the organization's id if the account is a member, and the
// policies it is under. The management account is under none
// (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html).
func (o *organization) of(account string) (id string, l levels) {
	if o == nil || account == "" {
		return "", levels{}
	}
	l, member := o.members[account]
	switch {
	case account == o.Seed.ManagementAccountID:
		return o.Seed.ID, levels{}
	case member:
		return o.Seed.ID, l
	}
	return "", levels{}
}
