package awssim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// seed puts a world into an empty state, all at once.
func (s *Sim) seed(w World) error {
	p := planter{sim: s, at: s.config.Now().UTC().Truncate(time.Second), taken: map[string]bool{}, ids: map[string]string{}, managed: map[string]bool{}}
	for _, a := range w.Accounts {
		if err := p.account(a); err != nil {
			return fmt.Errorf("account %s: %w", a.ID, err)
		}
	}
	if w.Organization != nil {
		o := &organization{Seed: *w.Organization}
		if err := o.compile(); err != nil {
			return fmt.Errorf("organization: %w", err)
		}
		p.tx.put(o)
	}
	if err := p.finish(); err != nil {
		return err
	}
	p.tx.put(newMasterKey())
	return s.state.update(func(t *tx) error { *t = p.tx; return nil })
}

// planter turns the seeds of a world into entities.
type planter struct {
	sim   *Sim
	at    time.Time
	tx    tx
	taken map[string]bool // kinds and keys, and access key ids

	// What may come later in the world waits for finish.
	ids      map[string]string // ARNs of users and roles -> unique ids
	managed  map[string]bool   // ARNs of managed policies
	attached []string          // ARNs of managed policies that somebody uses
	bind     []func() error    // trust and bucket policies
}

func (p *planter) put(e entity) error {
	kind, key := e.id()
	if p.taken[kind+" "+key] {
		return fmt.Errorf("%s %s is there twice", kind, key)
	}
	p.taken[kind+" "+key] = true
	p.tx.put(e)
	return nil
}

func (p *planter) account(a Account) error {
	if !identity.IsAccountID(a.ID) {
		return errors.New("an account id has 12 digits")
	}
	if err := p.put(&account{ID: a.ID, Name: a.Name}); err != nil {
		return err
	}
	for _, m := range a.Policies {
		if err := p.managedPolicy(a.ID, m); err != nil {
			return fmt.Errorf("policy %s: %w", m.Name, err)
		}
	}
	for _, u := range a.Users {
		if err := p.user(a.ID, u); err != nil {
			return fmt.Errorf("user %s: %w", u.Name, err)
		}
	}
	for _, r := range a.Roles {
		if err := p.role(a.ID, r); err != nil {
			return fmt.Errorf("role %s: %w", r.Name, err)
		}
	}
	for _, o := range a.OIDCProviders {
		url, ok := issuerName(o.URL)
		if !ok {
			return fmt.Errorf("OIDC provider %q: its URL begins with https://, or is on loopback", o.URL)
		}
		e := &oidcProvider{AccountID: a.ID, URL: url, ClientIDs: slices.Clone(o.ClientIDs), Thumbprints: slices.Clone(o.Thumbprints), Created: p.at}
		if err := p.put(e); err != nil {
			return err
		}
	}
	for _, b := range a.Buckets {
		if err := p.bucket(a.ID, b); err != nil {
			return fmt.Errorf("bucket %s: %w", b.Name, err)
		}
	}
	return nil
}

func (p *planter) managedPolicy(account string, m ManagedPolicy) error {
	d, err := parseDocument(policy.Identity, m.Document)
	if err != nil {
		return err
	}
	e := &managedPolicy{
		AccountID: account, Name: m.Name, Path: cmp.Or(m.Path, "/"), ID: newUniqueID(prefixPolicy), Description: m.Description,
		Created: p.at, Updated: p.at, Versions: []policyVersion{{ID: "v1", Document: d, Created: p.at}}, Default: "v1", LastVersion: 1,
	}
	p.managed[e.ARN()] = true
	return p.put(e)
}

func (p *planter) user(account string, u User) error {
	who, err := p.principal(account, prefixUser, u.Name, u.Path, u.InlinePolicies, u.ManagedPolicies, u.PermissionsBoundary, u.Tags)
	if err != nil {
		return err
	}
	e := &user{principal: who}
	for _, k := range u.AccessKeys {
		id := cmp.Or(k.ID, newAccessKeyID(prefixLongTerm, account))
		secret := cmp.Or(k.Secret, newSecretKey())
		if p.taken["key "+id] || strings.HasPrefix(id, prefixTemporary) || p.sim.serviceKeys[id] != nil {
			return fmt.Errorf("access key id %s is taken, or one of temporary credentials", id)
		}
		p.taken["key "+id] = true
		e.Keys = append(e.Keys, accessKey{ID: id, Secret: secret, Created: p.at})
	}
	p.ids[e.ARN()] = e.ID
	return p.put(e)
}

func (p *planter) role(account string, r Role) error {
	who, err := p.principal(account, prefixRole, r.Name, r.Path, r.InlinePolicies, r.ManagedPolicies, r.PermissionsBoundary, r.Tags)
	if err != nil {
		return err
	}
	e := &role{principal: who, Description: r.Description, MaxSession: cmp.Or(r.MaxSessionDuration, time.Hour)}
	if e.MaxSession < time.Hour || e.MaxSession > 12*time.Hour {
		return errors.New("the longest session is between one and twelve hours")
	}
	if _, err := identity.ParseRoleARN(e.ARN()); err != nil {
		return err
	}
	p.ids[e.ARN()] = e.ID
	p.bind = append(p.bind, func() (err error) {
		if e.Trust, err = bindWith(policy.Trust, r.TrustPolicy, p.uniqueID); err != nil {
			return fmt.Errorf("trust policy of %s: %w", e.ARN(), err)
		}
		return nil
	})
	return p.put(e)
}

func (p *planter) principal(account, prefix, name, path string, inline map[string]string, attached []string, boundary string, tags []identity.Tag) (principal, error) {
	e := principal{
		AccountID: account, Name: name, Path: cmp.Or(path, "/"), ID: newUniqueID(prefix), Created: p.at,
		Attached: slices.Clone(attached), Boundary: boundary, Tags: slices.Clone(tags), Inline: map[string]document{},
	}
	if name == "" || !strings.HasPrefix(e.Path, "/") || !strings.HasSuffix(e.Path, "/") {
		return e, errors.New(`a name is needed, and a path begins and ends with "/"`)
	}
	p.attached = append(p.attached, attached...)
	if boundary != "" {
		p.attached = append(p.attached, boundary)
	}
	for name, text := range inline {
		d, err := parseDocument(policy.Identity, text)
		if err != nil {
			return e, fmt.Errorf("inline policy %s: %w", name, err)
		}
		e.Inline[name] = d
	}
	return e, nil
}

func (p *planter) bucket(account string, b Bucket) error {
	e := &bucket{AccountID: account, Name: b.Name, Region: cmp.Or(b.Region, p.sim.config.Region), Created: p.at}
	if b.Policy != "" {
		p.bind = append(p.bind, func() error {
			d, err := bindWith(policy.Resource, b.Policy, p.uniqueID)
			if err != nil {
				return fmt.Errorf("policy of bucket %s: %w", b.Name, err)
			}
			e.Policy = &d
			return nil
		})
	}
	return p.put(e)
}

func (p *planter) uniqueID(arn string) (id string, ok bool) {
	id, ok = p.ids[arn]
	return id, ok
}

// finish does what needs the whole world.
func (p *planter) finish() error {
	for _, arn := range p.attached {
		_, aws := p.sim.state.managedPolicy(arn)
		if !p.managed[arn] && !aws {
			return fmt.Errorf("there is no managed policy %s", arn)
		}
	}
	for _, bind := range p.bind {
		if err := bind(); err != nil {
			return err
		}
	}
	return nil
}
