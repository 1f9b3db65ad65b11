package interop

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	serviceTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	readPolicy   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}]}`
)

func TestGoIAM(t *testing.T) {
	info := start(t)
	ctx := t.Context()
	cfg := as(info, "111122223333")
	admin := iam.NewFromConfig(cfg)
	made, err := admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("app"), Path: aws.String("/apps/"), AssumeRolePolicyDocument: aws.String(serviceTrust),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := *made.Role.Arn; got != "arn:aws:iam::111122223333:role/apps/app" || !strings.HasPrefix(*made.Role.RoleId, "AROA") {
		t.Errorf("made %s %s", got, *made.Role.RoleId)
	}
	if text, err := url.PathUnescape(*made.Role.AssumeRolePolicyDocument); err != nil || text != serviceTrust {
		t.Errorf("trust policy %q, %v", text, err)
	}
	user, err := admin.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("reader")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("reader"), PolicyName: aws.String("p"), PolicyDocument: aws.String(readPolicy)}); err != nil {
		t.Fatal(err)
	}
	key, err := admin.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("reader")})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
	reader := iam.NewFromConfig(cfg)
	if self, err := reader.GetUser(ctx, &iam.GetUserInput{}); err != nil || *self.User.Arn != *user.User.Arn {
		t.Errorf("the reader reads itself: %v, %v", self, err)
	}
	other := iam.NewFromConfig(as(info, "444455556666"))
	named := aws.String("app")
	for name, c := range map[string]struct {
		err    error
		target any
		text   string
	}{
		"no permission":    {second(reader.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("x"), AssumeRolePolicyDocument: aws.String(serviceTrust)})), nil, "is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::111122223333:role/x because no identity-based policy allows the iam:CreateRole action"},
		"hidden existence": {second(reader.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("no-such-role")})), nil, "AccessDenied"},
		"other account":    {second(other.GetRole(ctx, &iam.GetRoleInput{RoleName: named})), new(*types.NoSuchEntityException), ""},
		"taken, by case":   {second(admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("APP"), AssumeRolePolicyDocument: aws.String(serviceTrust)})), new(*types.EntityAlreadyExistsException), ""},
		"malformed":        {second(admin.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: named, PolicyDocument: aws.String(`{"Version":"2012-10-17"}`)})), new(*types.MalformedPolicyDocumentException), ""},
		"nobody": {second(admin.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: named,
			PolicyDocument: aws.String(strings.Replace(serviceTrust, `"Service":"pods.eks.amazonaws.com"`, `"AWS":"arn:aws:iam::111122223333:role/nobody"`, 1))})), new(*types.MalformedPolicyDocumentException), "Invalid principal in policy"},
		"too large":     {second(admin.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: named, PolicyDocument: aws.String(`{"x":"` + strings.Repeat("x", 3000) + `"}`)})), new(*types.LimitExceededException), ""},
		"no policy":     {second(admin.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: named, PolicyArn: aws.String("arn:aws:iam::111122223333:policy/none")})), new(*types.NoSuchEntityException), ""},
		"of AWS":        {second(admin.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})), nil, "AccessDenied"},
		"has keys":      {second(admin.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("reader")})), new(*types.DeleteConflictException), ""},
		"long session":  {second(admin.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: named, MaxSessionDuration: aws.Int32(43201)})), nil, "ValidationError"},
		"reserved tag":  {second(admin.TagRole(ctx, &iam.TagRoleInput{RoleName: named, Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}}})), new(*types.InvalidInputException), ""},
		"duplicate tag": {second(admin.TagRole(ctx, &iam.TagRoleInput{RoleName: named, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("1")}, {Key: aws.String("K"), Value: aws.String("2")}}})), new(*types.InvalidInputException), ""},
	} {
		if c.err == nil || c.target != nil && !errors.As(c.err, c.target) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: %v, want %T with %q", name, c.err, c.target, c.text)
		}
	}

	pages := iam.NewListRolesPaginator(admin, &iam.ListRolesInput{MaxItems: aws.Int32(1)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Roles {
			names = append(names, *r.RoleName)
		}
	}
	if strings.Join(names, " ") != "app eks-pod-identity-primary-role" {
		t.Errorf("roles, one to a page: %v", names)
	}

	// A key that is turned off, and then deleted, is no key any more.
	if _, err := admin.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: aws.String("reader"), AccessKeyId: key.AccessKey.AccessKeyId, Status: types.StatusTypeInactive}); err != nil {
		t.Fatal(err)
	}
	if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); code(err) != "InvalidClientTokenId" {
		t.Errorf("with an inactive key: %v", err)
	}
}

// TestGoSessionsDieWithTheirRole deletes and makes again the role of a session.
func TestGoSessionsDieWithTheirRole(t *testing.T) {
	info := start(t)
	ctx := t.Context()
	cfg := as(info, "444455556666")
	admin := iam.NewFromConfig(cfg)
	make := func() {
		t.Helper()
		trust := strings.Replace(serviceTrust, `"Service":"pods.eks.amazonaws.com"`, `"AWS":"arn:aws:iam::444455556666:root"`, 1)
		if _, err := admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("mortal"), AssumeRolePolicyDocument: &trust}); err != nil {
			t.Fatal(err)
		}
	}
	make()
	out, err := sts.NewFromConfig(cfg).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::444455556666:role/mortal"), RoleSessionName: aws.String("s-1")})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	alive := func() error {
		return second(sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))
	}
	if err := alive(); err != nil {
		t.Fatalf("while the role is there: %v", err)
	}
	if _, err := admin.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("mortal")}); err != nil {
		t.Fatal(err)
	}
	make()
	if err := alive(); code(err) != "InvalidClientTokenId" {
		t.Errorf("after the role was made again: %v", err)
	}
}
