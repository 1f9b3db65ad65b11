package awssim

import (
	"maps"
	"slices"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// holder is a role or a user as far as they are alike: both hold policies, a
// boundary and tags.
type holder struct {
	noun   string // "Role" or "User"
	arn    string
	p      principal // a copy whose maps and slices are to be replaced, not edited
	inline int       // quota of characters of all inline policies
	put    func(*tx, principal)
}

// holder finds the role or user that the request names. One that is not there
// is NoSuchEntity to those who may ask, and AccessDenied to the rest.
func (x *iamCall) holder(noun string) (*holder, error) {
	name, err := x.name(noun+"Name", 64)
	if err != nil {
		return nil, err
	}
	if noun == "Role" {
		if r, ok := x.sim.state.role(x.account, name); ok {
			return &holder{noun, r.ARN(), r.principal, policy.MaxInlineRole, func(t *tx, p principal) { c := *r; c.principal = p; t.put(&c) }}, nil
		}
		return nil, x.missing(iamARN(x.account, "role", "/", name), "The role with name %s cannot be found.", name)
	}
	if u, ok := x.sim.state.user(x.account, name); ok {
		return &holder{noun, u.ARN(), u.principal, policy.MaxInlineUser, func(t *tx, p principal) { c := *u; c.principal = p; t.put(&c) }}, nil
	}
	return nil, x.missing(iamARN(x.account, "user", "/", name), "The user with name %s cannot be found.", name)
}

func (x *iamCall) missing(arn, format string, args ...any) error {
	if err := x.may(arn, nil, nil); err != nil {
		return err
	}
	return noSuchEntity(format, args...)
}

// ask judges the call on h; more are condition keys of the operation.
func (x *iamCall) ask(h *holder, more policy.Context) error {
	if more == nil {
		more = policy.Context{}
	}
	if _, given := more.Get("iam:PermissionsBoundary"); !given && h.p.Boundary != "" {
		more.Set("iam:PermissionsBoundary", h.p.Boundary)
	}
	return x.may(h.arn, h.p.Tags, more)
}

// read finds, asks and answers.
func read(noun string, answer func(*iamCall, *holder) (any, error)) iamOperation {
	return func(x *iamCall) (any, error) {
		h, err := x.holder(noun)
		if err != nil {
			return nil, err
		}
		if err := x.ask(h, nil); err != nil {
			return nil, err
		}
		return answer(x, h)
	}
}

// edit finds, asks, changes and stores, with no other change in between.
func edit(noun string, context func(*iamCall) policy.Context, change func(*iamCall, *holder) error) iamOperation {
	return func(x *iamCall) (any, error) {
		return nil, x.sim.state.update(func(t *tx) error {
			h, err := x.holder(noun)
			if err != nil {
				return err
			}
			var more policy.Context
			if context != nil {
				more = context(x)
			}
			if err := x.ask(h, more); err != nil {
				return err
			}
			if err := change(x, h); err != nil {
				return err
			}
			h.put(t, h.p)
			return nil
		})
	}
}

func principalOperations(noun string) map[string]iamOperation {
	policyARN := func(x *iamCall) policy.Context {
		k := policy.Context{}
		k.Set("iam:PolicyARN", x.form.Get("PolicyArn"))
		return k
	}
	boundary := func(x *iamCall) policy.Context {
		k := policy.Context{}
		k.Set("iam:PermissionsBoundary", x.form.Get("PermissionsBoundary"))
		return k
	}
	return map[string]iamOperation{
		"Put" + noun + "Policy":                 edit(noun, nil, (*iamCall).putInline),
		"Delete" + noun + "Policy":              edit(noun, nil, (*iamCall).deleteInline),
		"Get" + noun + "Policy":                 read(noun, (*iamCall).getInline),
		"List" + noun + "Policies":              read(noun, (*iamCall).listInline),
		"Attach" + noun + "Policy":              edit(noun, policyARN, (*iamCall).attach),
		"Detach" + noun + "Policy":              edit(noun, policyARN, (*iamCall).detach),
		"ListAttached" + noun + "Policies":      read(noun, (*iamCall).listAttached),
		"Put" + noun + "PermissionsBoundary":    edit(noun, boundary, (*iamCall).putBoundary),
		"Delete" + noun + "PermissionsBoundary": edit(noun, nil, func(_ *iamCall, h *holder) error { h.p.Boundary = ""; return nil }),
		"List" + noun + "Tags": read(noun, func(x *iamCall, h *holder) (any, error) {
			tags, p, err := page(x, h.p.Tags, func(t identity.Tag) string { return t.Key })
			return &tagsResult{Tags: wireTags(tags), paging: p}, err
		}),
		"Tag" + noun: edit(noun, func(x *iamCall) policy.Context {
			tags, _ := x.tags() // what cannot be read is refused below, after the question
			return requestTags(nil, tags)
		}, func(x *iamCall, h *holder) error {
			tags, err := x.tags()
			if err == nil {
				h.p.Tags, err = mergeTags(h.p.Tags, tags)
			}
			return err
		}),
		"Untag" + noun: edit(noun, tagKeysContext, func(x *iamCall, h *holder) error {
			keys, err := x.tagKeys()
			h.p.Tags = withoutTags(h.p.Tags, keys)
			return err
		}),
	}
}

func tagKeysContext(x *iamCall) policy.Context {
	keys, _ := x.tagKeys() // what cannot be read is refused by the operation
	k := policy.Context{}
	if len(keys) > 0 {
		k.Set("aws:TagKeys", keys...)
	}
	return k
}

func (x *iamCall) putInline(h *holder) error {
	name, err := x.name("PolicyName", 128)
	if err != nil {
		return err
	}
	d, err := parseDocument(policy.Identity, x.form.Get("PolicyDocument"))
	if err != nil {
		return err
	}
	inline := maps.Clone(h.p.Inline)
	if inline == nil {
		inline = map[string]document{}
	}
	inline[name] = d
	size := 0
	for _, d := range inline {
		size += policy.Size(d.Text)
	}
	if size > h.inline {
		return limitExceeded("Maximum policy size of %d bytes exceeded for %s %s", h.inline, h.noun, h.p.Name)
	}
	h.p.Inline = inline
	return nil
}

func (x *iamCall) inlineName(h *holder) (string, error) {
	name, err := x.name("PolicyName", 128)
	if err != nil {
		return "", err
	}
	if _, ok := h.p.Inline[name]; !ok {
		return "", noSuchEntity("The %s policy with name %s cannot be found.", lower(h.noun), name)
	}
	return name, nil
}

func (x *iamCall) deleteInline(h *holder) error {
	name, err := x.inlineName(h)
	if err != nil {
		return err
	}
	h.p.Inline = maps.Clone(h.p.Inline)
	delete(h.p.Inline, name)
	return nil
}

func (x *iamCall) getInline(h *holder) (any, error) {
	name, err := x.inlineName(h)
	if err != nil {
		return nil, err
	}
	out := &inlineResult{PolicyName: name, PolicyDocument: escaped(h.p.Inline[name].Text)}
	if h.noun == "Role" {
		out.RoleName = h.p.Name
	} else {
		out.UserName = h.p.Name
	}
	return out, nil
}

func (x *iamCall) listInline(h *holder) (any, error) {
	names, p, err := page(x, slices.Collect(maps.Keys(h.p.Inline)), func(n string) string { return n })
	return &policyNamesResult{PolicyNames: names, paging: p}, err
}

// usablePolicy finds a managed policy that the account can use: its own, or AWS's.
func (x *iamCall) usablePolicy(arn string) (*managedPolicy, error) {
	p, ok := x.sim.state.managedPolicy(arn)
	if !ok || p.AccountID != x.account && p.AccountID != "aws" {
		return nil, noSuchEntity("Policy %.2048s does not exist or is not attachable.", arn)
	}
	return p, nil
}

func (x *iamCall) attach(h *holder) error {
	p, err := x.usablePolicy(x.form.Get("PolicyArn"))
	if err != nil || slices.Contains(h.p.Attached, p.ARN()) {
		return err
	}
	if len(h.p.Attached) >= maxAttached {
		return limitExceeded("Cannot exceed quota for PoliciesPer%s: %d", h.noun, maxAttached)
	}
	h.p.Attached = append(slices.Clone(h.p.Attached), p.ARN())
	return nil
}

func (x *iamCall) detach(h *holder) error {
	arn := x.form.Get("PolicyArn")
	if !slices.Contains(h.p.Attached, arn) {
		return noSuchEntity("Policy %.2048s was not found.", arn)
	}
	h.p.Attached = slices.DeleteFunc(slices.Clone(h.p.Attached), func(a string) bool { return a == arn })
	return nil
}

func (x *iamCall) listAttached(h *holder) (any, error) {
	arns, p, err := page(x, h.p.Attached, func(arn string) string { return arn })
	out := &attachedResult{paging: p}
	for _, arn := range arns {
		out.AttachedPolicies = append(out.AttachedPolicies, wireAttached{nameOf(arn), arn})
	}
	return out, err
}

func (x *iamCall) putBoundary(h *holder) error {
	p, err := x.usablePolicy(x.form.Get("PermissionsBoundary"))
	if err == nil {
		h.p.Boundary = p.ARN()
	}
	return err
}

// newPrincipal reads what CreateRole and CreateUser have in common, and judges
// the call.
func (x *iamCall) newPrincipal(noun, prefix string) (principal, error) {
	var none principal
	name, err := x.name(noun+"Name", 64)
	if err != nil {
		return none, err
	}
	path, err := x.path()
	if err != nil {
		return none, err
	}
	tags, err := x.tags()
	if err != nil {
		return none, err
	}
	p := principal{AccountID: x.account, Name: name, Path: path, ID: newUniqueID(prefix), Created: x.c.request.at.UTC(), Tags: tags}
	more := requestTags(nil, tags)
	if arn := x.form.Get("PermissionsBoundary"); arn != "" {
		more.Set("iam:PermissionsBoundary", arn)
		p.Boundary = arn
	}
	arn := iamARN(x.account, lower(noun), path, name)
	if err := x.may(arn, nil, more); err != nil {
		return none, err
	}
	if len(tags) > 0 {
		if err := x.mayDo("iam:Tag"+noun, arn, nil, requestTags(nil, tags)); err != nil {
			return none, err
		}
	}
	if p.Boundary != "" {
		if _, err := x.usablePolicy(p.Boundary); err != nil {
			return none, err
		}
	}
	return p, nil
}

// empty refuses to delete a role or user that still holds something.
func (h *holder) empty() error {
	switch {
	case len(h.p.Inline) > 0:
		return deleteConflict("Cannot delete entity, must delete policies first.")
	case len(h.p.Attached) > 0:
		return deleteConflict("Cannot delete entity, must detach all policies first.")
	}
	return nil
}
