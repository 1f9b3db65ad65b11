package awssim

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// question is what a service asks before it does something.
type question struct {
	Action   string // "iam:GetRole"
	Resource string // ARN, or "*" where the action has none
	// ResourceAccount owns the resource. "": the account in the ARN, or else the caller's.
	ResourceAccount string
	// ResourcePolicies are the resource's own: a trust policy, a bucket policy.
	ResourcePolicies []policy.Policy
	// ResourceTags become aws:ResourceTag/...
	ResourceTags []identity.Tag
	// Absent: the resource is not there, and the answer is no whatever the
	// policies say; they are asked all the same, for the decision log.
	Absent bool
	// Context holds the condition keys of the service ("s3:prefix"), and those
	// global keys that only it knows ("aws:RequestTag/...").
	Context policy.Context
}

// decide judges a question of a caller by every policy that bears on it, and
// records the decision. Nothing in this package is done without it, except what
// AWS itself does unasked.
func (s *Sim) decide(c *Caller, q question) *policy.Decision {
	if q.ResourceAccount == "" {
		if a, err := identity.ParseARN(q.Resource); err == nil {
			q.ResourceAccount = a.AccountID
		}
	}
	if q.ResourceAccount == "" {
		q.ResourceAccount = c.principal.AccountID
	}
	keys := c.context()
	org := s.state.organization()
	id, controls := org.of(q.ResourceAccount)
	if q.ResourceAccount != "" {
		keys.Set("aws:ResourceAccount", q.ResourceAccount)
	}
	if id != "" {
		keys.Set("aws:ResourceOrgID", id)
	}
	setTags(keys, "aws:ResourceTag/", q.ResourceTags)
	for key, values := range q.Context {
		keys.Set(key, values...)
	}
	policies := s.policiesOf(c)
	policies.Resource = q.ResourcePolicies
	if c.service != nil && c.service.permissions != nil && len(q.ResourcePolicies) == 0 && !strings.HasPrefix(q.Action, "sts:") {
		policies.Resource = []policy.Policy{{Name: "permissions of " + c.service.Service, Type: policy.Resource, Document: c.service.permissions}}
	}
	policies.ResourceRCP = controls.rcp
	req := &policy.Request{
		Principal: c.principal, Action: q.Action, Resource: q.Resource,
		ResourceAccountID: q.ResourceAccount, Context: keys,
	}
	d := policy.Evaluate(req, policies)
	if q.Absent {
		d.Verdict, d.Stage = policy.ImplicitDeny, "no such resource"
	}
	s.decisions.record(c, req, d)
	return d
}

// authorize decides and, unless the answer is yes, returns an error of kind
// AccessDenied with the text that IAM, EKS and most newer services use. STS and
// S3 have words of their own and call decide.
func (s *Sim) authorize(c *Caller, q question) error {
	d := s.decide(c, q)
	if d.Verdict == policy.Allowed {
		return nil
	}
	return identity.Errorf(identity.AccessDenied, "%s %s", notAuthorized(c, q.Action, q.Resource), because(d, q.Action))
}

// Authorize is the door for services outside this package.
func (c *Caller) Authorize(_ context.Context, a identity.Access) error {
	q := question{Action: a.Action, Resource: a.Resource, Context: policy.Context{}}
	for key, values := range a.Context {
		q.Context.Set(key, values...)
	}
	if r, ok := c.sim.state.roleByARN(a.Resource); ok {
		q.ResourceTags = r.Tags
	}
	return c.sim.authorize(c, q)
}

// policiesOf collects the caller's own policies, and the SCPs of its account.
func (s *Sim) policiesOf(c *Caller) *policy.Policies {
	p := &policy.Policies{}
	switch c.principal.Kind {
	case policy.User:
		p.Identity, p.Boundary = s.attachedTo(&c.user.principal, "user "+c.user.ARN())
	case policy.RoleSession:
		p.Identity, p.Boundary = s.attachedTo(&c.role.principal, "role "+c.role.ARN())
		p.Session = s.sessionPolicies(c.session)
	}
	_, controls := s.state.organization().of(c.principal.AccountID)
	p.SCP = controls.scp
	return p
}

// attachedTo returns the identity policies of a user or role, and its boundary.
func (s *Sim) attachedTo(p *principal, owner string) (own, boundary []policy.Policy) {
	for _, name := range slices.Sorted(maps.Keys(p.Inline)) {
		own = append(own, policy.Policy{Name: "inline policy " + name + " of " + owner, Type: policy.Identity, Document: p.Inline[name].parsed})
	}
	for _, arn := range p.Attached {
		own = append(own, s.managed(arn, policy.Identity, "managed policy "+arn+" of "+owner))
	}
	if p.Boundary != "" {
		boundary = append(boundary, s.managed(p.Boundary, policy.Boundary, "permissions boundary "+p.Boundary+" of "+owner))
	}
	return own, boundary
}

// managed returns a managed policy as one that plays the part of t. One that is
// gone denies: what it denied while it was there must not be allowed now.
func (s *Sim) managed(arn string, t policy.Type, name string) policy.Policy {
	if p, ok := s.state.managedPolicy(arn); ok {
		return policy.Policy{Name: name, Type: t, Document: p.document().parsed}
	}
	return policy.Policy{Name: name + " (gone)", Type: t, Document: s.denyAll}
}

// notAuthorized is the first half of AWS's denial, and all of STS's.
func notAuthorized(c *Caller, action, resource string) string {
	return "User: " + c.name() + " is not authorized to perform: " + action + " on resource: " + resource
}

// becauseNo and becauseDeny name the policies of a type as AWS does
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html).
var (
	becauseNo = map[string]string{
		"SCP": "service control policy", "resource policy": "resource-based policy",
		"trust policy": "role trust policy", "identity policy": "identity-based policy",
		"permissions boundary": "permissions boundary", "session policy": "session policy",
	}
	becauseDeny = map[policy.Type]string{
		policy.SCP: "a service control policy", policy.RCP: "a resource control policy", policy.Resource: "a resource-based policy",
		policy.Trust: "a role trust policy", policy.Identity: "an identity-based policy",
		policy.Boundary: "a permissions boundary", policy.Session: "a session policy",
	}
)

// because is the second half of a denial: which kind of policy, never which one.
func because(d *policy.Decision, action string) string {
	if d.Verdict == policy.ExplicitDeny {
		for _, r := range d.Reasons {
			if r.Matched && !r.Allow {
				return "with an explicit deny in " + becauseDeny[r.Type]
			}
		}
		return "with an explicit deny"
	}
	kind := becauseNo[d.Stage]
	if kind == "" {
		kind = "identity-based policy"
	}
	return "because no " + kind + " allows the " + action + " action"
}
