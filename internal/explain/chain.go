package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/policy"
)

// stage is a step that policies decide.
type stage struct {
	name, title string
	facts       []Fact
	asks        []*ask
	// missing are roles that do not exist; without them no policy matters.
	missing []*role
	blind   []Unseen

	hop       identity.Hop   // of hops
	inherited []identity.Tag // of hop 2
	caller    *role          // nil: the service
	session   string         // the name of the caller's, at hop 2
	role      *role          // that is assumed; or, of the action, that acts
}

// aSession stands for the random end of session names.
const aSession = "00000000-0000-0000-0000-000000000000"

// stages are the hops of an association and, if one is asked for, the action.
func (w *walk) stages(ctx context.Context, a identity.Association) []*stage {
	subject := identity.Subject{Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, PodName: w.question.Pod, PodUID: w.question.PodUID}
	if subject.PodName == "" {
		subject.PodName = anyPod
	}
	if subject.PodUID == "" {
		subject.PodUID = anyPod
	}
	hops := issue.Chain(a, subject, aSession)
	for _, hop := range hops { // all roles first: they say which accounts there are
		if arn, err := identity.ParseRoleARN(hop.RoleARN); err == nil {
			w.reader.role(ctx, arn)
		}
	}
	var stages []*stage
	var caller *role
	var tags []identity.Tag
	for i, hop := range hops {
		arn, err := identity.ParseRoleARN(hop.RoleARN)
		if err != nil {
			stages = append(stages, &stage{name: hopNames[i], title: hop.RoleARN, blind: []Unseen{{hop.RoleARN, err.Error(), "everything about it"}}})
			return stages
		}
		s := &stage{name: hopNames[i], hop: hop, role: w.reader.role(ctx, arn)}
		if i == 0 {
			tags = hop.Tags
			w.firstHop(ctx, s, a)
		} else {
			s.caller, s.session, s.inherited = caller, hops[0].SessionName, tags
			w.secondHop(ctx, s)
		}
		caller = s.role
		stages = append(stages, s)
	}
	if w.question.Action != "" {
		stages = append(stages, w.action(ctx, a, caller, stages[len(stages)-1].hop, tags))
	}
	return stages
}

var hopNames = [...]string{StepHop1, StepHop2}

// firstHop is made by the service, or by podid's own identity.
func (w *walk) firstHop(ctx context.Context, s *stage, a identity.Association) {
	c := w.circumstances(a.Cluster.Region)
	principal := policy.Principal{Kind: policy.Service, Service: identity.ServicePrincipal}
	s.title = fmt.Sprintf("Hop 1: %s assumes the Pod Identity role %s", identity.ServicePrincipal, s.role.arn)
	duration := s.hop.Duration
	if w.config.FirstHopAs == "" {
		c.serviceCalls(a.Cluster, w.reader.organization(ctx, a.Cluster.AccountID))
	} else {
		arn, err := identity.ParseARN(w.config.FirstHopAs)
		if err != nil {
			return // New has looked
		}
		s.caller = w.reader.role(ctx, arn)
		s.title = fmt.Sprintf("Hop 1: podid, as %s, assumes the Pod Identity role %s", arn, s.role.arn)
		principal = callerOf(s.caller, "podid")
		duration = time.Hour
		org := w.reader.organization(ctx, arn.AccountID)
		if s.caller.isUser() {
			c.userCalls(s.caller, org)
		} else {
			c.sessionCalls(s.caller, "podid", nil, org)
		}
	}
	why := "as EKS asks for"
	if w.config.FirstHopAs != "" {
		why = "what podid asks for where it comes with an identity of its own"
	}
	s.facts = []Fact{{"session", lifetime(duration, why)}}
	if len(s.hop.Tags) > 0 {
		s.facts = append(s.facts, Fact{"session tags", keysOf(s.hop.Tags)})
	}
	w.assumption(ctx, s, c, principal)
}

// secondHop is role chaining: one hour at most, whatever the role allows
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
func (w *walk) secondHop(ctx context.Context, s *stage) {
	c := w.circumstances(s.hop.Cluster.Region)
	s.title = fmt.Sprintf("Hop 2: the Pod Identity role assumes the target role %s", s.role.arn)
	c.sessionCalls(s.caller, s.session, s.inherited, w.reader.organization(ctx, s.caller.arn.AccountID))
	s.facts = []Fact{{"external ID", s.hop.ExternalID}, {"session", lifetime(s.hop.Duration, "role chaining, whatever the role's MaxSessionDuration")}}
	if len(s.inherited) > 0 {
		s.facts = append(s.facts, Fact{"session tags", "those of hop 1, inherited"})
	}
	w.assumption(ctx, s, c, callerOf(s.caller, s.session))
}

// assumption adds what a role assumption asks: sts:AssumeRole, and where tags
// are sent or inherited, sts:TagSession too
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
func (w *walk) assumption(ctx context.Context, s *stage, c *circumstances, principal policy.Principal) {
	tags := slices.Concat(s.inherited, s.hop.Tags)
	c.known.Set("sts:RoleSessionName", s.hop.SessionName)
	if s.hop.ExternalID != "" {
		c.known.Set("sts:ExternalId", s.hop.ExternalID)
	}
	if w.question.Pod == "" {
		c.open = append(c.open, "sts:RoleSessionName", "aws:userid")
	}
	if len(tags) > 0 {
		c.tags("aws:RequestTag/", tags)
		c.known.Set("aws:TagKeys", strings.Split(keysOf(tags), ", ")...)
		c.known.Set("sts:TransitiveTagKeys", strings.Split(keysOf(tags), ", ")...)
	}
	c.known.Set("aws:ResourceAccount", s.role.arn.AccountID)
	target := w.reader.organization(ctx, s.role.arn.AccountID)
	c.organization("aws:ResourceOrgID", target)
	c.tags("aws:ResourceTag/", overridden(s.role.tags, s.inherited))

	bears := ask{open: c.isOpen, given: c.isGiven, rcp: target.rcp, resource: []*document{s.role.trust}}
	if s.role.missing {
		s.missing = append(s.missing, s.role)
	}
	if s.role.unseen != "" {
		s.blind = append(s.blind, Unseen{"trust policy of " + s.role.noun(), s.role.unseen, "whether it lets the caller assume it"})
		bears.unseen, bears.mayAllow, bears.resource = true, append(bears.mayAllow, policy.Trust), nil
	}
	s.blindTo(&bears, target.unseen, "resource control policies of account "+s.role.arn.AccountID)
	if s.caller != nil {
		s.callerBears(&bears, s.caller, w.reader.organization(ctx, s.caller.arn.AccountID))
	}
	bears.request = policy.Request{Principal: principal, Resource: s.role.arn.String(), ResourceAccountID: s.role.arn.AccountID, Context: c.known}
	actions := []string{"sts:AssumeRole"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	for _, action := range actions {
		one := bears
		one.request.Action = action
		s.asks = append(s.asks, &one)
	}
}

// callerBears adds the policies of whoever makes the call.
func (s *stage) callerBears(a *ask, caller *role, org *membership) {
	a.identity, a.boundary, a.scp = caller.identity, caller.boundary, org.scp
	if !slices.Contains(a.identity, caller.spare) {
		a.identity = append(slices.Clone(a.identity), caller.spare)
	}
	if caller.permissionsUnseen != "" {
		s.blind = append(s.blind, Unseen{"permissions of " + caller.noun(), caller.permissionsUnseen, "whether it is allowed to make the call"})
		a.unseen, a.mayAllow = true, append(a.mayAllow, policy.Identity)
	}
	s.blindTo(a, org.unseen, "service control policies of account "+caller.arn.AccountID)
}

func (s *stage) blindTo(a *ask, reason, what string) {
	if reason != "" {
		a.unseen = true
		s.blind = append(s.blind, Unseen{what, reason, "whether one of them denies it"})
	}
}

func callerOf(r *role, sessionName string) policy.Principal {
	if r.isUser() {
		return policy.Principal{Kind: policy.User, ARN: r.arn.String(), AccountID: r.arn.AccountID, UniqueID: r.id}
	}
	return policy.Principal{
		Kind: policy.RoleSession, AccountID: r.arn.AccountID, RoleARN: r.arn.String(), UniqueID: r.id,
		ARN: fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", r.arn.Partition, r.arn.AccountID, r.arn.RoleName(), sessionName),
	}
}

// overridden are a role's tags as its trust policy sees them
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining).
func overridden(own, inherited []identity.Tag) []identity.Tag {
	out := slices.Clone(own)
	for i := range out {
		for _, t := range inherited {
			if strings.EqualFold(t.Key, out[i].Key) {
				out[i].Value = t.Value
			}
		}
	}
	return out
}

func (w *walk) circumstances(region string) *circumstances {
	endpoint := w.config.AWS.BaseEndpoint
	return newCircumstances(w.config.Now(), region, endpoint == nil || !strings.HasPrefix(*endpoint, "http://"))
}

func keysOf(tags []identity.Tag) string {
	keys := make([]string, len(tags))
	for i, t := range tags {
		keys[i] = t.Key
	}
	return strings.Join(keys, ", ")
}

func lifetime(d time.Duration, why string) string {
	hours := fmt.Sprintf("%d hours", int(d.Hours()))
	if d == time.Hour {
		hours = "1 hour"
	}
	return hours + ": " + why
}
