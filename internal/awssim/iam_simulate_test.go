package awssim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
)

// simulationWorld is the guide's, with a boundary, an organization and a user
// who may not simulate.
func simulationWorld() World {
	w := guideWorld(trust(`{"AWS":"`+podRoleARN+`"}`, assumeAndTag, `{"StringEquals":{"sts:ExternalId":"secret-id"}}`))
	own := &w.Accounts[0]
	own.Policies = []ManagedPolicy{{Name: "only-s3", Document: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`}}
	own.Users = append(own.Users, User{Name: "bound", PermissionsBoundary: "arn:aws:iam::" + clusterAccount + ":policy/only-s3",
		InlinePolicies: map[string]string{"all": mayAll}, AccessKeys: []AccessKey{{ID: "AKIABOUNDBOUNDBOUND1", Secret: testSecret}}})
	w.Organization = &Organization{ID: "o-abcdefghij", ManagementAccountID: "999999999999", Root: Unit{
		SCPs: map[string]string{"all": mayAll}, Accounts: []string{"999999999999"}, Units: []Unit{{Name: "workloads", Accounts: []string{clusterAccount, targetAccount},
			SCPs: map[string]string{"no-delete": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:DeleteBucket","Resource":"*"}]}`}}},
	}}
	w.Accounts = append(w.Accounts, Account{ID: "999999999999"})
	return w
}

func (f *fixture) iam(id string) *iam.Client {
	return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: aws.String(f.url), RetryMaxAttempts: 3,
		Credentials: credentials.NewStaticCredentialsProvider(id, testSecret, "")})
}

const twoStatements = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*",
     "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
    {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::b/blue/private/*"}
  ]
}`

func entry(key string, t types.ContextKeyTypeEnum, values ...string) types.ContextEntry {
	return types.ContextEntry{ContextKeyName: &key, ContextKeyType: t, ContextKeyValues: values}
}

func TestSimulateCustomPolicy(t *testing.T) {
	f := start(t, simulationWorld())
	team, inside := entry("aws:PrincipalTag/team", "string", "blue"), entry("aws:SourceIp", "ip", "10.1.2.3")
	tests := map[string]struct {
		in      iam.SimulateCustomPolicyInput
		want    types.PolicyEvaluationDecisionType
		matched string // statements, by policy and lines
		missing []string
	}{
		"allowed": {iam.SimulateCustomPolicyInput{ResourceArns: []string{"arn:aws:s3:::b/blue/x"}, ContextEntries: []types.ContextEntry{team, inside}},
			"allowed", "PolicyInputList.1 IAM Policy 4:5-5:64", nil},
		"denied in a statement": {iam.SimulateCustomPolicyInput{ResourceArns: []string{"arn:aws:s3:::b/blue/private/x"}, ContextEntries: []types.ContextEntry{team, inside}},
			"explicitDeny", "PolicyInputList.1 IAM Policy 6:5-6:85", nil},
		"keys missing": {iam.SimulateCustomPolicyInput{ResourceArns: []string{"arn:aws:s3:::b/blue/x"}},
			"implicitDeny", "", []string{"aws:PrincipalTag/team", "aws:SourceIp"}},
		"another resource": {iam.SimulateCustomPolicyInput{ResourceArns: []string{"arn:aws:s3:::b/red/x"}, ContextEntries: []types.ContextEntry{team, inside}},
			"implicitDeny", "", nil},
		"boundary": {iam.SimulateCustomPolicyInput{ResourceArns: []string{"arn:aws:s3:::b/blue/x"}, ContextEntries: []types.ContextEntry{team, inside},
			PermissionsBoundaryPolicyInputList: []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}`}},
			"implicitDeny", "PolicyInputList.1 IAM Policy 4:5-5:64", nil},
		"the bucket's own policy": {iam.SimulateCustomPolicyInput{ResourceArns: []string{"arn:aws:s3:::b/red/x"}, ContextEntries: []types.ContextEntry{team, inside},
			CallerArn:      aws.String("arn:aws:iam::" + clusterAccount + ":user/alice"),
			ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + clusterAccount + `:user/alice"},"Action":"s3:GetObject","Resource":"*"}]}`)},
			"allowed", "ResourcePolicy Resource Policy 1:38-1:153", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.in.PolicyInputList, test.in.ActionNames = []string{twoStatements}, []string{"s3:GetObject"}
			out, err := f.iam(aliceKeyID).SimulateCustomPolicy(t.Context(), &test.in)
			if err != nil {
				t.Fatal(err)
			}
			r := out.EvaluationResults[0]
			var matched []string
			for _, s := range r.MatchedStatements {
				matched = append(matched, fmt.Sprintf("%s %s %d:%d-%d:%d", *s.SourcePolicyId, s.SourcePolicyType,
					s.StartPosition.Line, s.StartPosition.Column, s.EndPosition.Line, s.EndPosition.Column))
			}
			if r.EvalDecision != test.want || strings.Join(matched, ", ") != test.matched || !slices.Equal(r.MissingContextValues, test.missing) {
				t.Errorf("got %s by %q, missing %q\nwant %s by %q, missing %q", r.EvalDecision, matched, r.MissingContextValues, test.want, test.matched, test.missing)
			}
			if *r.EvalResourceName != test.in.ResourceArns[0] || *r.EvalActionName != "s3:GetObject" || r.ResourceSpecificResults[0].EvalResourceDecision != test.want {
				t.Errorf("result is of %s on %s, %s", *r.EvalActionName, *r.EvalResourceName, r.ResourceSpecificResults[0].EvalResourceDecision)
			}
			if len(test.in.PermissionsBoundaryPolicyInputList) > 0 && r.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
				t.Error("said to be allowed by the boundary")
			}
		})
	}
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	f := start(t, simulationWorld())
	alice := "arn:aws:iam::" + clusterAccount + ":user/alice"
	simulate := func(in iam.SimulatePrincipalPolicyInput) types.EvaluationResult {
		t.Helper()
		out, err := f.iam(aliceKeyID).SimulatePrincipalPolicy(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		return out.EvaluationResults[0]
	}
	r := simulate(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:DeleteBucket"}})
	if r.EvalDecision != "explicitDeny" || r.OrganizationsDecisionDetail.AllowedByOrganizations {
		t.Errorf("an SCP denies: %s, %+v", r.EvalDecision, r.OrganizationsDecisionDetail)
	}
	r = simulate(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:CreateBucket"},
		PolicyInputList: []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:CreateBucket","Resource":"*"}]}`}})
	if r.EvalDecision != "explicitDeny" || !r.OrganizationsDecisionDetail.AllowedByOrganizations {
		t.Errorf("a policy of the request denies, no SCP: %s, %+v", r.EvalDecision, r.OrganizationsDecisionDetail)
	}
	bound := "arn:aws:iam::" + clusterAccount + ":user/bound"
	r = simulate(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &bound, ActionNames: []string{"ec2:RunInstances"}})
	if r.EvalDecision != "implicitDeny" || r.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
		t.Errorf("the boundary has no ec2: %s, %+v", r.EvalDecision, r.PermissionsBoundaryDecisionDetail)
	}
	r = simulate(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &bound, ActionNames: []string{"ec2:RunInstances"}, PermissionsBoundaryPolicyInputList: []string{mayAll}})
	if r.EvalDecision != "allowed" || len(r.MatchedStatements) != 2 || *r.MatchedStatements[0].SourcePolicyId != "all" ||
		*r.MatchedStatements[1].SourcePolicyId != "PermissionsBoundaryPolicyInputList.1" {
		t.Errorf("another boundary in its place: %s by %+v", r.EvalDecision, r.MatchedStatements)
	}
	tagged := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}]}`
	if r = simulate(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:GetObject"}, PolicyInputList: []string{tagged}}); r.EvalDecision != "explicitDeny" {
		t.Errorf("alice's own tag: %s", r.EvalDecision)
	}
	if r = simulate(iam.SimulatePrincipalPolicyInput{PolicySourceArn: &alice, ActionNames: []string{"s3:GetObject"}, PolicyInputList: []string{tagged},
		ContextEntries: []types.ContextEntry{entry("aws:PrincipalTag/team", "string", "red")}}); r.EvalDecision != "allowed" {
		t.Errorf("a tag of the request in its place: %s", r.EvalDecision)
	}
}

// TestSimulateAssumeRole is what AWS's own simulator cannot: trust policies.
func TestSimulateAssumeRole(t *testing.T) {
	f := start(t, simulationWorld())
	id := entry("sts:ExternalId", "string", "secret-id")
	service := aws.String("pods.eks.amazonaws.com")
	tests := map[string]struct {
		in            iam.SimulatePrincipalPolicyInput
		want          types.PolicyEvaluationDecisionType
		own, resource string // the two evaluations, where there are two
	}{
		"with the external ID":                             {iam.SimulatePrincipalPolicyInput{ContextEntries: []types.ContextEntry{id}}, "allowed", "allowed", "allowed"},
		"without the external ID":                          {iam.SimulatePrincipalPolicyInput{}, "implicitDeny", "allowed", "implicitDeny"},
		"by the service":                                   {iam.SimulatePrincipalPolicyInput{CallerArn: service, ResourceArns: []string{podRoleARN}}, "allowed", "", ""},
		"by the service, of a role that does not trust it": {iam.SimulatePrincipalPolicyInput{CallerArn: service}, "implicitDeny", "", ""},
		"by somebody else":                                 {iam.SimulatePrincipalPolicyInput{CallerArn: aws.String("arn:aws:iam::" + clusterAccount + ":user/alice"), ContextEntries: []types.ContextEntry{id}}, "implicitDeny", "allowed", "implicitDeny"},
		"a trust policy not yet there":                     {iam.SimulatePrincipalPolicyInput{ResourcePolicy: aws.String(trust(rootOf(clusterAccount), assumeAndTag, ""))}, "allowed", "allowed", "allowed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.in.PolicySourceArn, test.in.ActionNames = aws.String(podRoleARN), []string{"sts:AssumeRole", "sts:TagSession"}
			if test.in.ResourceArns == nil {
				test.in.ResourceArns = []string{targetRoleARN}
			}
			out, err := f.iam(aliceKeyID).SimulatePrincipalPolicy(t.Context(), &test.in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.EvaluationResults) != 2 {
				t.Fatalf("%d results, want one for each action", len(out.EvaluationResults))
			}
			for _, r := range out.EvaluationResults {
				own, resource := r.EvalDecisionDetails["IAM Policy"], r.EvalDecisionDetails["Resource Policy"]
				if r.EvalDecision != test.want || string(own) != test.own || string(resource) != test.resource {
					t.Errorf("%s: got %s (%s, %s), want %s (%s, %s)", *r.EvalActionName, r.EvalDecision, own, resource, test.want, test.own, test.resource)
				}
			}
		})
	}
}

func TestSimulationPages(t *testing.T) {
	f := start(t, simulationWorld())
	pages := iam.NewSimulateCustomPolicyPaginator(f.iam(aliceKeyID), &iam.SimulateCustomPolicyInput{PolicyInputList: []string{mayAll},
		ActionNames: []string{"s3:GetObject", "s3:PutObject"}, ResourceArns: []string{"arn:aws:s3:::b", "arn:aws:s3:::c", "arn:aws:s3:::d"}, MaxItems: aws.Int32(4)})
	var got []string
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.EvaluationResults {
			got = append(got, *r.EvalActionName+" "+*r.EvalResourceName)
		}
	}
	want := []string{"s3:GetObject arn:aws:s3:::b", "s3:GetObject arn:aws:s3:::c", "s3:GetObject arn:aws:s3:::d", "s3:PutObject arn:aws:s3:::b", "s3:PutObject arn:aws:s3:::c", "s3:PutObject arn:aws:s3:::d"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want them in the order of the request", got)
	}
}

func TestContextKeys(t *testing.T) {
	f := start(t, simulationWorld())
	custom, err := f.iam(aliceKeyID).GetContextKeysForCustomPolicy(t.Context(), &iam.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{twoStatements}})
	if err != nil || !slices.Equal(custom.ContextKeyNames, []string{"aws:PrincipalTag/team", "aws:SourceIp"}) {
		t.Errorf("got %v, %v", custom, err)
	}
	alice := aws.String("arn:aws:iam::" + clusterAccount + ":user/alice")
	own, err := f.iam(aliceKeyID).GetContextKeysForPrincipalPolicy(t.Context(), &iam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: alice, PolicyInputList: []string{twoStatements}})
	if err != nil || len(own.ContextKeyNames) != 2 {
		t.Errorf("got %v, %v", own, err)
	}
}

func TestSimulationRefuses(t *testing.T) {
	f := start(t, simulationWorld())
	custom := func(change func(*iam.SimulateCustomPolicyInput)) error {
		in := &iam.SimulateCustomPolicyInput{PolicyInputList: []string{mayAll}, ActionNames: []string{"s3:GetObject"}}
		change(in)
		_, err := f.iam(aliceKeyID).SimulateCustomPolicy(t.Context(), in)
		return err
	}
	of := func(key, arn string) error {
		_, err := f.iam(key).SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &arn, ActionNames: []string{"s3:GetObject"}})
		return err
	}
	with := func(e types.ContextEntry) error {
		return custom(func(in *iam.SimulateCustomPolicyInput) { in.ContextEntries = []types.ContextEntry{e} })
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = "arn:aws:s3:::b"
	}
	for name, test := range map[string]struct {
		err        error
		code, text string
	}{
		"a wildcard action":       {custom(func(in *iam.SimulateCustomPolicyInput) { in.ActionNames = []string{"s3:*"} }), "InvalidInput", `"s3:*" is not one action`},
		"a malformed policy":      {custom(func(in *iam.SimulateCustomPolicyInput) { in.PolicyInputList = []string{mayAll, `{"Version":1}`} }), "InvalidInput", "PolicyInputList.2"},
		"a resource that is none": {custom(func(in *iam.SimulateCustomPolicyInput) { in.ResourceArns = []string{"bucket"} }), "InvalidInput", `"bucket" is not an ARN`},
		"too many": {custom(func(in *iam.SimulateCustomPolicyInput) {
			in.ResourceArns = many
			in.ActionNames = slices.Repeat([]string{"s3:GetObject"}, 100)
		}), "InvalidInput", "10000"},
		"a caller that is nobody": {custom(func(in *iam.SimulateCustomPolicyInput) {
			in.CallerArn = aws.String("arn:aws:iam::111122223333:user/nobody")
		}), "InvalidInput", "CallerArn"},
		"an owner that is none":    {custom(func(in *iam.SimulateCustomPolicyInput) { in.ResourceOwner = aws.String("me") }), "InvalidInput", "ResourceOwner"},
		"a key without a service":  {with(entry("team", "string", "x")), "InvalidInput", `"team" is not the name of a condition key`},
		"a value of another type":  {with(entry("aws:SourceIp", "ip", "here")), "InvalidInput", `"here" of aws:SourceIp is not of the type ip`},
		"two values for one":       {with(entry("aws:username", "string", "a", "b")), "InvalidInput", "Use stringList"},
		"a type that is none":      {with(entry("aws:username", "text", "a")), "InvalidInput", "must be one of"},
		"a role that is not there": {of(aliceKeyID, "arn:aws:iam::"+clusterAccount+":role/none"), "NoSuchEntity", "role/none"},
		"another account's role":   {of(aliceKeyID, targetRoleARN), "InvalidInput", "PolicySourceArn"},
		"a user who may not":       {of("AKIABOUNDBOUNDBOUND1", podRoleARN), "AccessDenied", "iam:SimulatePrincipalPolicy on resource: " + podRoleARN},
	} {
		t.Run(name, func(t *testing.T) {
			var api smithy.APIError
			if !errors.As(test.err, &api) || api.ErrorCode() != test.code || !strings.Contains(api.ErrorMessage(), test.text) {
				t.Errorf("got %v, want %s with %q", test.err, test.code, test.text)
			}
		})
	}
}

func FuzzContextEntry(f *testing.F) {
	for _, seed := range [][3]string{{"aws:SourceIp", "ip", "10.0.0.0/8"}, {"aws:CurrentTime", "dateList", "2026-01-01T00:00:00Z"},
		{"aws:MultiFactorAuthAge", "numeric", "1e3"}, {"a:b", "binary", "aGk="}, {":", "List", ""}, {"aws:SecureTransport", "boolean", "TRUE"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, key, kind, value string) {
		e := contextEntry{key, []string{value}, kind}
		if err := e.check(); err == nil && (!strings.Contains(key, ":") || len(key) > 256) {
			t.Errorf("took %q for the name of a condition key", key)
		}
	})
}
