package awssim

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/identity"
)

const (
	orgManagement = "999988887777"
	orgMember     = "111122223333"
	orgOutsider   = "444455556666"
)

// orgWorld is an organization with a unit in a unit, and an account outside.
func orgWorld() World {
	w := World{Organization: &Organization{ID: "o-exampleorg", ManagementAccountID: orgManagement, Root: Unit{Name: "Root", Units: []Unit{{
		Name: "clusters", SCPs: map[string]string{fullAccess: "", "no-s3": `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`},
		RCPs:     map[string]string{"no-roles": `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}`},
		Accounts: []string{orgMember},
	}}}}}
	for i, id := range []string{orgManagement, orgMember, orgOutsider} {
		w.Accounts = append(w.Accounts, Account{ID: id, Users: []User{
			{Name: "admin", ManagedPolicies: []string{"arn:aws:iam::aws:policy/AdministratorAccess"}, AccessKeys: []AccessKey{{ID: "AKIAADMIN" + id, Secret: identity.Secret("secret-of-" + id)}}},
			{Name: "reader", InlinePolicies: map[string]string{"p": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["organizations:Describe*","organizations:List*"],"Resource":"*"}]}`},
				AccessKeys: []AccessKey{{ID: "AKIAREADER" + id, Secret: identity.Secret("secret-of-" + id)}}},
		}, Name: string(rune('a' + i))})
	}
	return w
}

func TestOrganizations(t *testing.T) {
	storage, err := OpenSQLite(filepath.Join(t.TempDir(), "aws.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer storage.Close()
	sim, err := New(Config{World: orgWorld(), Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	defer server.Close()
	as := func(user, account string) *organizations.Client {
		return organizations.New(organizations.Options{
			Region: "us-east-1", BaseEndpoint: &server.URL,
			Credentials: credentials.NewStaticCredentialsProvider("AKIA"+user+account, "secret-of-"+account, ""),
		})
	}
	ctx := t.Context()
	admin := as("ADMIN", orgManagement)
	code := func(err error) string {
		if e, ok := errors.AsType[smithy.APIError](err); ok {
			return e.ErrorCode()
		}
		return ""
	}

	org, err := as("READER", orgMember).DescribeOrganization(ctx, &organizations.DescribeOrganizationInput{})
	if err != nil || *org.Organization.Id != "o-exampleorg" || *org.Organization.MasterAccountId != orgManagement {
		t.Fatalf("a member sees %+v, %v", org, err)
	}
	if _, err := as("ADMIN", orgOutsider).DescribeOrganization(ctx, &organizations.DescribeOrganizationInput{}); code(err) != "AWSOrganizationsNotInUseException" {
		t.Errorf("an account outside: %v", err)
	}
	if _, err := as("ADMIN", orgMember).ListParents(ctx, &organizations.ListParentsInput{ChildId: aws.String(orgMember)}); code(err) != "AccessDeniedException" {
		t.Errorf("a member lists: %v", err)
	}

	var way []string
	for at := orgMember; !strings.HasPrefix(at, "r-"); {
		parents, err := admin.ListParents(ctx, &organizations.ListParentsInput{ChildId: &at})
		if err != nil {
			t.Fatal(err)
		}
		at = *parents.Parents[0].Id
		way = append(way, at)
	}
	if len(way) != 2 || !strings.HasPrefix(way[0], "ou-") {
		t.Fatalf("the way up is %q", way)
	}
	names := func(target string, filter types.PolicyType) string {
		out, err := admin.ListPoliciesForTarget(ctx, &organizations.ListPoliciesForTargetInput{TargetId: &target, Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range out.Policies {
			all = append(all, *p.Name)
		}
		return strings.Join(all, " ")
	}
	for _, test := range []struct {
		target string
		filter types.PolicyType
		want   string
	}{
		{orgMember, types.PolicyTypeServiceControlPolicy, fullAccess},
		{way[0], types.PolicyTypeServiceControlPolicy, fullAccess + " no-s3"},
		{way[0], types.PolicyTypeResourceControlPolicy, "no-roles"},
		{way[1], types.PolicyTypeServiceControlPolicy, fullAccess},
	} {
		if got := names(test.target, test.filter); got != test.want {
			t.Errorf("%s of %s: %s, want %s", test.filter, test.target, got, test.want)
		}
	}
	if _, err := admin.ListPoliciesForTarget(ctx, &organizations.ListPoliciesForTargetInput{TargetId: aws.String("ou-root-none"), Filter: types.PolicyTypeServiceControlPolicy}); code(err) != "TargetNotFoundException" {
		t.Errorf("a target that is none: %v", err)
	}

	listed, err := admin.ListPoliciesForTarget(ctx, &organizations.ListPoliciesForTargetInput{TargetId: &way[0], Filter: types.PolicyTypeServiceControlPolicy})
	if err != nil {
		t.Fatal(err)
	}
	id := *listed.Policies[1].Id
	mended := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:DeleteBucket","Resource":"*"}]}`
	for _, test := range []struct {
		name, want string
		client     *organizations.Client
		id         string
		content    *string
	}{
		{"who may only read", "AccessDeniedException", as("READER", orgManagement), id, &mended},
		{"a member", "AccessDeniedException", as("ADMIN", orgMember), id, &mended},
		{"AWS's own", "AccessDeniedException", admin, fullAccessID, &mended},
		{"none", "PolicyNotFoundException", admin, "p-none000000", &mended},
		{"no policy", "MalformedPolicyDocumentException", admin, id, aws.String("{}")},
		{"nothing", "InvalidInputException", admin, id, nil},
	} {
		if _, err := test.client.UpdatePolicy(ctx, &organizations.UpdatePolicyInput{PolicyId: &test.id, Content: test.content}); code(err) != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	if _, err := admin.UpdatePolicy(ctx, &organizations.UpdatePolicyInput{PolicyId: &id, Content: &mended}); err != nil {
		t.Fatal(err)
	}
	got, err := admin.DescribePolicy(ctx, &organizations.DescribePolicyInput{PolicyId: &id})
	if err != nil || *got.Policy.Content != mended {
		t.Errorf("after the update: %+v, %v", got, err)
	}
	if _, err := admin.CreatePolicy(ctx, &organizations.CreatePolicyInput{Name: aws.String("x"), Content: &mended, Description: aws.String(""), Type: types.PolicyTypeServiceControlPolicy}); code(err) != "UnknownOperationException" {
		t.Errorf("an operation that is not there: %v", err)
	}
	again, err := New(Config{Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := again.state.organization().policy(id); !ok || p.Content != mended {
		t.Errorf("after a restart: %+v", p)
	}
}
