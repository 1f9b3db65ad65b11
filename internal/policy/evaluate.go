package policy

import (
	"slices"
	"strings"
)

// Evaluate judges req by p. It consults every statement of every policy, and
// then settles by the rules of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html.
// What it does not understand is denied: a policy without a document or in a
// part that is not its own, an action without a vendor, an unknown kind of
// principal.
//
// Every policy given is consulted, whoever the principal is. So leave out what
// does not bear on it: SCPs for service principals, other organisations and
// the management account; RCPs for service-linked roles.
func Evaluate(req *Request, p *Policies) *Decision {
	e := evaluation{
		req:         req,
		action:      strings.ToLower(req.Action),
		hasBoundary: len(p.Boundary) > 0,
		reasons:     make([]Reason, 0, p.statements()),
	}
	var v verdicts
	v.scp = e.levels(p.SCP, scpPart)
	// RCPFullAWSAccess is attached to everything and cannot be detached, so an
	// RCP has nothing to allow
	// (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_evaluation.html).
	e.levels(p.ResourceRCP, rcpPart)
	v.resource = e.set(p.Resource, resourcePart)
	v.identity = e.set(p.Identity, identityPart)
	v.boundary = e.set(p.Boundary, identityPart)
	v.session = e.set(p.Session, identityPart)
	d := &Decision{Reasons: e.reasons}
	d.Verdict, d.Stage = e.settle(p, &v)
	return d
}

// Allowed tells whether the request may go on.
func (d *Decision) Allowed() bool { return d.Verdict == Allowed }

func (p *Policies) statements() int {
	n := 0
	count := func(ps []Policy) {
		for i := range ps {
			if ps[i].Document == nil {
				n++
			} else {
				n += len(ps[i].Document.rules)
			}
		}
	}
	for _, level := range slices.Concat(p.SCP, p.ResourceRCP) {
		count(level)
	}
	for _, ps := range [...][]Policy{p.Resource, p.Identity, p.Boundary, p.Session} {
		count(ps)
	}
	return n
}

// part is what a set of policies decides on.
type part int

const (
	identityPart part = iota // identity policies, boundaries, session policies
	resourcePart
	scpPart
	rcpPart
)

// takes tells whether a document of type t belongs there. A managed policy
// serves as identity policy, boundary and session policy alike.
func (pt part) takes(t Type) bool {
	switch pt {
	case identityPart:
		return t == Identity || t == Boundary || t == Session
	case resourcePart:
		return t == Resource || t == Trust
	case scpPart:
		return t == SCP
	}
	return t == RCP
}

// verdict is what a set of policies says, apart from explicit denials.
type verdict struct {
	allows bool
	grant  grant // of resource-based policies: the most direct
}

type verdicts struct {
	scp                                   bool
	resource, identity, boundary, session verdict
}

// evaluation is one run.
type evaluation struct {
	req         *Request
	action      string // in lower case
	hasBoundary bool
	denied      bool // some statement denies
	unreadable  bool // some policy cannot be understood
	reasons     []Reason
	misses      []Miss // of all statements, one after the other
	// What was present, made when first needed.
	principal, gotAction, gotResource []string
}

// levels consults policies that must allow on every level of an organisation.
func (e *evaluation) levels(levels [][]Policy, pt part) bool {
	all := true
	for _, level := range levels {
		all = e.set(level, pt).allows && all
	}
	return all
}

func (e *evaluation) set(ps []Policy, pt part) verdict {
	var v verdict
	for i := range ps {
		p := &ps[i]
		if p.Document == nil || !pt.takes(p.Document.kind) {
			e.unreadable = true
			e.reasons = append(e.reasons, Reason{Policy: p.Name, Type: p.Type, Misses: []Miss{{Element: "Document"}}})
			continue
		}
		for j := range p.Document.rules {
			g, matched := e.statement(p, j)
			allow := p.Document.rules[j].allow
			e.denied = e.denied || matched && !allow
			if matched && allow {
				v.allows, v.grant = true, max(v.grant, g)
			}
		}
	}
	return v
}

// statement consults one statement and adds its reason.
func (e *evaluation) statement(p *Policy, index int) (grant, bool) {
	d := p.Document
	r, s := &d.rules[index], &d.statements[index]
	first := len(e.misses)
	g := notNamed
	if r.principals != nil {
		g = r.principals.grants(r.allow, &e.req.Principal, d, e.hasBoundary)
		if g == notNamed {
			e.missPrincipal(d, s)
		}
	}
	if e.actionIn(r.actions) == r.notAction {
		e.missAction(s)
	}
	if len(r.resources) > 0 && e.resourceIn(r.resources) == r.notResource {
		e.missResource(s, r)
	}
	for i := range r.conditions {
		if !r.conditions[i].holds(r.allow, e.req.Context) {
			e.missCondition(&r.conditions[i], &s.Conditions[i])
		}
	}
	reason := Reason{
		Policy: p.Name, Type: p.Type, Sid: s.Sid, Statement: index, Line: s.Start.Line, Allow: r.allow,
		Matched: len(e.misses) == first, Delegates: g == delegated,
	}
	if !reason.Matched {
		reason.Misses = e.misses[first:len(e.misses):len(e.misses)]
	}
	e.reasons = append(e.reasons, reason)
	return g, reason.Matched
}

func (e *evaluation) actionIn(patterns []string) bool {
	for _, p := range patterns {
		if globMatch(p, e.action) {
			return true
		}
	}
	return false
}

func (e *evaluation) resourceIn(resources []resource) bool {
	for i := range resources {
		if resources[i].matches(e.req.Resource, e.req.Context) {
			return true
		}
	}
	return false
}

// settle decides, once everything is known.
func (e *evaluation) settle(p *Policies, v *verdicts) (Verdict, string) {
	resource := "resource policy"
	if e.trustDecides(p) {
		resource = "trust policy"
	}
	switch {
	case e.denied:
		return ExplicitDeny, "explicit deny"
	case e.unreadable:
		return ImplicitDeny, "unreadable policy"
	case strings.IndexByte(e.action, ':') < 1:
		return ImplicitDeny, "malformed request"
	case !v.scp:
		return ImplicitDeny, "SCP"
	}
	switch e.req.Principal.Kind {
	case Service, WebIdentity, Anonymous:
		// They have no policies of their own.
		if v.resource.allows {
			return Allowed, resource
		}
		return ImplicitDeny, resource
	case Root, User, RoleSession:
		return e.settleIdentity(p, v, resource)
	}
	return ImplicitDeny, "malformed request"
}

// settleIdentity decides for an account's own identities. In one account an
// identity policy or a resource policy is enough, save where the resource's
// policy must allow; across accounts both are needed
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html).
func (e *evaluation) settleIdentity(p *Policies, v *verdicts, resource string) (Verdict, string) {
	same := e.sameAccount()
	if same && v.resource.grant == namedDirect {
		return Allowed, resource
	}
	byResource := same && v.resource.grant == namedRole
	// The root user may do everything in its account.
	byIdentity := v.identity.allows || e.req.Principal.Kind == Root
	switch {
	case (!same || e.resourceMustAllow(p)) && !v.resource.allows:
		return ImplicitDeny, resource
	case !byResource && !byIdentity:
		return ImplicitDeny, "identity policy"
	case len(p.Boundary) > 0 && !v.boundary.allows:
		return ImplicitDeny, "permissions boundary"
	case len(p.Session) > 0 && !v.session.allows:
		return ImplicitDeny, "session policy"
	case byResource && !v.identity.allows:
		return Allowed, resource
	}
	return Allowed, "identity policy"
}

func (e *evaluation) sameAccount() bool {
	owner := e.req.ResourceAccountID
	if owner == "" && e.req.Resource == "*" {
		owner = e.req.Principal.AccountID // an action without a resource
	}
	return e.req.Principal.hasAccount() && e.req.Principal.AccountID == owner
}

// trustDecides tells whether the request is one that a role's trust policy
// decides, whether there is one or not.
func (e *evaluation) trustDecides(p *Policies) bool {
	for i := range p.Resource {
		if d := p.Resource[i].Document; d != nil && d.kind == Trust {
			return true
		}
	}
	arn, ok := splitARN(e.req.Resource)
	role := ok && arn[2] == "iam" && strings.HasPrefix(arn[5], "role/")
	return strings.HasPrefix(e.action, "sts:assumerole") || role && strings.HasPrefix(e.action, "sts:")
}

// resourceMustAllow tells whether the resource's policy must allow even in
// one account: so it is for roles and for KMS keys
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html).
func (e *evaluation) resourceMustAllow(p *Policies) bool {
	arn, ok := splitARN(e.req.Resource)
	return e.trustDecides(p) || ok && arn[2] == "kms" && strings.HasPrefix(arn[5], "key/")
}
