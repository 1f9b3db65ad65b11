package awssim

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// simulateInput is what both simulations ask
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html,
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html).
type simulateInput struct {
	PolicySourceArn                    string
	PolicyInputList                    []string
	PermissionsBoundaryPolicyInputList []string
	ActionNames                        []string
	ResourceArns                       []string
	ResourcePolicy                     string
	ResourceOwner                      string
	CallerArn                          string
	ContextEntries                     []contextEntry
}

// Bounds of a simulation. The product bounds the work of one request.
const (
	maxSimulatedPolicy = 131_072
	maxSimulations     = 10_000
)

// simulation is what a request is judged by, for each action and resource.
type simulation struct {
	sim       *Sim
	principal policy.Principal
	account   string         // of the caller, or of who asks where the caller has none
	context   policy.Context // what is known of the caller, then what the request says
	policies  policy.Policies
	sources   map[string]source // of policies, by their name
	in        *simulateInput
	owner     string // account
}

// source is how a simulation names a policy.
type source struct{ id, kind string }

// The kinds of policies as IAM has been seen to name them; its model has other
// words, which nothing was seen to use.
const (
	sourceIAM      = "IAM Policy"
	sourceBoundary = "Permissions Boundary Policy"
	sourceResource = "Resource Policy"
	sourceOrg      = "Organizations Policy"
)

func (x *iamCall) simulateCustomPolicy() (any, error) {
	in, err := x.simulateInput()
	if err != nil {
		return nil, err
	}
	if len(in.PolicyInputList) == 0 {
		return nil, invalidInput("PolicyInputList: at least one policy is needed.")
	}
	if err := x.may("*", nil, nil); err != nil {
		return nil, err
	}
	m := &simulation{sim: x.sim, in: in, account: x.account, context: policy.Context{}, sources: map[string]source{},
		principal: policy.Principal{Kind: policy.User, ARN: iamARN(x.account, "user", "/", "simulated"), AccountID: x.account, UniqueID: "AIDASIMULATED"}}
	return x.simulate(m)
}

func (x *iamCall) simulatePrincipalPolicy() (any, error) {
	in, err := x.simulateInput()
	if err != nil {
		return nil, err
	}
	caller, err := x.policySource(in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	m := &simulation{sim: x.sim, in: in, account: caller.principal.AccountID, context: policy.Context{}, sources: map[string]source{}, principal: caller.principal}
	own := x.sim.policiesOf(caller)
	m.policies.Identity, m.policies.Boundary, m.policies.SCP = own.Identity, own.Boundary, own.SCP
	for _, p := range own.Identity {
		m.sources[p.Name] = source{nameOfPolicy(p.Name), sourceIAM}
	}
	for _, p := range own.Boundary {
		m.sources[p.Name] = source{nameOfPolicy(p.Name), sourceBoundary}
	}
	if caller.user != nil {
		setTags(m.context, "aws:PrincipalTag/", caller.user.Tags)
	} else {
		setTags(m.context, "aws:PrincipalTag/", caller.role.Tags)
	}
	return x.simulate(m)
}

// policySource finds the user or role whose policies are simulated, as the
// caller that it would be, and asks whether they may be looked at.
func (x *iamCall) policySource(arn string) (*Caller, error) {
	a, err := identity.ParseARN(arn)
	if err != nil || a.Service != "iam" || a.AccountID != x.account {
		return nil, invalidInput("PolicySourceArn: %.256q is not the ARN of a user or role of account %s.", arn, x.account)
	}
	if err := x.may(arn, nil, nil); err != nil {
		return nil, err
	}
	if u, ok := x.sim.state.userByARN(arn); ok {
		return &Caller{sim: x.sim, request: x.c.request, user: u,
			principal: policy.Principal{Kind: policy.User, ARN: u.ARN(), AccountID: u.AccountID, UniqueID: u.ID}}, nil
	}
	if r, ok := x.sim.state.roleByARN(arn); ok {
		return &Caller{sim: x.sim, request: x.c.request, role: r, session: &session{}, principal: simulatedSession(r, "simulated")}, nil
	}
	return nil, noSuchEntity("The entity with ARN %.256s cannot be found.", arn)
}

func simulatedSession(r *role, name string) policy.Principal {
	return policy.Principal{Kind: policy.RoleSession, ARN: sessionARN(r, name), AccountID: r.AccountID, RoleARN: r.ARN(), UniqueID: r.ID}
}

// simulateInput reads and checks what does not depend on who asks.
func (x *iamCall) simulateInput() (*simulateInput, error) {
	in := &simulateInput{}
	if err := awswire.DecodeForm(x.form, in); err != nil {
		return nil, err
	}
	if len(in.ActionNames) == 0 {
		return nil, invalidInput("ActionNames: at least one action is needed.")
	}
	for _, action := range in.ActionNames {
		if !simulatedAction.MatchString(action) {
			return nil, invalidInput("ActionNames: %.128q is not one action, such as s3:GetObject.", action)
		}
	}
	if len(in.ResourceArns) == 0 {
		in.ResourceArns = []string{"*"}
	}
	for _, arn := range in.ResourceArns {
		if _, err := identity.ParseARN(arn); arn != "*" && err != nil {
			return nil, invalidInput("ResourceArns: %.256q is not an ARN.", arn)
		}
	}
	if n := len(in.ActionNames) * len(in.ResourceArns); n > maxSimulations {
		return nil, invalidInput("%d actions on %d resources are more than the %d simulations that one request can have.",
			len(in.ActionNames), len(in.ResourceArns), maxSimulations)
	}
	return in, nil
}

// simulatedAction is one action in full: wildcards are not simulated.
var simulatedAction = regexp.MustCompile(`^[a-zA-Z0-9-]{1,63}:[a-zA-Z0-9]{1,63}$`)

// simulate judges each action on each resource.
func (x *iamCall) simulate(m *simulation) (any, error) {
	if err := m.prepare(x.c); err != nil {
		return nil, err
	}
	type numbered struct {
		at     int
		result evaluationResult
	}
	var all []numbered
	for _, action := range m.in.ActionNames {
		for _, resource := range m.in.ResourceArns {
			result, err := m.judge(action, resource)
			if err != nil {
				return nil, err
			}
			all = append(all, numbered{len(all), *result})
		}
	}
	shown, paging, err := page(x, all, func(n numbered) string { return fmt.Sprintf("%06d", n.at) })
	if err != nil {
		return nil, err
	}
	out := &simulateResult{paging: paging}
	for _, n := range shown {
		out.EvaluationResults = append(out.EvaluationResults, n.result)
	}
	return out, nil
}

// prepare adds what the request brings along to the policies and the context.
func (m *simulation) prepare(asking *Caller) error {
	add := func(list string, texts []string, t policy.Type, kind string, to *[]policy.Policy) error {
		for i, text := range texts {
			d, err := parseSimulated(fmt.Sprintf("%s.%d", list, i+1), t, text)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%s.%d", list, i+1)
			*to = append(*to, policy.Policy{Name: name, Type: t, Document: d})
			m.sources[name] = source{name, kind}
		}
		return nil
	}
	if err := add("PolicyInputList", m.in.PolicyInputList, policy.Identity, sourceIAM, &m.policies.Identity); err != nil {
		return err
	}
	if len(m.in.PermissionsBoundaryPolicyInputList) > 0 {
		m.policies.Boundary = nil // in the place of the entity's own, as the API says
	}
	if err := add("PermissionsBoundaryPolicyInputList", m.in.PermissionsBoundaryPolicyInputList, policy.Boundary, sourceBoundary, &m.policies.Boundary); err != nil {
		return err
	}
	if m.in.CallerArn != "" {
		if err := m.callAs(m.in.CallerArn); err != nil {
			return err
		}
	}
	m.owner = m.in.ResourceOwner
	if a, err := identity.ParseARN(m.in.ResourceOwner); err == nil {
		m.owner = a.AccountID
	}
	if m.in.ResourceOwner != "" && !identity.IsAccountID(m.owner) {
		return invalidInput("ResourceOwner: %.256q is not the ARN of an account.", m.in.ResourceOwner)
	}
	m.describe(asking)
	return m.addContext()
}

func parseSimulated(parameter string, t policy.Type, text string) (*policy.Document, error) {
	if len(text) > maxSimulatedPolicy {
		return nil, invalidInput("%s: a policy has at most %d characters.", parameter, maxSimulatedPolicy)
	}
	d, err := policy.Parse(t, text)
	if err != nil {
		return nil, invalidInput("%s: %v", parameter, err)
	}
	return d, nil
}

// callAs makes the principal the one that CallerArn names: on AWS a user; here
// a role, one of its sessions, a web identity's provider or a service as well.
func (m *simulation) callAs(arn string) error {
	a, err := identity.ParseARN(arn)
	if err != nil {
		if !serviceName.MatchString(arn) {
			return invalidInput("CallerArn: %.256q is neither an ARN nor the name of a service.", arn)
		}
		m.principal = policy.Principal{Kind: policy.Service, Service: arn}
		return nil
	}
	switch kind, rest, _ := strings.Cut(a.Resource, "/"); {
	case a.Service == "iam" && kind == "oidc-provider":
		m.principal = policy.Principal{Kind: policy.WebIdentity, Provider: arn}
		return nil
	case a.Service == "iam" && a.Resource == "root":
		m.principal = policy.Principal{Kind: policy.Root, ARN: arn, AccountID: a.AccountID}
		return nil
	case a.Service == "sts" && kind == "assumed-role":
		name, session, _ := strings.Cut(rest, "/")
		if r, ok := m.sim.state.role(a.AccountID, name); ok {
			m.principal = simulatedSession(r, session)
			return nil
		}
	default:
		if u, ok := m.sim.state.userByARN(arn); ok {
			m.principal = policy.Principal{Kind: policy.User, ARN: arn, AccountID: u.AccountID, UniqueID: u.ID}
			return nil
		}
		if r, ok := m.sim.state.roleByARN(arn); ok {
			m.principal = simulatedSession(r, "simulated")
			return nil
		}
	}
	return invalidInput("CallerArn: %.256q is no user, role, session or provider of this AWS.", arn)
}

var serviceName = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com$`)

// describe sets the keys that every request of the principal has.
func (m *simulation) describe(asking *Caller) {
	set := func(key, value string) {
		if value != "" {
			m.context.Set(key, value)
		}
	}
	at := asking.request.at.UTC()
	set("aws:CurrentTime", at.Format(time.RFC3339))
	set("aws:EpochTime", strconv.FormatInt(at.Unix(), 10))
	p := m.principal
	set("aws:PrincipalType", principalTypes[p.Kind])
	set("aws:PrincipalAccount", p.AccountID)
	set("aws:PrincipalArn", cmp.Or(p.RoleARN, p.ARN))
	set("aws:PrincipalServiceName", p.Service)
	set("aws:PrincipalIsAWSService", strconv.FormatBool(p.Kind == policy.Service))
	org, _ := m.sim.state.organization().of(p.AccountID)
	set("aws:PrincipalOrgID", org)
	switch p.Kind {
	case policy.User:
		set("aws:userid", p.UniqueID)
		set("aws:username", nameOf(p.ARN))
	case policy.RoleSession:
		set("aws:userid", p.UniqueID+":"+nameOf(p.ARN))
	}
}

// judge simulates one action on one resource.
func (m *simulation) judge(action, resource string) (*evaluationResult, error) {
	policies := m.policies
	keys := maps.Clone(m.context)
	owner := m.owner
	if a, err := identity.ParseARN(resource); err == nil && owner == "" {
		owner = a.AccountID
	}
	owner = cmp.Or(owner, m.principal.AccountID, m.account)
	t, name := policy.Resource, "ResourcePolicy"
	if assumesRole(action) {
		t = policy.Trust
	}
	r, isRole := m.sim.state.roleByARN(resource)
	switch {
	case m.in.ResourcePolicy != "":
		d, err := parseSimulated(name, t, m.in.ResourcePolicy)
		if err != nil {
			return nil, err
		}
		policies.Resource = []policy.Policy{{Name: name, Type: t, Document: d}}
	case t == policy.Trust && isRole:
		name = "trust policy of role " + resource
		policies.Resource = []policy.Policy{{Name: name, Type: t, Document: r.Trust.parsed}}
	}
	if isRole {
		for _, tag := range r.Tags {
			if _, given := keys.Get("aws:ResourceTag/" + tag.Key); !given {
				keys.Set("aws:ResourceTag/"+tag.Key, tag.Value)
			}
		}
	}
	org, controls := m.sim.state.organization().of(owner)
	policies.ResourceRCP = controls.rcp
	if _, given := keys.Get("aws:ResourceAccount"); !given {
		keys.Set("aws:ResourceAccount", owner)
	}
	if _, given := keys.Get("aws:ResourceOrgID"); !given && org != "" {
		keys.Set("aws:ResourceOrgID", org)
	}
	req := &policy.Request{Principal: m.principal, Action: action, Resource: resource, ResourceAccountID: owner, Context: keys}
	d := policy.Evaluate(req, &policies)
	result := &evaluationResult{
		EvalActionName: action, EvalResourceName: resource, EvalDecision: decisionName(d.Verdict),
		MatchedStatements: m.matched(d, &policies), MissingContextValues: missing(&policies, keys),
	}
	if len(policies.Boundary) > 0 {
		result.PermissionsBoundaryDecisionDetail = &boundaryDetail{part(d, policy.Boundary) == policy.Allowed}
	}
	if len(policies.SCP) > 0 || len(policies.ResourceRCP) > 0 {
		result.OrganizationsDecisionDetail = &organizationsDetail{organizationAllows(req, &policies)}
	}
	if len(policies.Resource) > 0 && m.principal.AccountID != "" && owner != m.principal.AccountID {
		result.EvalDecisionDetails = decisionDetails{
			{sourceIAM, decisionName(part(d, policy.Identity))}, {sourceResource, decisionName(part(d, t))},
		}
	}
	if resource != "*" {
		result.ResourceSpecificResults = []resourceResult{{
			EvalResourceName: resource, EvalResourceDecision: result.EvalDecision, MatchedStatements: result.MatchedStatements,
			MissingContextValues: result.MissingContextValues, EvalDecisionDetails: result.EvalDecisionDetails,
			PermissionsBoundaryDecisionDetail: result.PermissionsBoundaryDecisionDetail,
		}}
	}
	return result, nil
}

// assumesRole tells the actions that a role's trust policy answers for.
func assumesRole(action string) bool {
	switch strings.ToLower(action) {
	case "sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml", "sts:tagsession", "sts:setsourceidentity":
		return true
	}
	return false
}

// part is what the policies of one type say by themselves.
func part(d *policy.Decision, t policy.Type) policy.Verdict {
	v := policy.ImplicitDeny
	for _, r := range d.Reasons {
		switch {
		case r.Type != t || !r.Matched:
		case !r.Allow:
			return policy.ExplicitDeny
		default:
			v = policy.Allowed
		}
	}
	return v
}

// organizationAllows asks the organization's policies alone, as others may have
// denied before it was their turn.
func organizationAllows(req *policy.Request, p *policy.Policies) bool {
	d := policy.Evaluate(req, &policy.Policies{SCP: p.SCP, ResourceRCP: p.ResourceRCP})
	return d.Verdict != policy.ExplicitDeny && d.Stage != "SCP"
}

// matched lists the statements that decided: the denials of an explicit deny,
// and what allows otherwise. What an SCP allows, it merely does not forbid.
func (m *simulation) matched(d *policy.Decision, p *policy.Policies) []wireStatement {
	out := []wireStatement{}
	for _, r := range d.Reasons {
		if !r.Matched || r.Allow == (d.Verdict == policy.ExplicitDeny) || r.Allow && (r.Type == policy.SCP || r.Type == policy.RCP) {
			continue
		}
		document, ok := findDocument(p, r)
		if !ok {
			continue
		}
		s := document.Statements()[r.Statement]
		from, known := m.sources[r.Policy]
		if !known {
			from = source{r.Policy, sourceResource}
			if r.Type == policy.SCP || r.Type == policy.RCP {
				from.kind = sourceOrg
			}
		}
		out = append(out, wireStatement{
			SourcePolicyID: from.id, SourcePolicyType: from.kind,
			StartPosition: wirePosition{s.Start.Line, s.Start.Column}, EndPosition: wirePosition{s.End.Line, s.End.Column - 1},
		})
	}
	return out
}

// everyPolicy yields all policies that were consulted.
func everyPolicy(p *policy.Policies) []policy.Policy {
	return slices.Concat(p.Identity, p.Boundary, p.Resource, slices.Concat(p.SCP...), slices.Concat(p.ResourceRCP...))
}

func findDocument(p *policy.Policies, r policy.Reason) (*policy.Document, bool) {
	for _, candidate := range everyPolicy(p) {
		if candidate.Name == r.Policy && candidate.Type == r.Type && candidate.Document != nil && r.Statement < len(candidate.Document.Statements()) {
			return candidate.Document, true
		}
	}
	return nil, false
}

// missing lists the condition keys that the policies ask for and the request
// does not have.
func missing(p *policy.Policies, keys policy.Context) []string {
	out := map[string]string{}
	for _, candidate := range everyPolicy(p) {
		if candidate.Document == nil {
			continue
		}
		for _, key := range candidate.Document.ContextKeys() {
			if _, present := keys.Get(key); !present {
				out[strings.ToLower(key)] = key
			}
		}
	}
	return slices.Sorted(maps.Values(out))
}

func decisionName(v policy.Verdict) string {
	switch v {
	case policy.Allowed:
		return "allowed"
	case policy.ExplicitDeny:
		return "explicitDeny"
	}
	return "implicitDeny"
}

// nameOfPolicy takes the policy's own name out of the one it goes by in reasons.
func nameOfPolicy(name string) string {
	words := strings.Fields(name)
	if len(words) < 3 {
		return name
	}
	return nameOf(words[2])
}

func invalidInput(format string, args ...any) error {
	return iamFailure(http.StatusBadRequest, "InvalidInput", format, args...)
}
