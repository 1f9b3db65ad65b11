package association_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	f.admin.asked = nil
	revoked, err := f.Revoke(t.Context(), f.admin, home.Name, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	next := f.now.Truncate(time.Second).Add(time.Second)
	if !revoked.RevokedAt.Equal(next) || revoked.Version() == a.Version() {
		t.Errorf("revoked at %v, version %s", revoked.RevokedAt, revoked.Version())
	}
	if len(f.admin.asked) != 1 || f.admin.asked[0].Action != "eks:UpdatePodIdentityAssociation" {
		t.Errorf("asked for %+v: the roles stay, so nothing is passed", f.admin.asked)
	}
	stored, err := f.Describe(t.Context(), f.admin, home.Name, a.ID)
	if err != nil || fmt.Sprint(stored) != fmt.Sprint(revoked) {
		t.Errorf("answered %+v\nstored %+v, %v", revoked, stored, err)
	}
	// An update, and a clock that goes back, take nothing of it back.
	updated, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)})
	if err != nil || !updated.RevokedAt.Equal(next) {
		t.Errorf("after an update: %v, %v", updated.RevokedAt, err)
	}
	f.now = f.now.Add(-time.Hour)
	if again, err := f.Revoke(t.Context(), f.admin, home.Name, a.ID); err != nil || !again.RevokedAt.Equal(next) {
		t.Errorf("an hour earlier: %v, %v", again.RevokedAt, err)
	}

	stranger := &caller{account: account, refuse: []string{"eks:UpdatePodIdentityAssociation"}}
	if _, err := f.Revoke(t.Context(), stranger, home.Name, a.ID); identity.KindOf(err) != identity.AccessDenied {
		t.Errorf("whoever may not update: %v", err)
	}
	if _, err := f.Revoke(t.Context(), f.admin, home.Name, "a-00000000000000000"); identity.KindOf(err) != identity.NotFound {
		t.Errorf("of none: %v", err)
	}
}

// revokedWhileJudged is a caller who is asked for iam:PassRole when, for once,
// somebody else revokes the association. Events before that are forgotten.
func (f *fixture) revokedWhileJudged(t *testing.T, id string) *caller {
	once := false
	return &caller{account: account, during: func(access identity.Access) {
		if access.Action == "iam:PassRole" && !once {
			once = true
			if _, err := f.Revoke(t.Context(), f.admin, home.Name, id); err != nil {
				t.Error(err)
			}
			f.log.events = nil
		}
	}}
}

// TestRevokeDuringAnUpdate: the update starts over, and takes nothing back.
func TestRevokeDuringAnUpdate(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	updated, err := f.Update(t.Context(), f.revokedWhileJudged(t, a.ID), association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)})
	if err != nil || updated.RevokedAt.IsZero() || updated.TargetRoleARN != target {
		t.Errorf("%+v, %v", updated, err)
	}
}

// TestChangedIsTold of what the store has, and of nothing else.
func TestChangedIsTold(t *testing.T) {
	f := newFixture(t)
	in := input()
	in.TargetRoleARN = ""
	a := f.create(t, in)
	if _, err := f.Create(t.Context(), f.admin, in); err == nil {
		t.Error("made twice")
	}
	if _, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)}); err == nil {
		t.Error("an update that changes nothing was done")
	}
	if _, err := f.Revoke(t.Context(), f.admin, home.Name, a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Delete(t.Context(), f.admin, home.Name, a.ID); err != nil {
		t.Fatal(err)
	}
	var told []string
	for i, a := range f.told {
		told = append(told, fmt.Sprint(a.TargetRoleARN != "", !a.RevokedAt.IsZero(), f.gone[i]))
	}
	if want := []string{"false false false", "true false false", "true true false", "true true true"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
