package awssim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

func isCode(err error, code string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code
}

func statement(effect, action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"` + action + `","Resource":"*"}]}`
}

// callerOf returns alice, or whoever a session is of, without HTTP.
func (f *fixture) callerOf(se *session) *Caller {
	f.Helper()
	c := &Caller{sim: f.sim, request: request{at: time.Now()}}
	if se != nil {
		c.session = se
		c.role, _ = f.sim.state.roleByID(se.RoleID)
		c.principal = policy.Principal{Kind: policy.RoleSession, ARN: sessionARN(c.role, se.Name), AccountID: c.role.AccountID, RoleARN: c.role.ARN(), UniqueID: c.role.ID}
		return c
	}
	c.user, _ = f.sim.state.user(clusterAccount, "alice")
	c.principal = policy.Principal{Kind: policy.User, ARN: c.user.ARN(), AccountID: clusterAccount, UniqueID: c.user.ID}
	return c
}

// The text of a denial names the kind of policy that denied.
func TestDenialsSayWhichKindOfPolicy(t *testing.T) {
	const action, resource = "eks:DescribeCluster", clusterARN
	const who = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: eks:DescribeCluster on resource: " + clusterARN + " "
	member := func(u Unit) *Organization {
		u.Name, u.Accounts = "unit", []string{clusterAccount}
		return &Organization{ID: "o-exampleorg", ManagementAccountID: targetAccount, Root: Unit{Name: "root", Units: []Unit{u}}}
	}
	for name, c := range map[string]struct {
		change func(w *World, alice *User)
		want   string
	}{
		"allowed":         {func(*World, *User) {}, ""},
		"nothing allows":  {func(_ *World, u *User) { u.InlinePolicies = nil }, "because no identity-based policy allows the eks:DescribeCluster action"},
		"identity denies": {func(_ *World, u *User) { u.InlinePolicies["no"] = statement("Deny", "eks:*") }, "with an explicit deny in an identity-based policy"},
		"managed allows": {func(_ *World, u *User) {
			u.InlinePolicies, u.ManagedPolicies = nil, []string{"arn:aws:iam::aws:policy/AdministratorAccess"}
		}, ""},
		"boundary":   {func(_ *World, u *User) { u.PermissionsBoundary = "arn:aws:iam::aws:policy/AmazonS3FullAccess" }, "because no permissions boundary allows the eks:DescribeCluster action"},
		"SCP allows": {func(w *World, _ *User) { w.Organization = member(Unit{}) }, ""},
		"SCP silent": {func(w *World, _ *User) {
			w.Organization = member(Unit{SCPs: map[string]string{"s3": statement("Allow", "s3:*")}})
		}, "because no service control policy allows the eks:DescribeCluster action"},
		"SCP denies": {func(w *World, _ *User) {
			w.Organization = member(Unit{SCPs: map[string]string{"FullAWSAccess": "", "no": statement("Deny", "eks:*")}})
		}, "with an explicit deny in a service control policy"},
		"management is exempt": {func(w *World, _ *User) {
			w.Organization = member(Unit{SCPs: map[string]string{"no": statement("Deny", "eks:*")}})
			w.Organization.ManagementAccountID = clusterAccount
		}, ""},
		"RCP denies": {func(w *World, _ *User) {
			w.Organization = member(Unit{RCPs: map[string]string{"no": `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`}})
		}, "with an explicit deny in a resource control policy"},
	} {
		t.Run(name, func(t *testing.T) {
			w := guideWorld(trustService)
			c.change(&w, &w.Accounts[0].Users[0])
			f := start(t, w)
			err := f.callerOf(nil).Authorize(context.Background(), identity.Access{Action: action, Resource: resource})
			switch {
			case c.want == "" && err != nil:
				t.Errorf("denied: %v", err)
			case c.want != "" && (identity.KindOf(err) != identity.AccessDenied || identity.SafeMessage(err) != who+c.want):
				t.Errorf("got  %v\nwant %s", err, who+c.want)
			}
		})
	}
}

func TestSessionPolicies(t *testing.T) {
	world := guideWorld(trust(rootOf(clusterAccount), assumeAndTag, ""))
	world.Accounts[0].Policies = []ManagedPolicy{{Name: "ours", Document: mayAll}}
	world.Accounts[1].Policies = []ManagedPolicy{{Name: "theirs", Document: statement("Allow", "s3:*")}}
	world.Accounts[1].Roles[0].InlinePolicies = map[string]string{"all": mayAll}
	f := start(t, world)
	for name, c := range map[string]struct {
		in     sts.AssumeRoleInput
		s3, ec bool
	}{
		"none":          {sts.AssumeRoleInput{}, true, true},
		"inline":        {sts.AssumeRoleInput{Policy: aws.String(statement("Allow", "s3:*"))}, true, false},
		"managed":       {sts.AssumeRoleInput{PolicyArns: policyARNs("arn:aws:iam::444455556666:policy/theirs")}, true, false},
		"AWS's managed": {sts.AssumeRoleInput{PolicyArns: policyARNs("arn:aws:iam::aws:policy/IAMFullAccess")}, false, false},
		"both":          {sts.AssumeRoleInput{Policy: aws.String(statement("Allow", "ec2:*")), PolicyArns: policyARNs("arn:aws:iam::444455556666:policy/theirs")}, true, true},
		"deny":          {sts.AssumeRoleInput{Policy: aws.String(statement("Deny", "s3:*"))}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t, f.sim, f.url, f.offset}
			c.in.RoleArn = aws.String(targetRoleARN)
			out := f.assume(f.alice(), c.in)
			if (out.PackedPolicySize == nil) != (name == "none") {
				t.Errorf("packed size %v", out.PackedPolicySize)
			}
			se, err := f.sim.sealer.open(*out.Credentials.SessionToken)
			if err != nil {
				t.Fatal(err)
			}
			caller := f.callerOf(se)
			for action, want := range map[string]bool{"s3:ListAllMyBuckets": c.s3, "ec2:DescribeVpcs": c.ec} {
				if err := caller.Authorize(t.Context(), identity.Access{Action: action, Resource: "*"}); (err == nil) != want {
					t.Errorf("%s: %v, want %v", action, err, want)
				}
			}
		})
	}
	f.refuse(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), PolicyArns: policyARNs("arn:aws:iam::111122223333:policy/ours")},
		"ValidationError", 400, "Policy arn:aws:iam::111122223333:policy/ours does not exist or is not attachable.")
	f.refuse(f.alice(), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN), PolicyArns: policyARNs("arn:aws:iam::444455556666:policy/gone")},
		"ValidationError", 400, "Policy arn:aws:iam::444455556666:policy/gone does not exist or is not attachable.")
}

// A managed policy that is gone takes its allows and its denies with it: the
// session may do nothing.
func TestManagedPolicyThatIsGoneDenies(t *testing.T) {
	world := guideWorld(trustService)
	world.Accounts[0].Policies = []ManagedPolicy{{Name: "deny", Document: statement("Deny", "s3:*")}}
	world.Accounts[0].Users[0].ManagedPolicies = []string{"arn:aws:iam::111122223333:policy/deny"}
	f := start(t, world)
	if err := f.sim.state.update(func(tx *tx) error {
		p, _ := f.sim.state.managedPolicy("arn:aws:iam::111122223333:policy/deny")
		tx.delete(p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.callerOf(nil).Authorize(t.Context(), identity.Access{Action: "s3:ListAllMyBuckets", Resource: "*"}); err == nil {
		t.Error("what was denied is allowed once the policy is gone")
	}
}

func TestOrganizationKeys(t *testing.T) {
	world := guideWorld(trust(`"*"`, assumeAndTag, `{"StringEquals":{"aws:PrincipalOrgID":"o-exampleorg","aws:ResourceOrgID":"o-exampleorg"}}`))
	world.Accounts[0].Roles[0].TrustPolicy = trust(`{"Service":"pods.eks.amazonaws.com"}`, assumeAndTag, `{"StringEquals":{"aws:SourceOrgID":"${aws:ResourceOrgID}"}}`)
	world.Organization = &Organization{ID: "o-exampleorg", ManagementAccountID: targetAccount, Root: Unit{Name: "root", Accounts: []string{clusterAccount}}}
	f := start(t, world)
	f.assume(f.as(f.firstHop(false)), sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)})
	world.Organization = nil
	f = start(t, world)
	f.deny(f.service(), sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN)}, "pods.eks.amazonaws.com", "sts:AssumeRole")
}

func policyARNs(arns ...string) (out []types.PolicyDescriptorType) {
	for _, arn := range arns {
		out = append(out, types.PolicyDescriptorType{Arn: aws.String(arn)})
	}
	return out
}
