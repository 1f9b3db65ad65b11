package kube

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

// The store itself is tested against a real API server, in test/kubernetes.

var home = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		id := ID(types.UID(fmt.Sprintf("6f0c1a9e-0000-4000-8000-%012d", i)))
		if !regexp.MustCompile(`^a-[a-z0-9]{17}$`).MatchString(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	// Ids are in ARNs, in Terraform's state and in logs: they stay what they are.
	if got, want := ID("6f0c1a9e-0000-4000-8000-000000000000"), "a-vawt5dyxy3sxnoo5w"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestObjectsAndAssociations(t *testing.T) {
	created := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	entry := func(seconds int, subresource string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Subresource: subresource, Time: &metav1.Time{Time: created.Add(time.Duration(seconds) * time.Second)}}
	}
	a := identity.Association{
		Cluster: home, Namespace: "shop", ServiceAccount: "app.v1", RoleARN: "arn:aws:iam::111122223333:role/App",
		TargetRoleARN: "arn:aws:iam::444455556666:role/Target", DisableSessionTags: true, Policy: `{"Statement":[]}`,
		Tags: map[string]string{"team": "a", "empty": ""}, RevokedAt: created.Add(time.Hour),
	}
	o := &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{
		Namespace: a.Namespace, Name: a.ServiceAccount, UID: "uid", CreationTimestamp: metav1.Time{Time: created},
		ManagedFields: []metav1.ManagedFieldsEntry{entry(0, ""), entry(30, ""), entry(10, ""), entry(900, "status"), {}},
	}}
	Put(o, a)
	got := Association(home, o)
	a.ID, a.CreatedAt, a.ModifiedAt = ID("uid"), created, created.Add(30*time.Second)
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", a) {
		t.Errorf("got  %+v\nwant %+v", got, a)
	}
	Put(o, identity.Association{RoleARN: a.RoleARN})
	if got := Association(home, o); got.TargetRoleARN != "" || got.Policy != "" || got.DisableSessionTags || got.Tags != nil || !got.RevokedAt.IsZero() {
		t.Errorf("something stayed: %+v", got)
	}
}

// TestRevocations: the time written is never before the one wanted, and each
// revocation gives another one.
func TestRevocations(t *testing.T) {
	noon := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ before, wanted, want time.Time }{
		"never":                   {},
		"taken back":              {before: noon},
		"whole":                   {wanted: noon, want: noon},
		"rounded up":              {wanted: noon.Add(time.Millisecond), want: noon.Add(time.Second)},
		"unchanged":               {before: noon, wanted: noon, want: noon},
		"twice within the second": {before: noon.Add(time.Second), wanted: noon.Add(700 * time.Millisecond), want: noon.Add(2 * time.Second)},
		"thrice":                  {before: noon.Add(2 * time.Second), wanted: noon.Add(800 * time.Millisecond), want: noon.Add(3 * time.Second)},
		"later":                   {before: noon, wanted: noon.Add(time.Hour), want: noon.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			var before *metav1.Time
			if !c.before.IsZero() {
				before = &metav1.Time{Time: c.before}
			}
			got := Revocation(before, c.wanted)
			if (got == nil) != c.want.IsZero() || got != nil && !got.Time.Equal(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRequestsAreRemembered(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	once := func(n int) association.Once {
		return association.Once{Token: fmt.Sprint("token", n), Digest: fmt.Sprint("asked", n), At: now.Add(time.Duration(n) * time.Second)}
	}
	o := &v1alpha1.PodIdentityAssociation{}
	remember(o, association.Once{})
	if o.Annotations != nil {
		t.Error("a request without a token was remembered")
	}
	for n := range maxTokens + 10 {
		remember(o, once(n))
	}
	if size := len(o.Annotations[tokensAnnotation]); size > 4096 || strings.Contains(o.Annotations[tokensAnnotation], "token") {
		t.Errorf("%d bytes: %s", size, o.Annotations[tokensAnnotation])
	}
	for name, c := range map[string]struct {
		once  association.Once
		known bool
		kind  identity.Kind
	}{
		"the last":           {once: once(maxTokens + 9), known: true},
		"one long ago":       {once: once(5)},
		"new":                {once: once(1000)},
		"none":               {},
		"of another request": {once: association.Once{Token: "token40", Digest: "else", At: now}, known: true, kind: identity.InvalidParameter},
		"a day later":        {once: association.Once{Token: "token40", Digest: "else", At: now.Add(25 * time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			known, err := tokensOf(o).recall(c.once)
			if known != c.known || (err != nil) != (c.kind != 0) || err != nil && identity.KindOf(err) != c.kind {
				t.Errorf("known %t, %v", known, err)
			}
		})
	}
	remember(o, association.Once{Token: "x", At: now.Add(48 * time.Hour)})
	if n := len(tokensOf(o)); n != 1 {
		t.Errorf("%d are kept after two days", n)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBB.abc  x.y.z")
	f.Add(strings.Repeat("AAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBB.-1y2p0ij32e8e8 ", 60))
	f.Fuzz(func(t *testing.T, text string) {
		read := parseTokens(text)
		if len(read) > maxTokens {
			t.Fatalf("%d requests", len(read))
		}
		if again := parseTokens(read.String()); !slices.Equal(again, read) {
			t.Fatalf("%q became %q", read, again)
		}
	})
}
