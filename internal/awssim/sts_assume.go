package awssim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// assumption is a role about to be assumed, in whichever way.
type assumption struct {
	action         string // "sts:AssumeRole"
	roleARN        string
	sessionName    string
	duration       time.Duration // 0: one hour
	policy         string        // "": none
	policyARNs     []string
	tags           []identity.Tag // passed in this call
	transitive     []string       // of those
	inherited      []identity.Tag // transitive tags of the caller's session
	sourceIdentity string         // passed or inherited
	context        policy.Context // further condition keys
	denial         func(action string) error

	provider    string            // web identity
	webIdentity map[string]string // web identity
}

// assumeRole is https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.
func (s *Sim) assumeRole(_ *http.Request, c *Caller, form url.Values) (any, error) {
	var in assumeRoleInput
	if err := awswire.DecodeForm(form, &in); err != nil {
		return nil, err
	}
	if err := in.validate(); err != nil {
		return nil, err
	}
	a := assumption{
		action: "sts:AssumeRole", roleARN: *in.RoleArn, sessionName: *in.RoleSessionName, transitive: in.TransitiveTagKeys,
		policy: deref(in.Policy), policyARNs: arnsOf(in.PolicyArns), sourceIdentity: deref(in.SourceIdentity), context: policy.Context{},
		denial: func(action string) error { return stsDenied(c, action, *in.RoleArn) },
	}
	if in.DurationSeconds != nil {
		a.duration = time.Duration(*in.DurationSeconds) * time.Second
	}
	for _, t := range in.Tags {
		a.tags = append(a.tags, identity.Tag(t))
	}
	if in.ExternalID != nil {
		a.context.Set("sts:ExternalId", *in.ExternalID)
	}
	if c.session != nil {
		a.inherited = c.session.inherits()
		if old := c.session.SourceIdentity; old != "" {
			if in.SourceIdentity != nil && *in.SourceIdentity != old {
				return nil, validationError("The source identity is already set for this assume role session")
			}
			a.sourceIdentity = old
		}
	}
	return s.assume(c, a)
}

// validate checks what the parameters' model says of each by itself.
func (in *assumeRoleInput) validate() error {
	var v validation
	v.text("roleArn", in.RoleArn, 20, 2048, anyPattern)
	v.text("roleSessionName", in.RoleSessionName, 2, 64, sessionPattern)
	v.number("durationSeconds", in.DurationSeconds, 900, 43200)
	v.optional("policy", in.Policy, 1, 2048, policyPattern)
	v.count("policyArns", len(in.PolicyArns), 10)
	v.count("tags", len(in.Tags), 50)
	for i, t := range in.Tags {
		v.optional(fmt.Sprintf("tags.%d.member.key", i+1), &t.Key, 1, 128, tagKeyPattern)
		v.optional(fmt.Sprintf("tags.%d.member.value", i+1), &t.Value, 0, 256, tagValuePattern)
	}
	v.count("transitiveTagKeys", len(in.TransitiveTagKeys), 50)
	for i, key := range in.TransitiveTagKeys {
		v.optional(fmt.Sprintf("transitiveTagKeys.%d.member", i+1), &key, 1, 128, tagKeyPattern)
	}
	v.optional("externalId", in.ExternalID, 2, 1224, externalIDPattern)
	v.optional("sourceIdentity", in.SourceIdentity, 2, 64, sessionPattern) // without ":", so none begins with aws:
	if err := v.err(); err != nil {
		return err
	}
	if in.SerialNumber != nil || in.TokenCode != nil { // no account here has an MFA device
		return &awswire.Error{Code: "AccessDenied", Status: http.StatusForbidden,
			Message: "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."}
	}
	if len(in.ProvidedContexts) > 0 { // ignored, they would be missing where a policy asks for them
		return validationError("ProvidedContexts are not available")
	}
	return nil
}

// assume judges an assumption and makes the session. What depends on the
// request alone is checked first; what would tell about the role, once the
// caller is known to be allowed.
func (s *Sim) assume(c *Caller, a assumption) (*assumedResult, error) {
	if _, err := identity.ParseRoleARN(a.roleARN); err != nil {
		return nil, validationError("%.256s is invalid", a.roleARN)
	}
	if err := a.checkTags(); err != nil {
		return nil, err
	}
	if a.policy != "" {
		_, err := policy.Parse(policy.Session, a.policy)
		if e, ok := errors.AsType[*policy.SyntaxError](err); ok {
			return nil, &awswire.Error{Code: "MalformedPolicyDocument", Status: http.StatusBadRequest, Message: e.Message}
		}
		if err != nil {
			return nil, err
		}
	}
	packed, err := a.packedSize()
	if err != nil {
		return nil, err
	}
	target, err := s.judge(c, a)
	if err != nil {
		return nil, err
	}
	if err := s.checkPolicyARNs(target, a.policyARNs); err != nil {
		return nil, err
	}
	duration, err := a.lifetime(c, target)
	if err != nil {
		return nil, err
	}
	issued := c.request.at.UTC().Truncate(time.Second)
	se := &session{
		AccessKeyID: newAccessKeyID(prefixTemporary, target.AccountID), RoleID: target.ID, Name: a.sessionName,
		Issued: issued, Expires: issued.Add(duration), Tags: slices.Concat(a.inherited, a.tags), Transitive: a.allTransitive(),
		Policy: a.policy, PolicyARNs: a.policyARNs, SourceIdentity: a.sourceIdentity, Provider: a.provider, WebIdentity: a.webIdentity,
	}
	creds, err := s.sealer.seal(se)
	if err != nil {
		return nil, err
	}
	return &assumedResult{
		SourceIdentity:   a.sourceIdentity,
		AssumedRoleUser:  assumedRoleUser{Arn: sessionARN(target, se.Name), AssumedRoleID: target.ID + ":" + se.Name},
		PackedPolicySize: packed,
		Credentials: credentialsResult{
			AccessKeyID: creds.AccessKeyID, SecretAccessKey: creds.SecretAccessKey.Reveal(),
			SessionToken: creds.SessionToken.Reveal(), Expiration: awswire.ISOTime(creds.Expires),
		},
	}, nil
}

// judge asks the policies for each permission that the assumption needs, all
// of them every time, so that the decision log shows them all.
func (s *Sim) judge(c *Caller, a assumption) (*role, error) {
	target, exists := s.state.roleByARN(a.roleARN)
	q := question{Resource: a.roleARN, Context: a.context, Absent: !exists}
	if exists {
		q.ResourcePolicies = []policy.Policy{{Name: "trust policy of role " + a.roleARN, Type: policy.Trust, Document: target.Trust.parsed}}
		q.ResourceTags = a.resourceTags(target)
	}
	q.Context.Set("sts:RoleSessionName", a.sessionName)
	// What is inherited counts as requested: the trust policies of the EKS user
	// guide ask for aws:RequestTag on a hop that passes no tags
	// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html).
	tags := slices.Concat(a.inherited, a.tags)
	if len(tags) > 0 {
		setTags(q.Context, "aws:RequestTag/", tags)
		keys := make([]string, len(tags))
		for i, t := range tags {
			keys[i] = t.Key
		}
		q.Context.Set("aws:TagKeys", keys...)
	}
	if keys := a.allTransitive(); len(keys) > 0 {
		q.Context.Set("sts:TransitiveTagKeys", keys...)
	}
	if a.sourceIdentity != "" {
		q.Context.Set("sts:SourceIdentity", a.sourceIdentity)
	}
	needed := []string{a.action}
	if len(tags) > 0 {
		needed = append(needed, "sts:TagSession")
	}
	if a.sourceIdentity != "" {
		needed = append(needed, "sts:SetSourceIdentity")
	}
	var denied error
	for _, action := range needed {
		q.Action = action
		if d := s.decide(c, q); d.Verdict != policy.Allowed && denied == nil {
			denied = a.denial(action)
		}
	}
	return target, denied
}

// checkPolicyARNs: managed session policies are AWS's own or of the role's account.
func (s *Sim) checkPolicyARNs(target *role, arns []string) error {
	for _, arn := range arns {
		p, ok := s.state.managedPolicy(arn)
		if !ok || p.AccountID != target.AccountID && p.AccountID != "aws" {
			return validationError("Policy %.256s does not exist or is not attachable.", arn)
		}
	}
	return nil
}

// lifetime checks the duration in the order in which STS was observed to: the
// model (done by then), the role's maximum, the cap on role chaining. Sessions
// that a service creates are bound by the model alone
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func (a *assumption) lifetime(c *Caller, target *role) (time.Duration, error) {
	d := a.duration
	if d == 0 {
		d = time.Hour
	}
	if c.principal.Kind != policy.Service && d > target.MaxSession {
		return 0, validationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if c.principal.Kind == policy.RoleSession && d > time.Hour {
		return 0, validationError("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return d, nil
}

func arnsOf(in []policyARNInput) []string {
	var arns []string
	for _, p := range in {
		arns = append(arns, p.ARN)
	}
	return arns
}

// deref returns "" for a parameter that was not sent.
func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
