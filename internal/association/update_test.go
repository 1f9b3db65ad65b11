package association_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

const wider = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`

// TestUpdateChangesWhatIsNamed: omitted, empty and changed fields, one row each.
func TestUpdateChangesWhatIsNamed(t *testing.T) {
	type fields struct {
		role, target, policy string
		disable              bool
	}
	full := fields{role, target, narrow, true}
	for name, c := range map[string]struct {
		from fields
		in   association.UpdateInput
		want fields
	}{
		"role":                    {full, association.UpdateInput{RoleARN: new(other)}, fields{other, target, narrow, true}},
		"target":                  {full, association.UpdateInput{TargetRoleARN: new(target + "2")}, fields{role, target + "2", narrow, true}},
		"target removed":          {full, association.UpdateInput{TargetRoleARN: new("")}, fields{role, "", narrow, true}},
		"policy":                  {full, association.UpdateInput{Policy: new(wider)}, fields{role, target, wider, true}},
		"policy cleared":          {full, association.UpdateInput{Policy: new("")}, fields{role, target, "", true}},
		"policy cleared, tags on": {full, association.UpdateInput{Policy: new(""), DisableSessionTags: new(false)}, fields{role, target, "", false}},
		"policy and tags off":     {fields{role: role}, association.UpdateInput{Policy: new(narrow), DisableSessionTags: new(true)}, fields{role, "", narrow, true}},
		"one of two differs":      {full, association.UpdateInput{RoleARN: new(role), TargetRoleARN: new("")}, fields{role, "", narrow, true}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			in := input()
			in.RoleARN, in.TargetRoleARN, in.Policy, in.DisableSessionTags = c.from.role, c.from.target, c.from.policy, c.from.disable
			in.Tags = map[string]string{"k": "v"}
			a := f.create(t, in)
			f.now = f.now.Add(time.Hour)
			c.in.Cluster, c.in.ID = home.Name, a.ID
			updated, err := f.Update(t.Context(), f.admin, c.in)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := f.Describe(t.Context(), f.admin, home.Name, a.ID)
			if err != nil || fmt.Sprint(stored) != fmt.Sprint(updated) {
				t.Errorf("answered %+v\nstored %+v, %v", updated, stored, err)
			}
			if got := (fields{stored.RoleARN, stored.TargetRoleARN, stored.Policy, stored.DisableSessionTags}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if !stored.CreatedAt.Equal(a.CreatedAt) || !stored.ModifiedAt.Equal(a.ModifiedAt.Add(time.Hour)) || stored.Tags["k"] != "v" {
				t.Errorf("created at %v, modified at %v, tags %v", stored.CreatedAt, stored.ModifiedAt, stored.Tags)
			}
		})
	}
}

func TestUpdateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   association.UpdateInput
		kind identity.Kind
		text string
	}{
		"nothing named":            {association.UpdateInput{}, identity.InvalidRequest, "The update changes nothing"},
		"nothing different":        {association.UpdateInput{RoleARN: new(role), TargetRoleARN: new(""), DisableSessionTags: new(true), Policy: new(narrow)}, identity.InvalidRequest, "The update changes nothing"},
		"empty role":               {association.UpdateInput{RoleARN: new("")}, identity.InvalidParameter, "Cross-account pass role is not allowed"},
		"role of another account":  {association.UpdateInput{RoleARN: new(target)}, identity.InvalidParameter, "Cross-account pass role is not allowed"},
		"role that is not there":   {association.UpdateInput{RoleARN: new(other)}, identity.InvalidParameter, "Role provided in the request does not exist"},
		"target no role":           {association.UpdateInput{TargetRoleARN: new("x")}, identity.InvalidParameter, "targetRoleArn"},
		"tags on under a policy":   {association.UpdateInput{DisableSessionTags: new(false)}, identity.InvalidParameter, "PackedPolicyTooLarge"},
		"a policy that is not one": {association.UpdateInput{Policy: new("[]")}, identity.InvalidParameter, "policy is not valid"},
		"a policy too long":        {association.UpdateInput{Policy: new(strings.Repeat(" ", 2049))}, identity.InvalidParameter, "policy has 2049"},
		"unknown id":               {association.UpdateInput{ID: "a-00000000000000000", RoleARN: new(other)}, identity.NotFound, "No pod identity association found"},
		"unknown cluster":          {association.UpdateInput{Cluster: "nope", RoleARN: new(other)}, identity.NotFound, "No cluster found for name: nope."},
		"long token":               {association.UpdateInput{RequestToken: strings.Repeat("t", 257)}, identity.InvalidParameter, "clientRequestToken"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.roles.bad = []string{other}
			in := input()
			in.DisableSessionTags, in.Policy = true, narrow
			a := f.create(t, in)
			if c.in.Cluster == "" {
				c.in.Cluster = home.Name
			}
			if c.in.ID == "" {
				c.in.ID = a.ID
			}
			_, err := f.Update(t.Context(), f.admin, c.in)
			wantKind(t, err, c.kind, c.text)
			if now, err := f.Describe(t.Context(), f.admin, home.Name, a.ID); err != nil || fmt.Sprint(now) != fmt.Sprint(a) {
				t.Errorf("it changed: %+v, %v", now, err)
			}
		})
	}
}

// TestUpdateTriesWhatWillBeStored: a role is tried only with fields that are
// valid, and always where something of the first hop may differ.
func TestUpdateTriesWhatWillBeStored(t *testing.T) {
	f := newFixture(t)
	in := input()
	in.DisableSessionTags = true
	a := f.create(t, in)
	for _, c := range []struct {
		in    association.UpdateInput
		tried bool
	}{
		{association.UpdateInput{TargetRoleARN: new(target)}, false},
		{association.UpdateInput{Policy: new(narrow)}, true},
		{association.UpdateInput{Policy: new("{")}, false},
		{association.UpdateInput{RoleARN: new(other)}, true},
		{association.UpdateInput{DisableSessionTags: new(false), Policy: new("")}, true},
	} {
		f.roles.checked = nil
		c.in.Cluster, c.in.ID = home.Name, a.ID
		updated, err := f.Update(t.Context(), f.admin, c.in)
		if got := len(f.roles.checked) == 1; got != c.tried {
			t.Errorf("%+v: tried %v, %v", c.in, f.roles.checked, err)
		}
		if !c.tried || err != nil {
			continue
		}
		tried := f.roles.checked[0]
		tried.ModifiedAt = updated.ModifiedAt
		if fmt.Sprint(tried) != fmt.Sprint(updated) {
			t.Errorf("tried %+v\nstored %+v", tried, updated)
		}
	}
}

// TestNothingIsDoneToWhatWasNotJudged changes the association while its old
// self is being judged: the request starts over, and is judged again.
func TestNothingIsDoneToWhatWasNotJudged(t *testing.T) {
	for name, do := range map[string]func(f *fixture, c *caller, a identity.Association) error{
		"update": func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.Update(t.Context(), c, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)})
			return err
		},
		"delete": func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.Delete(t.Context(), c, home.Name, a.ID)
			return err
		},
		"tag": func(f *fixture, c *caller, a identity.Association) error {
			return f.Tag(t.Context(), c, a.ARN(), map[string]string{"k": "v"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			a := f.create(t, input())
			lock := sync.OnceFunc(func() {
				if err := f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"locked": "yes"}); err != nil {
					t.Error(err)
				}
			})
			sneaky := &caller{account: account, during: func(identity.Access) { lock() }}
			if err := do(f, sneaky, a); err != nil {
				t.Fatal(err)
			}
			if last := access(sneaky.asked[len(sneaky.asked)-1]); len(sneaky.asked) < 2 {
				t.Errorf("was judged without the tag: %s", last)
			}
			judged := false
			for _, asked := range sneaky.asked {
				judged = judged || strings.Contains(access(asked), "aws:ResourceTag/locked=yes")
			}
			if !judged {
				t.Errorf("never judged by the tag it had in the end: %v", sneaky.asked)
			}

			// A caller that the tag keeps out stays out, whenever it was set.
			f = newFixture(t)
			a = f.create(t, input())
			lock = sync.OnceFunc(func() {
				if err := f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"locked": "yes"}); err != nil {
					t.Error(err)
				}
			})
			kept := &caller{account: account}
			kept.during = func(asked identity.Access) {
				lock()
				if strings.Contains(access(asked), "aws:ResourceTag/locked=yes") {
					kept.refuse = []string{asked.Action}
				}
			}
			if err := do(f, kept, a); identity.KindOf(err) != identity.AccessDenied {
				t.Errorf("kept out by the tag: %v", err)
			}
		})
	}
}

// TestEndlessChangesAreThrottled: a request that never finds rest gives up.
func TestEndlessChangesAreThrottled(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	n := 0
	restless := &caller{account: account, during: func(identity.Access) {
		n++
		if err := f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"n": fmt.Sprint(n)}); err != nil {
			t.Error(err)
		}
	}}
	if _, err := f.Delete(t.Context(), restless, home.Name, a.ID); identity.KindOf(err) != identity.Throttled {
		t.Errorf("%v", err)
	}
}

func TestRequestTokens(t *testing.T) {
	f := newFixture(t)
	in := input()
	in.RequestToken = "token"
	a := f.create(t, in)
	if again := f.create(t, in); again.ID != a.ID {
		t.Errorf("the same request made %s and %s", a.ID, again.ID)
	}
	changed := in
	changed.DisableSessionTags = true
	_, err := f.Create(t.Context(), f.admin, changed)
	wantKind(t, err, identity.InvalidParameter, "clientRequestToken was used before")
	second := in
	second.Cluster = "second"
	if b := f.create(t, second); b.ID == a.ID {
		t.Error("a token of one cluster was taken for another's")
	}

	update := association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target), RequestToken: "update"}
	once, err := f.Update(t.Context(), f.admin, update)
	if err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Minute)
	if again, err := f.Update(t.Context(), f.admin, update); err != nil || !again.ModifiedAt.Equal(once.ModifiedAt) {
		t.Errorf("the same update again: %+v, %v", again, err)
	}
	if _, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(""), RequestToken: "another"}); err != nil {
		t.Fatal(err)
	}
	// A copy of the first update that was late on its way must not undo the second.
	if late, err := f.Update(t.Context(), f.admin, update); err != nil || late.TargetRoleARN != "" {
		t.Errorf("a late copy: %+v, %v", late, err)
	}
	update.TargetRoleARN = new(target + "2")
	_, err = f.Update(t.Context(), f.admin, update)
	wantKind(t, err, identity.InvalidParameter, "clientRequestToken was used before")

	// A token does not stand for a permission.
	refused := &caller{account: account, refuse: []string{"iam:PassRole"}}
	if _, err := f.Create(t.Context(), refused, in); identity.KindOf(err) != identity.AccessDenied {
		t.Errorf("a replay by a caller who may not: %v", err)
	}

	f.now = f.now.Add(association.OnceLifetime + time.Minute)
	_, err = f.Create(t.Context(), f.admin, in)
	wantKind(t, err, identity.InUse, "Association already exists: "+a.ID)
	if _, err := f.Delete(t.Context(), f.admin, home.Name, a.ID); err != nil {
		t.Fatal(err)
	}
	if b := f.create(t, in); b.ID == a.ID {
		t.Error("a deleted association came back")
	}
}
