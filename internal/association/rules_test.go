package association_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

func bound(edit ...func(*identity.Association)) identity.Association {
	a := identity.Association{ID: "a-12345678901234567", Cluster: home, Namespace: "default", ServiceAccount: "app", RoleARN: role, TargetRoleARN: target}
	for _, e := range edit {
		e(&a)
	}
	return a
}

// TestAdmission: which roles a caller has to be allowed to pass for which change.
func TestAdmission(t *testing.T) {
	strict := association.Rules{PassTargetRole: true}
	with := func(edit func(*identity.Association)) identity.Association { return bound(edit) }
	old := bound()
	for name, c := range map[string]struct {
		rules  association.Rules
		old    *identity.Association
		a      identity.Association
		passes []string
	}{
		"new":                   {strict, nil, bound(), []string{role, target}},
		"new, as on AWS":        {association.Rules{}, nil, bound(), []string{role}},
		"without a target":      {strict, nil, with(func(a *identity.Association) { a.TargetRoleARN = "" }), []string{role}},
		"one role for both":     {strict, nil, with(func(a *identity.Association) { a.TargetRoleARN = role }), []string{role}},
		"other role":            {strict, &old, with(func(a *identity.Association) { a.RoleARN = other }), []string{other, target}},
		"other target":          {strict, &old, with(func(a *identity.Association) { a.TargetRoleARN = target + "2" }), []string{role, target + "2"}},
		"the target goes":       {strict, &old, with(func(a *identity.Association) { a.TargetRoleARN = "" }), []string{role}},
		"session tags off":      {strict, &old, with(func(a *identity.Association) { a.DisableSessionTags = true }), []string{role, target}},
		"narrowed":              {strict, &old, with(func(a *identity.Association) { a.DisableSessionTags, a.Policy = true, narrow }), []string{role, target}},
		"tags":                  {strict, &old, with(func(a *identity.Association) { a.Tags = map[string]string{"k": "v"} }), nil},
		"revoked":               {strict, &old, with(func(a *identity.Association) { a.RevokedAt = time.Unix(1, 0) }), nil},
		"nothing but the times": {strict, &old, with(func(a *identity.Association) { a.ModifiedAt = time.Unix(1, 0) }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			allowed := &caller{account: account}
			if err := c.rules.Admit(t.Context(), allowed, c.old, c.a); err != nil {
				t.Fatal(err)
			}
			nobody := &caller{account: account, refuse: []string{"iam:PassRole"}}
			err := c.rules.Admit(t.Context(), nobody, c.old, c.a)
			if refused := identity.KindOf(err) == identity.AccessDenied; err != nil && !refused || refused != (len(c.passes) > 0) {
				t.Errorf("who may pass nothing: %v", err)
			}
			for _, who := range []*caller{allowed, nobody} { // of who is refused the first role, the second is asked for too
				var asked []string
				for _, access := range who.asked {
					if access.Action != "iam:PassRole" || access.Namespace != "default" || access.ServiceAccount != "app" {
						t.Errorf("asked for %+v", access)
					}
					asked = append(asked, access.Resource)
				}
				if !slices.Equal(asked, c.passes) {
					t.Errorf("asked for %q, want %q", asked, c.passes)
				}
			}
		})
	}
}

// passing may pass the roles that have no error.
type passing map[string]error

func (passing) ARN() string       { return "" }
func (passing) AccountID() string { return account }
func (p passing) Authorize(_ context.Context, access identity.Access) error {
	return p[access.Resource]
}

// lack is the cause of a refusal that takes others into it.
type lack struct{ error }

func (l lack) Join(others ...error) error {
	return identity.Errorf(identity.AccessDenied, "%v, and %v", l, errors.Join(others...))
}

// TestRefusalsOfRolesAreOne, where they can be; and who cannot be judged is not
// told half of it.
func TestRefusalsOfRolesAreOne(t *testing.T) {
	refusal := func(text string) error {
		return identity.Errorf(identity.AccessDenied, "%s", text).Because(lack{errors.New(text)})
	}
	plain := identity.Errorf(identity.AccessDenied, "plain")
	away := identity.Errorf(identity.Unavailable, "away")
	for name, c := range map[string]struct {
		who  passing
		want string
	}{
		"both":                  {passing{role: refusal("the role"), target: refusal("the target")}, "the role, and the target: the target"},
		"the role":              {passing{role: refusal("the role")}, "the role"},
		"the target":            {passing{target: refusal("the target")}, "the target"},
		"in words of their own": {passing{role: plain, target: refusal("the target")}, "plain"},
		"first unknown":         {passing{role: away, target: refusal("the target")}, "away"},
		"then unknown":          {passing{role: refusal("the role"), target: away}, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			err := association.Rules{PassTargetRole: true}.Admit(t.Context(), c.who, nil, bound())
			if identity.SafeMessage(err) != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestRulesBeforePermissions: what breaks a rule is refused as that, and nobody is asked.
func TestRulesBeforePermissions(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*identity.Association)
		want string
	}{
		"no role":             {func(a *identity.Association) { a.RoleARN = "" }, "roleArn is empty"},
		"role elsewhere":      {func(a *identity.Association) { a.RoleARN = target }, "Cross-account pass role is not allowed"},
		"no ARN":              {func(a *identity.Association) { a.RoleARN = "app" }, "roleArn"},
		"target is no ARN":    {func(a *identity.Association) { a.TargetRoleARN = "app" }, "targetRoleArn"},
		"target in China":     {func(a *identity.Association) { a.TargetRoleARN = "arn:aws-cn:iam::444455556666:role/t" }, "partition"},
		"policy with tags":    {func(a *identity.Association) { a.Policy = narrow }, "PackedPolicyTooLarge"},
		"policy that is none": {func(a *identity.Association) { a.DisableSessionTags, a.Policy = true, "{}" }, "policy is not valid"},
		"reserved tag":        {func(a *identity.Association) { a.Tags = map[string]string{"AWS:x": "y"} }, "Tag key"},
		"wildcard":            {func(a *identity.Association) { a.ServiceAccount = "*" }, "wildcard"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := &caller{account: account}
			old := bound()
			for _, before := range []*identity.Association{nil, &old} {
				err := association.Rules{}.Admit(t.Context(), asked, before, bound(c.edit))
				if identity.KindOf(err) != identity.InvalidParameter || !strings.Contains(identity.SafeMessage(err), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
			if len(asked.asked) > 0 {
				t.Errorf("asked for %v", asked.asked)
			}
		})
	}
}

// TestTargetRolesArePassedThroughTheAPI: the API asks as the rules say.
func TestTargetRolesArePassedThroughTheAPI(t *testing.T) {
	f := newFixture(t, association.Rules{PassTargetRole: true})
	in := input()
	in.TargetRoleARN = target
	a := f.create(t, in)
	f.admin.asked = nil
	if _, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, DisableSessionTags: new(true)}); err != nil {
		t.Fatal(err)
	}
	if last := f.admin.asked[len(f.admin.asked)-1]; last.Action != "iam:PassRole" || last.Resource != target {
		t.Errorf("the last question was %+v", last)
	}
}
