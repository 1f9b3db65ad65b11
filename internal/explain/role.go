package explain

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// role is a role, or podid's own user, as far as it could be read.
type role struct {
	arn        identity.ARN
	id         string // AROA...; "" where it was not seen
	missing    bool   // it does not exist
	maxSession time.Duration
	tags       []identity.Tag

	trust    *document
	identity []*document
	boundary []*document
	// spare is an inline policy that does not exist, for what is to be added.
	spare *document

	// Why the role itself (its trust policy, tags and boundary) or its
	// permissions could not be read. "": they were.
	unseen, permissionsUnseen string
}

// noun names it for people. Names are unique in an account, whatever the path
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
func (r *role) noun() string {
	return nounOf(r.arn) + " " + r.arn.RoleName() + " (" + r.arn.AccountID + ")"
}

func (r *role) isUser() bool { return nounOf(r.arn) == "user" }

// spareName is the name of inline policies that fixes make.
const spareName = "podid-explain"

// role reads a role by its ARN.
func (r *reader) role(ctx context.Context, arn identity.ARN) *role {
	if found, ok := r.roles[arn.String()]; ok {
		return found
	}
	out := &role{arn: arn}
	out.spare = &document{name: "inline policy " + spareName + " of " + out.noun(), kind: policy.Identity, place: inlinePlace{arn, spareName}}
	out.trust = &document{name: "trust policy of " + out.noun(), kind: policy.Trust, place: trustPlace{role: arn}}
	r.roles[arn.String()] = out
	access, err := r.account(ctx, arn.AccountID)
	if err != nil {
		out.unseen, out.permissionsUnseen = err.Error(), err.Error()
		return out
	}
	client := iam.NewFromConfig(access.AWS)
	if out.isUser() {
		r.readUser(ctx, client, out)
		return out
	}
	got, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(arn.RoleName())})
	if isCode(err, "NoSuchEntity") || err == nil && aws.ToString(got.Role.Arn) != arn.String() {
		// A role of the same name under another path is another ARN.
		out.missing = true
		out.trust.place = trustPlace{role: arn, missing: true}
		return out
	}
	if err != nil {
		out.unseen, out.permissionsUnseen = answered(err).Error(), answered(err).Error()
		return out
	}
	out.id, out.maxSession = aws.ToString(got.Role.RoleId), time.Duration(aws.ToInt32(got.Role.MaxSessionDuration))*time.Second
	for _, t := range got.Role.Tags {
		out.tags = append(out.tags, identity.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)})
	}
	if err := out.trust.load(got.Role.AssumeRolePolicyDocument); err != nil {
		out.unseen = err.Error()
	}
	if err := r.permissions(ctx, roleAPI{client, arn.RoleName()}, out, got.Role.PermissionsBoundary); err != nil {
		out.permissionsUnseen = err.Error()
	}
	return out
}

func (r *reader) readUser(ctx context.Context, client *iam.Client, out *role) {
	got, err := client.GetUser(ctx, &iam.GetUserInput{UserName: aws.String(out.arn.RoleName())})
	if err == nil {
		out.id = aws.ToString(got.User.UserId)
		var groups *iam.ListGroupsForUserOutput
		groups, err = client.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: got.User.UserName})
		if err == nil && len(groups.Groups) > 0 {
			out.permissionsUnseen = "it is in groups, whose policies explain does not read"
		}
	}
	if err == nil {
		err = r.permissions(ctx, userAPI{client, out.arn.RoleName()}, out, got.User.PermissionsBoundary)
	}
	if err != nil {
		out.permissionsUnseen = answered(err).Error()
	}
}

// load takes in a policy as IAM sends it.
func (d *document) load(encoded *string) error {
	text, err := url.PathUnescape(aws.ToString(encoded))
	if err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	d.text = text
	if _, err := d.parse(); err != nil {
		return fmt.Errorf("%s: podid does not understand it: %w", d.name, err)
	}
	return nil
}

// principalAPI is what roles and users have in common.
type principalAPI interface {
	inlineNames(ctx context.Context, marker *string) (names []string, next *string, err error)
	inline(ctx context.Context, name string) (document *string, err error)
	attached(ctx context.Context, marker *string) (arns []types.AttachedPolicy, next *string, err error)
	client() *iam.Client
}

// permissions reads the identity policies and the boundary of a role or user.
func (r *reader) permissions(ctx context.Context, api principalAPI, out *role, boundary *types.AttachedPermissionsBoundary) error {
	for marker, more := (*string)(nil), true; more; more = marker != nil {
		names, next, err := api.inlineNames(ctx, marker)
		if err != nil {
			return answered(err)
		}
		for _, name := range names {
			text, err := api.inline(ctx, name)
			if err != nil {
				return answered(err)
			}
			d := &document{name: "inline policy " + name + " of " + out.noun(), kind: policy.Identity, place: inlinePlace{out.arn, name}}
			if err := d.load(text); err != nil {
				return err
			}
			out.identity = append(out.identity, d)
			if name == spareName {
				out.spare = d
			}
		}
		marker = next
	}
	for marker, more := (*string)(nil), true; more; more = marker != nil {
		attached, next, err := api.attached(ctx, marker)
		if err != nil {
			return answered(err)
		}
		for _, p := range attached {
			d, err := r.managed(ctx, api.client(), aws.ToString(p.PolicyArn), false)
			if err != nil {
				return err
			}
			out.identity = append(out.identity, d)
		}
		marker = next
	}
	if boundary != nil {
		d, err := r.managed(ctx, api.client(), aws.ToString(boundary.PermissionsBoundaryArn), true)
		if err != nil {
			return err
		}
		out.boundary = []*document{d}
	}
	return nil
}

// managed reads the default version of a managed policy.
func (r *reader) managed(ctx context.Context, client *iam.Client, arn string, boundary bool) (*document, error) {
	d := &document{name: "managed policy " + arn, kind: policy.Identity}
	if boundary {
		d.name, d.kind = "permissions boundary "+arn, policy.Boundary
	}
	if found, ok := r.documents[d.name]; ok {
		return found, nil
	}
	parsed, err := identity.ParseARN(arn)
	if err != nil {
		return nil, err
	}
	got, err := client.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, answered(err))
	}
	version, err := client.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: got.Policy.DefaultVersionId})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, answered(err))
	}
	d.place = managedPlace{arn: parsed, boundary: boundary, oldest: oldestVersion(ctx, client, arn)}
	if err := d.load(version.PolicyVersion.Document); err != nil {
		return nil, err
	}
	r.documents[d.name] = d
	return d, nil
}

// maxVersions is how many versions a managed policy can have
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const maxVersions = 5

// oldestVersion returns the version to delete before another can be made; ""
// where there is room, or where that is not to be seen.
func oldestVersion(ctx context.Context, client *iam.Client, arn string) string {
	out, err := client.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: &arn})
	if err != nil || len(out.Versions) < maxVersions {
		return ""
	}
	oldest, when := "", time.Time{}
	for _, v := range out.Versions {
		if created := aws.ToTime(v.CreateDate); !v.IsDefaultVersion && (oldest == "" || created.Before(when)) {
			oldest, when = aws.ToString(v.VersionId), created
		}
	}
	return oldest
}

type roleAPI struct {
	c    *iam.Client
	name string
}

func (a roleAPI) client() *iam.Client { return a.c }

func (a roleAPI) inlineNames(ctx context.Context, marker *string) ([]string, *string, error) {
	out, err := a.c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &a.name, Marker: marker})
	if err != nil {
		return nil, nil, err
	}
	return out.PolicyNames, out.Marker, nil
}

func (a roleAPI) inline(ctx context.Context, name string) (*string, error) {
	out, err := a.c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &a.name, PolicyName: &name})
	if err != nil {
		return nil, err
	}
	return out.PolicyDocument, nil
}

func (a roleAPI) attached(ctx context.Context, marker *string) ([]types.AttachedPolicy, *string, error) {
	out, err := a.c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &a.name, Marker: marker})
	if err != nil {
		return nil, nil, err
	}
	return out.AttachedPolicies, out.Marker, nil
}

type userAPI struct {
	c    *iam.Client
	name string
}

func (a userAPI) client() *iam.Client { return a.c }

func (a userAPI) inlineNames(ctx context.Context, marker *string) ([]string, *string, error) {
	out, err := a.c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: &a.name, Marker: marker})
	if err != nil {
		return nil, nil, err
	}
	return out.PolicyNames, out.Marker, nil
}

func (a userAPI) inline(ctx context.Context, name string) (*string, error) {
	out, err := a.c.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &a.name, PolicyName: &name})
	if err != nil {
		return nil, err
	}
	return out.PolicyDocument, nil
}

func (a userAPI) attached(ctx context.Context, marker *string) ([]types.AttachedPolicy, *string, error) {
	out, err := a.c.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: &a.name, Marker: marker})
	if err != nil {
		return nil, nil, err
	}
	return out.AttachedPolicies, out.Marker, nil
}
