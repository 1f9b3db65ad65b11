package association_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

func TestTags(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	f.now = f.now.Add(time.Hour)
	step := func(err error, want map[string]string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		tags, err := f.ListTags(t.Context(), f.admin, a.ARN())
		if err != nil || !maps.Equal(tags, want) {
			t.Errorf("tags %v, %v, want %v", tags, err, want)
		}
	}
	step(f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"a": "1", "b": "2"}), map[string]string{"a": "1", "b": "2"})
	step(f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"b": "3", "B": "4"}), map[string]string{"a": "1", "b": "3", "B": "4"})
	step(f.Untag(t.Context(), f.admin, a.ARN(), []string{"a", "never there"}), map[string]string{"b": "3", "B": "4"})
	if now, err := f.Describe(t.Context(), f.admin, home.Name, a.ID); err != nil || !now.ModifiedAt.Equal(a.ModifiedAt) {
		t.Errorf("modified at %v, %v: tags are no modification", now.ModifiedAt, err)
	}

	many := map[string]string{}
	for i := range 49 {
		many[fmt.Sprint("k", i)] = ""
	}
	err := f.Tag(t.Context(), f.admin, a.ARN(), many)
	wantKind(t, err, identity.InvalidParameter, "A resource has at most 50 tags")
	step(nil, map[string]string{"b": "3", "B": "4"})
}

func TestTagsRefuse(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	tags := map[string]string{"k": "v"}
	for name, c := range map[string]struct {
		err  error
		kind identity.Kind
	}{
		"no tags":            {f.Tag(t.Context(), f.admin, a.ARN(), nil), identity.InvalidParameter},
		"reserved key":       {f.Tag(t.Context(), f.admin, a.ARN(), map[string]string{"aws:k": "v"}), identity.InvalidParameter},
		"no keys":            {f.Untag(t.Context(), f.admin, a.ARN(), nil), identity.InvalidParameter},
		"reserved key again": {f.Untag(t.Context(), f.admin, a.ARN(), []string{"aws:k"}), identity.InvalidParameter},
		"51 keys":            {f.Untag(t.Context(), f.admin, a.ARN(), make([]string, 51)), identity.InvalidParameter},
		"the cluster":        {f.Tag(t.Context(), f.admin, home.ARN(), tags), identity.InvalidParameter},
	} {
		if identity.KindOf(c.err) != c.kind {
			t.Errorf("%s: %v, want %v", name, c.err, c.kind)
		}
	}
	if len(f.admin.asked) != 2 { // those of the creation
		t.Errorf("an invalid request was authorised: %v", f.admin.asked[2:])
	}
	for arn, kind := range map[string]identity.Kind{
		"":                       identity.InvalidParameter,
		"garbage":                identity.InvalidParameter,
		strings.Repeat("x", 3e3): identity.InvalidParameter,
		strings.Replace(a.ARN(), ":eks:", ":ec2:", 1):                                 identity.InvalidParameter,
		"arn:aws:eks:us-west-2:111122223333:nodegroup/example-cluster/ng":             identity.InvalidParameter,
		"arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster":   identity.InvalidParameter,
		"arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/":  identity.InvalidParameter,
		"arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/*": identity.NotFound,
		"arn:aws:eks:us-west-2:111122223333:podidentityassociation/second/" + a.ID:    identity.NotFound,
		"arn:aws:eks:us-west-2:111122223333:cluster/nope":                             identity.NotFound,
		strings.Replace(a.ARN(), "us-west-2", "us-east-1", 1):                         identity.NotFound,
		strings.Replace(a.ARN(), account, "444455556666", 1):                          identity.NotFound,
		strings.Replace(a.ARN(), "arn:aws:", "arn:aws-cn:", 1):                        identity.NotFound,
		a.ARN() + "/more": identity.NotFound,
	} {
		if err := f.Tag(t.Context(), f.admin, arn, tags); identity.KindOf(err) != kind {
			t.Errorf("%.200q: %v, want %v", arn, err, kind)
		}
	}
	if now, err := f.ListTags(t.Context(), f.admin, a.ARN()); err != nil || len(now) != 0 {
		t.Errorf("tags %v, %v", now, err)
	}
}

func TestPagesHoldEachAssociationOnce(t *testing.T) {
	f := newFixture(t)
	const made = 25
	for i := range made {
		in := input()
		in.ServiceAccount, in.Namespace = fmt.Sprint("sa-", i/5), fmt.Sprint("ns-", i%5)
		f.create(t, in)
	}
	for name, c := range map[string]struct {
		in   association.ListInput
		size int
		want int
	}{
		"all in one page":              {association.ListInput{}, 100, made},
		"all, page by page":            {association.ListInput{}, 4, made},
		"a last page that is full":     {association.ListInput{}, 5, made},
		"one at a time":                {association.ListInput{}, 1, made},
		"of a namespace":               {association.ListInput{Namespace: "ns-1"}, 2, 5},
		"of a service account":         {association.ListInput{ServiceAccount: "sa-1"}, 2, 5},
		"of both":                      {association.ListInput{Namespace: "ns-1", ServiceAccount: "sa-1"}, 2, 1},
		"of what is not there":         {association.ListInput{Namespace: "ns-9"}, 2, 0},
		"a filter is not a pattern":    {association.ListInput{Namespace: "ns-%"}, 2, 0},
		"a filter is not a wildcard":   {association.ListInput{Namespace: "*"}, 2, 0},
		"a filter is not an injection": {association.ListInput{Namespace: "x' OR '1'='1"}, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Cluster, c.in.Page.MaxResults = home.Name, &c.size
			seen := map[string]bool{}
			for pages := 0; ; pages++ {
				found, next, err := f.List(t.Context(), f.admin, c.in)
				if err != nil || len(found) > c.size || pages > made || next != "" && len(found) != c.size {
					t.Fatalf("page %d: %d associations, next %q, %v", pages, len(found), next, err)
				}
				for _, a := range found {
					if seen[a.ID] {
						t.Errorf("%s is in two pages", a.ID)
					}
					seen[a.ID] = true
				}
				if next == "" {
					break
				}
				c.in.Page.Token = next
			}
			if len(seen) != c.want {
				t.Errorf("%d associations, want %d", len(seen), c.want)
			}
		})
	}
}

func TestPageTokensBelongToTheirList(t *testing.T) {
	f := newFixture(t)
	for i := range 3 {
		in := input()
		in.ServiceAccount = fmt.Sprint("sa-", i)
		f.create(t, in)
	}
	_, token, err := f.List(t.Context(), f.admin, association.ListInput{Cluster: home.Name, Page: association.Page{MaxResults: new(1)}})
	if err != nil || token == "" {
		t.Fatalf("token %q, %v", token, err)
	}
	for name, in := range map[string]association.ListInput{
		"another cluster": {Cluster: "second", Page: association.Page{Token: token}},
		"another filter":  {Cluster: home.Name, Namespace: "default", Page: association.Page{Token: token}},
		"cut off":         {Cluster: home.Name, Page: association.Page{Token: token[:8]}},
		"garbage":         {Cluster: home.Name, Page: association.Page{Token: "%%%"}},
		"page of none":    {Cluster: home.Name, Page: association.Page{MaxResults: new(0)}},
		"page of 101":     {Cluster: home.Name, Page: association.Page{MaxResults: new(101)}},
		"page of -1":      {Cluster: home.Name, Page: association.Page{MaxResults: new(-1)}},
	} {
		_, _, err := f.List(t.Context(), f.admin, in)
		if identity.KindOf(err) != identity.InvalidParameter {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := f.ListClusters(t.Context(), f.admin, association.Page{Token: token}); identity.KindOf(err) != identity.InvalidParameter {
		t.Errorf("a token of associations lists clusters: %v", err)
	}
}

func TestClustersOfTheCallersAccount(t *testing.T) {
	f := newFixture(t)
	first, token, err := f.ListClusters(t.Context(), f.admin, association.Page{MaxResults: new(1)})
	if err != nil || fmt.Sprint(first) != "[example-cluster]" || token == "" {
		t.Fatalf("%v, token %q, %v", first, token, err)
	}
	rest, token, err := f.ListClusters(t.Context(), f.admin, association.Page{Token: token})
	if err != nil || fmt.Sprint(rest) != "[second]" || token != "" {
		t.Errorf("%v, token %q, %v", rest, token, err)
	}
	if _, err := f.DescribeCluster(t.Context(), f.admin, "foreign"); identity.KindOf(err) != identity.NotFound {
		t.Errorf("another account's cluster: %v", err)
	}
	c, err := f.DescribeCluster(t.Context(), f.admin, home.Name)
	if err != nil || c.Cluster != home || c.Tags["team"] != "blue" {
		t.Errorf("%+v, %v", c, err)
	}
}

// FuzzListToken: no token makes List fail otherwise than as invalid, or find
// what is not of the list.
func FuzzListToken(f *testing.F) {
	f.Add("")
	f.Add("x")
	f.Add("AAAAAAAAAAAAAAAAAAAAAGEtMDAwMDAwMDAwMDAwMDAwMDA")
	f.Add(strings.Repeat("_", 4096))
	fix := newFixture(f)
	f.Fuzz(func(t *testing.T, token string) {
		found, _, err := fix.List(t.Context(), fix.admin, association.ListInput{Cluster: home.Name, Page: association.Page{Token: token}})
		if len(found) != 0 || err != nil && identity.KindOf(err) != identity.InvalidParameter {
			t.Errorf("%v, %v", found, err)
		}
	})
}

// FuzzResourceARN: no ARN reaches an association but its own.
func FuzzResourceARN(f *testing.F) {
	f.Add("arn:aws:eks:us-west-2:111122223333:cluster/example-cluster")
	f.Add("arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-00000000000000000")
	f.Add("arn:aws:eks:us-west-2:111122223333:podidentityassociation//")
	f.Add("arn:aws:eks::::")
	fix := newFixture(f)
	f.Fuzz(func(t *testing.T, arn string) {
		err := fix.Untag(t.Context(), fix.admin, arn, []string{"k"})
		if kind := identity.KindOf(err); err == nil || kind != identity.InvalidParameter && kind != identity.NotFound {
			t.Errorf("%q: %v", arn, err)
		}
	})
}
