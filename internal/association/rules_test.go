package association_test

import (
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
			var asked []string
			for _, access := range allowed.asked {
				if access.Action != "iam:PassRole" || access.Namespace != "default" || access.ServiceAccount != "app" {
					t.Errorf("asked for %+v", access)
				}
				asked = append(asked, access.Resource)
			}
			if !slices.Equal(asked, c.passes) {
				t.Errorf("asked for %q, want %q", asked, c.passes)
			}
			err := c.rules.Admit(t.Context(), &caller{account: account, refuse: []string{"iam:PassRole"}}, c.old, c.a)
			if refused := identity.KindOf(err) == identity.AccessDenied; err != nil && !refused || refused != (len(c.passes) > 0) {
				t.Errorf("who may pass nothing: %v", err)
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
