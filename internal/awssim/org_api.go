package awssim

import (
	"errors"
	"net/http"
	"strings"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// Organizations, as far as one needs to read control policies and to correct
// them. Its protocol is AWS JSON 1.1: the operation is in a header
// (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html).
const orgTarget = "AWSOrganizationsV20161128."

// orgCall is one request of a member's or the management account.
type orgCall struct {
	sim *Sim
	c   *Caller
	org *organization
	r   *http.Request
}

// serveOrganizations answers one request
// (https://docs.aws.amazon.com/organizations/latest/APIReference/API_Operations.html).
func (s *Sim) serveOrganizations(w http.ResponseWriter, r *http.Request, c *Caller) {
	result, err := s.organizations(r, c)
	if err != nil {
		awswire.RESTJSON{}.WriteError(w, r, orgError(err))
		return
	}
	awswire.WriteJSON(w, r, http.StatusOK, result)
}

func (s *Sim) organizations(r *http.Request, c *Caller) (any, error) {
	name, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), orgTarget)
	operation := map[string]func(*orgCall) (any, error){
		"DescribeOrganization": (*orgCall).describeOrganization, "ListParents": (*orgCall).listParents,
		"ListPoliciesForTarget": (*orgCall).listPoliciesForTarget, "DescribePolicy": (*orgCall).describePolicy, "UpdatePolicy": (*orgCall).updatePolicy,
	}[name]
	if operation == nil {
		return nil, orgFailure("UnknownOperationException", "The operation is not one of those that this AWS has.")
	}
	org := s.state.organization()
	if id, _ := org.of(c.AccountID()); id == "" {
		return nil, orgFailure("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
	}
	if name != "DescribeOrganization" && c.AccountID() != org.Seed.ManagementAccountID {
		// There are no delegated administrators.
		return nil, orgFailure("AccessDeniedException", "You don't have permissions to access this resource.")
	}
	return operation(&orgCall{sim: s, c: c, org: org, r: r})
}

// orgError puts the exception's name into the body, where this protocol has it.
func orgError(err error) error {
	e, ok := errors.AsType[*awswire.Error](err)
	if !ok {
		switch identity.KindOf(err) {
		case identity.AccessDenied:
			e = orgFailure("AccessDeniedException", identity.SafeMessage(err))
		case identity.InvalidParameter, identity.InvalidRequest:
			e = orgFailure("InvalidInputException", identity.SafeMessage(err))
		default:
			return err
		}
	}
	named := *e
	named.Members = map[string]string{"__type": e.Code}
	return &named
}

func orgFailure(code, message string) *awswire.Error {
	return &awswire.Error{Code: code, Status: http.StatusBadRequest, Message: message}
}

// allowed judges the operation on one of the organization's resources
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html).
func (x *orgCall) allowed(action, resource string) error {
	if resource != "*" {
		resource = "arn:aws:organizations::" + x.org.Seed.ManagementAccountID + ":" + resource
	}
	return x.sim.authorize(x.c, question{Action: "organizations:" + action, Resource: resource})
}

func (x *orgCall) describeOrganization() (any, error) {
	if err := x.allowed("DescribeOrganization", "*"); err != nil {
		return nil, err
	}
	seed := &x.org.Seed
	return orgReply{Organization: orgView{
		ID: seed.ID, MasterAccountID: seed.ManagementAccountID, FeatureSet: "ALL",
		ARN: "arn:aws:organizations::" + seed.ManagementAccountID + ":organization/" + seed.ID,
	}}, nil
}

func (x *orgCall) listParents() (any, error) {
	var in struct {
		ChildID string `json:"ChildId"`
	}
	if err := awswire.DecodeJSON(x.r, &in); err != nil {
		return nil, err
	}
	kind := "ou"
	if identity.IsAccountID(in.ChildID) {
		kind = "account"
	}
	if err := x.allowed("ListParents", kind+"/"+x.org.Seed.ID+"/"+in.ChildID); err != nil {
		return nil, err
	}
	parent, ok := x.org.parent(in.ChildID)
	if !ok {
		return nil, orgFailure("ChildNotFoundException", "You specified a child that doesn't exist.")
	}
	reply := parentsReply{Parents: []parentView{{ID: parent, Type: "ORGANIZATIONAL_UNIT"}}}
	if strings.HasPrefix(parent, "r-") {
		reply.Parents[0].Type = "ROOT"
	}
	return reply, nil
}

func (x *orgCall) listPoliciesForTarget() (any, error) {
	var in struct {
		TargetID string `json:"TargetId"`
		Filter   string `json:"Filter"`
	}
	if err := awswire.DecodeJSON(x.r, &in); err != nil {
		return nil, err
	}
	if err := x.allowed("ListPoliciesForTarget", targetResource(x.org.Seed.ID, in.TargetID)); err != nil {
		return nil, err
	}
	if in.Filter != orgSCP && in.Filter != orgRCP {
		return nil, orgFailure("InvalidInputException", "Filter: this AWS has "+orgSCP+" and "+orgRCP+".")
	}
	attached, ok := x.org.attached(in.TargetID)
	if !ok {
		return nil, orgFailure("TargetNotFoundException", "We can't find a root, OU, or account with the TargetId that you specified.")
	}
	reply := policiesReply{Policies: []policySummary{}}
	for _, p := range attached {
		if p.Type == in.Filter {
			reply.Policies = append(reply.Policies, p.summary(&x.org.Seed))
		}
	}
	return reply, nil
}

func targetResource(org, id string) string {
	switch {
	case identity.IsAccountID(id):
		return "account/" + org + "/" + id
	case strings.HasPrefix(id, "r-"):
		return "root/" + org + "/" + id
	}
	return "ou/" + org + "/" + id
}

func (x *orgCall) describePolicy() (any, error) {
	var in struct {
		PolicyID string `json:"PolicyId"`
	}
	if err := awswire.DecodeJSON(x.r, &in); err != nil {
		return nil, err
	}
	p, err := x.policy("DescribePolicy", in.PolicyID)
	if err != nil {
		return nil, err
	}
	return policyReply{policyView{PolicySummary: p.summary(&x.org.Seed), Content: p.Content}}, nil
}

// policy finds a policy of the organization, for whoever may.
func (x *orgCall) policy(action, id string) (orgPolicy, error) {
	p, ok := x.org.policy(id)
	resource := "policy/" + x.org.Seed.ID + "/*/" + id
	if ok {
		resource = strings.SplitN(p.summary(&x.org.Seed).ARN, ":", 6)[5]
	}
	if err := x.allowed(action, resource); err != nil {
		return p, err
	}
	if !ok {
		return p, orgFailure("PolicyNotFoundException", "We can't find a policy with the PolicyId that you specified.")
	}
	return p, nil
}

func (x *orgCall) updatePolicy() (any, error) {
	var in struct {
		PolicyID string  `json:"PolicyId"`
		Content  *string `json:"Content"`
	}
	if err := awswire.DecodeJSON(x.r, &in); err != nil {
		return nil, err
	}
	p, err := x.policy("UpdatePolicy", in.PolicyID)
	switch {
	case err != nil:
		return nil, err
	case p.ID == fullAccessID:
		return nil, orgFailure("AccessDeniedException", "You don't have permissions to change a policy of AWS's own.")
	case in.Content == nil:
		return nil, orgFailure("InvalidInputException", "Content: of a policy, this AWS changes nothing else.")
	}
	kind := policy.SCP
	if p.Type == orgRCP {
		kind = policy.RCP
	}
	if _, err := policy.Parse(kind, *in.Content); err != nil {
		return nil, orgFailure("MalformedPolicyDocumentException", err.Error())
	}
	err = x.sim.state.update(func(t *tx) error {
		next, err := x.sim.state.organization().with(in.PolicyID, *in.Content)
		if err == nil {
			t.put(next)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Content = *in.Content
	return policyReply{policyView{PolicySummary: p.summary(&x.org.Seed), Content: p.Content}}, nil
}
