package awssim

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// managedDocument reads the document of a managed policy or of a version of one.
func (x *iamCall) managedDocument() (document, error) {
	text := x.form.Get("PolicyDocument")
	if policy.Size(text) > policy.MaxManaged {
		return document{}, limitExceeded("Cannot exceed quota for PolicySize: %d", policy.MaxManaged)
	}
	return parseDocument(policy.Identity, text)
}

func (x *iamCall) createPolicy() (any, error) {
	var made *managedPolicy
	err := x.sim.state.update(func(t *tx) error {
		name, err := x.name("PolicyName", 128)
		if err != nil {
			return err
		}
		path, err := x.path()
		if err != nil {
			return err
		}
		tags, err := x.tags()
		if err != nil {
			return err
		}
		now := x.c.request.at.UTC()
		made = &managedPolicy{
			AccountID: x.account, Name: name, Path: path, ID: newUniqueID(prefixPolicy), Description: x.form.Get("Description"),
			Created: now, Updated: now, Default: "v1", LastVersion: 1, Tags: tags,
		}
		if err := x.may(made.ARN(), nil, requestTags(nil, tags)); err != nil {
			return err
		}
		if utf8.RuneCountInString(made.Description) > 1000 {
			return validationError("The specified value for description is invalid: it has at most 1000 characters.")
		}
		d, err := x.managedDocument()
		if err != nil {
			return err
		}
		if x.sim.state.policyTaken(x.account, name) {
			return alreadyExists("A policy called %s already exists. Duplicate names are not allowed.", name)
		}
		made.Versions = []policyVersion{{ID: "v1", Document: d, Created: now}}
		t.put(made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &policyResult{x.wirePolicy(made, true)}, nil
}

// existingPolicy finds a managed policy, the account's or AWS's, and judges the
// call on it.
func (x *iamCall) existingPolicy() (*managedPolicy, error) {
	arn := x.form.Get("PolicyArn")
	if _, err := identity.ParseARN(arn); err != nil {
		return nil, iamFailure(400, "InvalidInput", "ARN %.200s is not valid.", arn)
	}
	p, ok := x.sim.state.managedPolicy(arn)
	ok = ok && (p.AccountID == x.account || p.AccountID == "aws")
	var tags []identity.Tag
	if ok {
		tags = p.Tags
	}
	if err := x.may(arn, tags, nil); err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuchEntity("Policy %.2048s was not found.", arn)
	}
	return p, nil
}

// changePolicy finds, asks, changes and stores a policy of the account. change
// gets a copy whose slices are its own.
func (x *iamCall) changePolicy(change func(*managedPolicy) error) (changed *managedPolicy, err error) {
	err = x.sim.state.update(func(t *tx) error {
		p, err := x.existingPolicy()
		if err != nil {
			return err
		}
		if p.AccountID == "aws" {
			return iamFailure(403, "AccessDenied", "Policies of AWS cannot be changed: %s", p.ARN())
		}
		c := *p
		c.Versions = slices.Clone(p.Versions)
		changed = &c
		if err := change(changed); err != nil {
			return err
		}
		t.put(changed)
		return nil
	})
	return changed, err
}

func (x *iamCall) getPolicy() (any, error) {
	p, err := x.existingPolicy()
	if err != nil {
		return nil, err
	}
	return &policyResult{x.wirePolicy(p, true)}, nil
}

// holders returns the ARNs' owners that policy is attached to, and that it bounds.
func (x *iamCall) holders(arn string) (attached, bounded []entity) {
	add := func(p *principal, e entity) {
		if slices.Contains(p.Attached, arn) {
			attached = append(attached, e)
		}
		if p.Boundary == arn {
			bounded = append(bounded, e)
		}
	}
	for _, r := range x.sim.state.rolesOf(x.account) {
		add(&r.principal, r)
	}
	for _, u := range x.sim.state.usersOf(x.account) {
		add(&u.principal, u)
	}
	return attached, bounded
}

func (x *iamCall) deletePolicy() (any, error) {
	return nil, x.sim.state.update(func(t *tx) error {
		p, err := x.existingPolicy()
		if err != nil {
			return err
		}
		attached, bounded := x.holders(p.ARN())
		switch {
		case p.AccountID == "aws":
			return iamFailure(403, "AccessDenied", "Policies of AWS cannot be deleted: %s", p.ARN())
		case len(attached)+len(bounded) > 0:
			return deleteConflict("Cannot delete a policy attached to entities.")
		case len(p.Versions) > 1:
			return deleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		t.delete(p)
		return nil
	})
}

func (x *iamCall) listPolicies() (any, error) {
	if err := x.may("*", nil, nil); err != nil {
		return nil, err
	}
	var in struct {
		Scope, PathPrefix, PolicyUsageFilter string
		OnlyAttached                         bool
	}
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return nil, err
	}
	var all []*managedPolicy
	if in.Scope != "AWS" {
		all = append(all, x.sim.state.managedPoliciesOf(x.account)...)
	}
	if in.Scope != "Local" {
		for _, p := range x.sim.state.aws {
			all = append(all, p)
		}
	}
	all = slices.DeleteFunc(all, func(p *managedPolicy) bool {
		attached, bounded := x.holders(p.ARN())
		return !strings.HasPrefix(p.Path, in.PathPrefix) || in.OnlyAttached && len(attached) == 0 ||
			in.PolicyUsageFilter == "PermissionsBoundary" && len(bounded) == 0 || in.PolicyUsageFilter == "PermissionsPolicy" && len(attached) == 0
	})
	all, p, err := page(x, all, (*managedPolicy).ARN)
	out := &policiesResult{paging: p}
	for _, p := range all {
		out.Policies = append(out.Policies, x.wirePolicy(p, false))
	}
	return out, err
}

func (x *iamCall) createPolicyVersion() (any, error) {
	var version policyVersion
	changed, err := x.changePolicy(func(p *managedPolicy) error {
		var in struct{ SetAsDefault bool }
		if err := awswire.DecodeForm(x.form, &in); err != nil {
			return err
		}
		d, err := x.managedDocument()
		if err != nil {
			return err
		}
		if len(p.Versions) >= maxVersions {
			return limitExceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		p.LastVersion++
		p.Updated = x.c.request.at.UTC()
		version = policyVersion{ID: "v" + strconv.Itoa(p.LastVersion), Document: d, Created: p.Updated}
		p.Versions = append(p.Versions, version)
		if in.SetAsDefault {
			p.Default = version.ID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &versionResult{wireVersionOf(changed, version, false)}, nil
}

// version finds the version of p that the request names.
func (x *iamCall) version(p *managedPolicy) (int, error) {
	id := x.form.Get("VersionId")
	if !iamPolicyVersion.MatchString(id) {
		return 0, validationError("1 validation error detected: Value at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?")
	}
	i := slices.IndexFunc(p.Versions, func(v policyVersion) bool { return v.ID == id })
	if i < 0 {
		return 0, noSuchEntity("Policy %s version %s does not exist or is not attachable.", p.ARN(), id)
	}
	return i, nil
}

func (x *iamCall) getPolicyVersion() (any, error) {
	p, err := x.existingPolicy()
	if err != nil {
		return nil, err
	}
	i, err := x.version(p)
	if err != nil {
		return nil, err
	}
	return &versionResult{wireVersionOf(p, p.Versions[i], true)}, nil
}

func (x *iamCall) listPolicyVersions() (any, error) {
	p, err := x.existingPolicy()
	if err != nil {
		return nil, err
	}
	out := &versionsResult{}
	for _, v := range slices.Backward(p.Versions) { // newest first; five at most fit any page
		out.Versions = append(out.Versions, wireVersionOf(p, v, false))
	}
	return out, nil
}

func (x *iamCall) deletePolicyVersion() (any, error) {
	_, err := x.changePolicy(func(p *managedPolicy) error {
		i, err := x.version(p)
		if err != nil {
			return err
		}
		if p.Versions[i].ID == p.Default {
			return deleteConflict("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return nil
	})
	return nil, err
}

func (x *iamCall) setDefaultPolicyVersion() (any, error) {
	_, err := x.changePolicy(func(p *managedPolicy) error {
		i, err := x.version(p)
		if err == nil {
			p.Default, p.Updated = p.Versions[i].ID, x.c.request.at.UTC()
		}
		return err
	})
	return nil, err
}

func (x *iamCall) listEntitiesForPolicy() (any, error) {
	p, err := x.existingPolicy()
	if err != nil {
		return nil, err
	}
	attached, bounded := x.holders(p.ARN())
	var in struct{ EntityFilter, PathPrefix, PolicyUsageFilter string }
	if err := awswire.DecodeForm(x.form, &in); err != nil {
		return nil, err
	}
	found := attached
	if in.PolicyUsageFilter == "PermissionsBoundary" {
		found = bounded
	}
	out := &entitiesResult{}
	for _, e := range found {
		switch e := e.(type) {
		case *role:
			if (in.EntityFilter == "" || in.EntityFilter == "Role") && strings.HasPrefix(e.Path, in.PathPrefix) {
				out.PolicyRoles = append(out.PolicyRoles, wirePolicyRole{e.Name, e.ID})
			}
		case *user:
			if (in.EntityFilter == "" || in.EntityFilter == "User") && strings.HasPrefix(e.Path, in.PathPrefix) {
				out.PolicyUsers = append(out.PolicyUsers, wirePolicyUser{e.Name, e.ID})
			}
		}
	}
	return out, nil
}

func (x *iamCall) tagPolicy() (any, error) {
	_, err := x.changePolicy(func(p *managedPolicy) error {
		tags, err := x.tags()
		if err == nil {
			err = x.may(p.ARN(), p.Tags, requestTags(nil, tags))
		}
		if err == nil {
			p.Tags, err = mergeTags(p.Tags, tags)
		}
		return err
	})
	return nil, err
}

func (x *iamCall) untagPolicy() (any, error) {
	_, err := x.changePolicy(func(p *managedPolicy) error {
		keys, err := x.tagKeys()
		p.Tags = withoutTags(p.Tags, keys)
		return err
	})
	return nil, err
}

func (x *iamCall) listPolicyTags() (any, error) {
	p, err := x.existingPolicy()
	if err != nil {
		return nil, err
	}
	tags, paging, err := page(x, p.Tags, func(t identity.Tag) string { return t.Key })
	return &tagsResult{Tags: wireTags(tags), paging: paging}, err
}

func (x *iamCall) wirePolicy(p *managedPolicy, whole bool) wirePolicy {
	attached, bounded := x.holders(p.ARN())
	out := wirePolicy{
		PolicyName: p.Name, PolicyID: p.ID, ARN: p.ARN(), Path: p.Path, DefaultVersionID: p.Default, AttachmentCount: len(attached),
		PermissionsBoundaryUsageCount: len(bounded), IsAttachable: true, CreateDate: awswire.ISOTime(p.Created), UpdateDate: awswire.ISOTime(p.Updated),
	}
	if whole {
		out.Description, out.Tags = p.Description, wireTags(p.Tags)
	}
	return out
}

func wireVersionOf(p *managedPolicy, v policyVersion, whole bool) wireVersion {
	out := wireVersion{VersionID: v.ID, IsDefaultVersion: v.ID == p.Default, CreateDate: awswire.ISOTime(v.Created.Truncate(time.Second))}
	if whole {
		out.Document = escaped(v.Document.Text)
	}
	return out
}
