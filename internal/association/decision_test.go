package association_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// told writes each event as "NAME OUTCOME WHAT".
func (l *trail) told() (all []string) {
	for _, e := range l.events {
		text := e.EventName + " " + string(e.Outcome)
		if e.RoleARN != "" {
			text += " " + e.RoleARN
		}
		if e.ErrorCode != "" {
			text += ": " + e.ErrorCode
		}
		all = append(all, text)
	}
	return all
}

func wantEvents(t *testing.T, l *trail, want ...string) {
	t.Helper()
	if got := l.told(); !slices.Equal(got, want) {
		t.Errorf("audited\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	seen := map[string]bool{}
	for _, e := range l.events {
		if e.EventID == "" || seen[e.EventID] {
			t.Errorf("event id %q is no id of its own", e.EventID)
		}
		seen[e.EventID] = true
	}
	l.events = nil
}

func TestEveryChangeIsAudited(t *testing.T) {
	f := newFixture(t, association.Rules{PassTargetRole: true})
	in := input()
	in.TargetRoleARN, in.RequestToken = target, "once"
	a := f.create(t, in)
	created := []string{"PassRole granted " + role, "PassRole granted " + target, "CreatePodIdentityAssociation admitted"}
	e := f.log.events[2]
	if e.CallerARN != f.admin.ARN() || e.ClusterName != home.Name || !e.EventTime.Equal(f.now) || e.EventVersion != audit.Version {
		t.Errorf("audited %+v", e)
	}
	if is := e.Association; e.Before != nil || is.ID != "" || is.Namespace != "default" || is.RoleARN != role || is.TargetRoleARN != target || is.ExternalID == "" {
		t.Errorf("audited %+v after %+v", is, e.Before)
	}
	if is := f.log.events[0].Association; is.Namespace != "default" || is.ServiceAccount != "app" {
		t.Errorf("the verdict is about %+v", is)
	}
	wantEvents(t, &f.log, created...)
	f.create(t, in) // the same request again
	wantEvents(t, &f.log, created...)

	if _, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new("")}); err != nil {
		t.Fatal(err)
	}
	if e := f.log.events[1]; e.Before.TargetRoleARN != target || e.Association.TargetRoleARN != "" || e.Association.ID != a.ID {
		t.Errorf("audited %+v after %+v", e.Association, e.Before)
	}
	wantEvents(t, &f.log, "PassRole granted "+role, "UpdatePodIdentityAssociation admitted")
	if err := f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	if e := f.log.events[0]; len(e.Before.Tags) != 0 || e.Association.Tags["k"] != "v" {
		t.Errorf("audited tags %v after %v", e.Association.Tags, e.Before.Tags)
	}
	wantEvents(t, &f.log, "TagResource admitted")
	if err := f.Untag(t.Context(), f.admin, a.ARN(), []string{"k"}); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, &f.log, "UntagResource admitted")
	if _, err := f.Revoke(t.Context(), f.admin, home.Name, a.ID); err != nil {
		t.Fatal(err)
	}
	if e := f.log.events[0]; e.Before.RevokedAt != nil || e.Association.RevokedAt == nil {
		t.Errorf("audited %+v after %+v", e.Association, e.Before)
	}
	wantEvents(t, &f.log, "RevokePodIdentityAssociation admitted")
	if _, err := f.Delete(t.Context(), f.admin, home.Name, a.ID); err != nil {
		t.Fatal(err)
	}
	if e := f.log.events[0]; e.Before.ID != a.ID || e.Association != nil {
		t.Errorf("audited %+v after %+v", e.Association, e.Before)
	}
	wantEvents(t, &f.log, "DeletePodIdentityAssociation admitted")
}

func TestEveryRefusalIsAudited(t *testing.T) {
	f := newFixture(t, association.Rules{PassTargetRole: true})
	a := f.create(t, input())
	both := input()
	both.ServiceAccount, both.TargetRoleARN = "both", target
	f.log.events = nil
	for name, c := range map[string]struct {
		do   func(identity.Caller) error
		deny string
		want []string
	}{
		"exists already": {func(c identity.Caller) error { _, err := f.Create(t.Context(), c, input()); return err }, "", []string{
			"PassRole granted " + role, "CreatePodIdentityAssociation admitted", "CreatePodIdentityAssociation refused: in use"}},
		"may not create": {func(c identity.Caller) error { _, err := f.Create(t.Context(), c, input()); return err },
			"eks:CreatePodIdentityAssociation", []string{"CreatePodIdentityAssociation refused: access denied"}},
		"may not pass": {func(c identity.Caller) error { _, err := f.Create(t.Context(), c, input()); return err }, "iam:PassRole", []string{
			"PassRole refused " + role + ": access denied", "CreatePodIdentityAssociation refused: access denied"}},
		"may pass neither": {func(c identity.Caller) error { _, err := f.Create(t.Context(), c, both); return err }, "iam:PassRole", []string{
			"PassRole refused " + role + ": access denied", "PassRole refused " + target + ": access denied", "CreatePodIdentityAssociation refused: access denied"}},
		"breaks a rule": {func(c identity.Caller) error {
			in := input()
			in.Namespace = "NO"
			_, err := f.Create(t.Context(), c, in)
			return err
		}, "", []string{"CreatePodIdentityAssociation refused: invalid parameter"}},
		"no such cluster": {func(c identity.Caller) error {
			_, err := f.Delete(t.Context(), c, "no/cluster", a.ID)
			return err
		}, "", []string{"DeletePodIdentityAssociation refused: not found"}},
		"changes nothing": {func(c identity.Caller) error {
			_, err := f.Update(t.Context(), c, association.UpdateInput{Cluster: home.Name, ID: a.ID})
			return err
		}, "", []string{"PassRole granted " + role, "UpdatePodIdentityAssociation refused: invalid request"}},
		"may not delete": {func(c identity.Caller) error { _, err := f.Delete(t.Context(), c, home.Name, a.ID); return err },
			"eks:DeletePodIdentityAssociation", []string{"DeletePodIdentityAssociation refused: access denied"}},
		"may not revoke": {func(c identity.Caller) error { _, err := f.Revoke(t.Context(), c, home.Name, a.ID); return err },
			"eks:UpdatePodIdentityAssociation", []string{"RevokePodIdentityAssociation refused: access denied"}},
		"may not tag": {func(c identity.Caller) error { return f.Tag(t.Context(), c, a.ARN(), map[string]string{"k": "v"}) },
			"eks:TagResource", []string{"TagResource refused: access denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(&caller{account: account, refuse: []string{c.deny}}); err == nil {
				t.Error("not refused")
			}
			wantEvents(t, &f.log, c.want...)
		})
	}
}

// TestWhatBreaksTheRulesIsNotRecorded: it may hold anything.
func TestWhatBreaksTheRulesIsNotRecorded(t *testing.T) {
	f := newFixture(t)
	in := input()
	in.Cluster, in.Policy = home.Name, strings.Repeat("x", 100_000)
	if _, err := f.Create(t.Context(), f.admin, in); err == nil {
		t.Fatal("accepted")
	}
	in.Policy, in.RoleARN = "", "eyJhbGciOiJSUzI1NiJ9.a-token"
	if _, err := f.Create(t.Context(), &caller{account: account, refuse: []string{"eks:CreatePodIdentityAssociation"}}, in); err == nil {
		t.Fatal("accepted")
	}
	in.Cluster, in.RoleARN = "no/cluster", role
	if _, err := f.Create(t.Context(), f.admin, in); err == nil {
		t.Fatal("accepted")
	}
	for _, e := range f.log.events {
		if e.Association != nil || e.ClusterName == in.Cluster {
			t.Errorf("recorded %+v", e)
		}
	}
}

func TestChangesThatCannotBeAudited(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	second := input()
	second.ServiceAccount = "second"
	f.log.full = true
	for name, do := range map[string]func() error{
		"create": func() error { _, err := f.Create(t.Context(), f.admin, second); return err },
		"update": func() error {
			_, err := f.Update(t.Context(), f.admin, association.UpdateInput{Cluster: home.Name, ID: a.ID, RoleARN: new(other)})
			return err
		},
		"tag":   func() error { return f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"k": "v"}) },
		"untag": func() error { return f.Untag(t.Context(), f.admin, a.ARN(), []string{"k"}) },
	} {
		if err := do(); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("%s: %v, want it not made", name, err)
		}
	}
	found, _, err := f.List(t.Context(), f.admin, association.ListInput{Cluster: home.Name})
	if err != nil || len(found) != 1 || fmt.Sprint(found[0]) != fmt.Sprint(a) {
		t.Errorf("there is %v, %v; want what was there before", found, err)
	}
	if _, err := f.Create(t.Context(), &caller{account: account, refuse: []string{"iam:PassRole"}}, second); identity.KindOf(err) != identity.Unavailable {
		t.Errorf("a refusal that is not audited is answered: %v", err)
	}
	f.log.full, f.log.calls, f.log.failAt = false, 0, 2 // the verdict is kept, and the change is not
	if _, err := f.Create(t.Context(), f.admin, second); identity.KindOf(err) != identity.Unavailable {
		t.Errorf("create: %v", err)
	}
}

// TestTakingAwayWaitsForNoAudit: a full disk keeps no credentials alive.
func TestTakingAwayWaitsForNoAudit(t *testing.T) {
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var text bytes.Buffer
	log := &trail{}
	s, err := association.New(association.Config{
		Store: store, Roles: &roles{}, Clusters: []association.Cluster{{Cluster: home}},
		Audit: association.Auditor{Sink: log, Logger: slog.New(slog.NewJSONHandler(&text, nil))},
	})
	if err != nil {
		t.Fatal(err)
	}
	admin := &caller{account: account}
	a, err := s.Create(t.Context(), admin, input())
	if err != nil {
		t.Fatal(err)
	}
	log.full = true
	if _, err := s.Revoke(t.Context(), admin, home.Name, a.ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, err := s.Delete(t.Context(), admin, home.Name, a.ID); err != nil {
		t.Errorf("delete: %v", err)
	}
	for _, name := range []string{audit.RevokePodIdentityAssociation, audit.DeletePodIdentityAssociation} {
		if !strings.Contains(text.String(), `"eventName":"`+name+`"`) {
			t.Errorf("the log does not hold the event %s:\n%s", name, &text)
		}
	}
}

// TestAuditOutlivesItsCaller: whoever hangs up leaves an event all the same.
func TestAuditOutlivesItsCaller(t *testing.T) {
	f := newFixture(t)
	ctx, hangUp := context.WithCancel(audit.WithOrigin(t.Context(), audit.Origin{EventSource: audit.SourceConsole, RequestID: "r", SourceIPAddress: "10.0.0.9"}))
	f.admin.during = func(identity.Access) { hangUp() }
	f.Create(ctx, f.admin, input())
	if len(f.log.events) < 2 {
		t.Fatalf("audited %v", f.log.told())
	}
	if e := f.log.events[1]; e.EventSource != audit.SourceConsole || e.RequestID != "r" || e.SourceIPAddress != "10.0.0.9" {
		t.Errorf("audited %+v", e)
	}
}

// TestJudgedTwiceIsOneVerdict: the association moved in between.
func TestJudgedTwiceIsOneVerdict(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	if _, err := f.Update(t.Context(), f.revokedWhileJudged(t, a.ID), association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)}); err != nil {
		t.Fatal(err)
	}
	if e := f.log.events[1]; e.Before.RevokedAt == nil {
		t.Errorf("audited the change of what was there before: %+v", e.Before)
	}
	wantEvents(t, &f.log, "PassRole granted "+role, "UpdatePodIdentityAssociation admitted")
}
