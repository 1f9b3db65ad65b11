package association_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

const (
	account = "111122223333"
	role    = "arn:aws:iam::111122223333:role/path/app"
	other   = "arn:aws:iam::111122223333:role/other"
	target  = "arn:aws:iam::444455556666:role/target"
	narrow  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
)

var home = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: account}

// caller notes what it is asked for, and refuses the actions named.
type caller struct {
	account string
	refuse  []string
	asked   []identity.Access
	during  func(identity.Access) // what happens while it is being asked
}

func (c *caller) ARN() string       { return "arn:aws:iam::" + c.account + ":user/u" }
func (c *caller) AccountID() string { return c.account }
func (c *caller) Authorize(_ context.Context, access identity.Access) error {
	c.asked = append(c.asked, access)
	if c.during != nil {
		c.during(access)
	}
	if slices.Contains(c.refuse, access.Action) {
		return identity.Errorf(identity.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s", c.ARN(), access.Action, access.Resource)
	}
	return nil
}

// roles notes what it checks, and finds fault with the roles named.
type roles struct {
	bad     []string
	checked []identity.Association
}

func (r *roles) Check(_ context.Context, a identity.Association) error {
	r.checked = append(r.checked, a)
	if slices.Contains(r.bad, a.RoleARN) {
		return identity.Errorf(identity.InvalidParameter, "Role provided in the request does not exist")
	}
	return nil
}

type fixture struct {
	*association.Service
	admin *caller
	roles *roles
	now   time.Time
	told  []identity.Association // through Config.Changed
	gone  []bool                 // whether each of these was deleted
	log   trail
}

// trail is an audit sink that may be full.
type trail struct {
	events []*audit.Event
	full   bool
	calls  int
	failAt int // the call that fails; 0: none
}

func (l *trail) Write(ctx context.Context, e *audit.Event) error {
	if l.calls++; l.full || l.calls == l.failAt {
		return errors.New("disk full")
	}
	kept := *e
	l.events = append(l.events, &kept)
	return ctx.Err()
}

func newFixture(t testing.TB, rules ...association.Rules) *fixture {
	t.Helper()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f := &fixture{admin: &caller{account: account}, roles: &roles{}, now: time.Date(2026, 3, 1, 12, 0, 0, 987654321, time.UTC)}
	f.Service, err = association.New(association.Config{
		Changed: func(a identity.Association, deleted bool) {
			f.told, f.gone = append(f.told, a), append(f.gone, deleted)
		},
		Audit: association.Auditor{Sink: &f.log},
		Store: store, Roles: f.roles, Now: func() time.Time { return f.now }, Rules: append(rules, association.Rules{})[0],
		Clusters: []association.Cluster{
			{Cluster: home, Tags: map[string]string{"team": "blue"}},
			{Cluster: identity.Cluster{Name: "second", Region: "us-west-2", AccountID: account}},
			{Cluster: identity.Cluster{Name: "foreign", Region: "us-west-2", AccountID: "444455556666"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func input() association.CreateInput {
	return association.CreateInput{Cluster: home.Name, Namespace: "default", ServiceAccount: "app", RoleARN: role}
}

func (f *fixture) create(t *testing.T, in association.CreateInput) identity.Association {
	t.Helper()
	a, err := f.Create(t.Context(), f.admin, in)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantKind fails unless err is of the kind and its text begins as AWS's does.
func wantKind(t *testing.T, err error, kind identity.Kind, begins string) {
	t.Helper()
	if err == nil || identity.KindOf(err) != kind || !strings.HasPrefix(identity.SafeMessage(err), begins) {
		t.Errorf("got %v (%v), want %v: %q...", err, identity.KindOf(err), kind, begins)
	}
}

func TestNewRefuses(t *testing.T) {
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	twice := []association.Cluster{{Cluster: home}, {Cluster: identity.Cluster{Name: home.Name, Region: "eu-west-1", AccountID: account}}}
	for name, c := range map[string]association.Config{
		"no store":                {Roles: &roles{}},
		"no role check":           {Store: store},
		"two clusters, one name":  {Store: store, Roles: &roles{}, Clusters: twice},
		"a cluster with no name":  {Store: store, Roles: &roles{}, Clusters: []association.Cluster{{}}},
		"a cluster with no place": {Store: store, Roles: &roles{}, Clusters: []association.Cluster{{Cluster: identity.Cluster{Name: "c", AccountID: account}}}},
	} {
		if _, err := association.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCreateSetsWhatAWSSets(t *testing.T) {
	f := newFixture(t)
	in := input()
	in.TargetRoleARN, in.DisableSessionTags, in.Policy, in.Tags = target, true, narrow, map[string]string{"k": "v"}
	a := f.create(t, in)
	if got, want := a.ExternalID(), "us-west-2/111122223333/example-cluster/default/app"; got != want {
		t.Errorf("external id %q, want %q", got, want)
	}
	if len(a.ID) != 19 || a.ARN() != "arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/"+a.ID {
		t.Errorf("id %q, ARN %q", a.ID, a.ARN())
	}
	if want := f.now.Truncate(time.Millisecond); !a.CreatedAt.Equal(want) || !a.ModifiedAt.Equal(want) {
		t.Errorf("created at %v, modified at %v, want %v", a.CreatedAt, a.ModifiedAt, want)
	}
	found, err := f.Lookup(t.Context(), home, "default", "app")
	if err != nil || found.ID != a.ID || found.Policy != narrow || found.TargetRoleARN != target || !found.DisableSessionTags {
		t.Errorf("looked up %+v, %v", found, err)
	}
	described, err := f.Describe(t.Context(), f.admin, home.Name, a.ID)
	if err != nil || fmt.Sprint(described) != fmt.Sprint(a) {
		t.Errorf("described %+v, %v\ncreated %+v", described, err, a)
	}
}

func TestLookupFindsOnlyTheServiceAccountAsked(t *testing.T) {
	f := newFixture(t)
	f.create(t, input())
	for name, c := range map[string]struct {
		cluster                   identity.Cluster
		namespace, serviceAccount string
	}{
		"another service account": {home, "default", "app2"},
		"another namespace":       {home, "kube-system", "app"},
		"another cluster":         {identity.Cluster{Name: "second", Region: "us-west-2", AccountID: account}, "default", "app"},
		"another account":         {identity.Cluster{Name: home.Name, Region: "us-west-2", AccountID: "444455556666"}, "default", "app"},
		"another region":          {identity.Cluster{Name: home.Name, Region: "us-east-1", AccountID: account}, "default", "app"},
		"no namespace":            {home, "", "app"},
		"no service account":      {home, "default", ""},
		"a pattern":               {home, "default", "%"},
	} {
		_, err := f.Lookup(t.Context(), c.cluster, c.namespace, c.serviceAccount)
		if identity.KindOf(err) != identity.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCreateValidates names, for each rule, the failure and AWS's text where known.
func TestCreateValidates(t *testing.T) {
	f := newFixture(t)
	f.roles.bad = []string{other}
	long := strings.Repeat("x", 64)
	manyTags := map[string]string{}
	for i := range 51 {
		manyTags[fmt.Sprint("k", i)] = ""
	}
	for name, c := range map[string]struct {
		change func(*association.CreateInput)
		kind   identity.Kind
		text   string
	}{
		"unknown cluster":           {func(in *association.CreateInput) { in.Cluster = "nope" }, identity.NotFound, "No cluster found for name: nope."},
		"cluster of another":        {func(in *association.CreateInput) { in.Cluster = "foreign" }, identity.NotFound, "No cluster found for name: foreign."},
		"no namespace":              {func(in *association.CreateInput) { in.Namespace = "" }, identity.InvalidParameter, "namespace"},
		"namespace with a dot":      {func(in *association.CreateInput) { in.Namespace = "a.b" }, identity.InvalidParameter, "namespace"},
		"namespace too long":        {func(in *association.CreateInput) { in.Namespace = long }, identity.InvalidParameter, "namespace"},
		"namespace with a newline":  {func(in *association.CreateInput) { in.Namespace = "a\n" }, identity.InvalidParameter, "namespace"},
		"namespace glob":            {func(in *association.CreateInput) { in.Namespace = "team-*" }, identity.InvalidParameter, `namespace "team-*" has a wildcard`},
		"service account glob":      {func(in *association.CreateInput) { in.ServiceAccount = "*" }, identity.InvalidParameter, `serviceAccount "*" has a wildcard`},
		"service account upper":     {func(in *association.CreateInput) { in.ServiceAccount = "App" }, identity.InvalidParameter, "serviceAccount"},
		"service account slash":     {func(in *association.CreateInput) { in.ServiceAccount = "a/b" }, identity.InvalidParameter, "serviceAccount"},
		"service account too long":  {func(in *association.CreateInput) { in.ServiceAccount = strings.Repeat("x", 254) }, identity.InvalidParameter, "serviceAccount"},
		"service account two dots":  {func(in *association.CreateInput) { in.ServiceAccount = "a..b" }, identity.InvalidParameter, "serviceAccount"},
		"no role":                   {func(in *association.CreateInput) { in.RoleARN = "" }, identity.InvalidParameter, "Cross-account pass role is not allowed"},
		"role of another account":   {func(in *association.CreateInput) { in.RoleARN = target }, identity.InvalidParameter, "Cross-account pass role is not allowed"},
		"a user for a role":         {func(in *association.CreateInput) { in.RoleARN = "arn:aws:iam::111122223333:user/u" }, identity.InvalidParameter, "roleArn"},
		"role of another partition": {func(in *association.CreateInput) { in.RoleARN = "arn:aws-cn:iam::111122223333:role/app" }, identity.InvalidParameter, "roleArn"},
		"role not there":            {func(in *association.CreateInput) { in.RoleARN = other }, identity.InvalidParameter, "Role provided in the request does not exist"},
		"target no role":            {func(in *association.CreateInput) { in.TargetRoleARN = "target" }, identity.InvalidParameter, "targetRoleArn"},
		"target of a partition":     {func(in *association.CreateInput) { in.TargetRoleARN = "arn:aws-us-gov:iam::444455556666:role/t" }, identity.InvalidParameter, "targetRoleArn"},
		"policy without the flag":   {func(in *association.CreateInput) { in.Policy = narrow }, identity.InvalidParameter, "PackedPolicyTooLarge"},
		"policy too long": {func(in *association.CreateInput) {
			in.Policy, in.DisableSessionTags = narrow+strings.Repeat(" ", 2048), true
		}, identity.InvalidParameter, "policy has 2"},
		"policy no JSON": {func(in *association.CreateInput) { in.Policy, in.DisableSessionTags = "{", true }, identity.InvalidParameter, "policy is not valid"},
		"policy with a principal": {func(in *association.CreateInput) {
			in.Policy, in.DisableSessionTags = strings.Replace(narrow, `"Effect"`, `"Principal":"*","Effect"`, 1), true
		}, identity.InvalidParameter, "policy is not valid"},
		"policy beyond latin 1": {func(in *association.CreateInput) {
			in.Policy, in.DisableSessionTags = strings.Replace(narrow, `"*"`, `"arn:aws:s3:::日"`, 1), true
		}, identity.InvalidParameter, "policy has characters"},
		"51 tags":          {func(in *association.CreateInput) { in.Tags = manyTags }, identity.InvalidParameter, "A resource has at most 50 tags"},
		"empty tag key":    {func(in *association.CreateInput) { in.Tags = map[string]string{"": "v"} }, identity.InvalidParameter, "Tag key"},
		"long tag key":     {func(in *association.CreateInput) { in.Tags = map[string]string{strings.Repeat("ä", 129): "v"} }, identity.InvalidParameter, "Tag key"},
		"long tag value":   {func(in *association.CreateInput) { in.Tags = map[string]string{"k": strings.Repeat("x", 257)} }, identity.InvalidParameter, "The value of tag"},
		"reserved key":     {func(in *association.CreateInput) { in.Tags = map[string]string{"AwS:k": "v"} }, identity.InvalidParameter, "Tag key"},
		"reserved value":   {func(in *association.CreateInput) { in.Tags = map[string]string{"k": "aws:v"} }, identity.InvalidParameter, "The value of tag"},
		"tag with a quote": {func(in *association.CreateInput) { in.Tags = map[string]string{`k"`: "v"} }, identity.InvalidParameter, "Tag key"},
		"long token":       {func(in *association.CreateInput) { in.RequestToken = strings.Repeat("t", 257) }, identity.InvalidParameter, "clientRequestToken"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input()
			c.change(&in)
			_, err := f.Create(t.Context(), f.admin, in)
			wantKind(t, err, c.kind, c.text)
		})
	}
	if _, err := f.Lookup(t.Context(), home, "default", "app"); identity.KindOf(err) != identity.NotFound {
		t.Errorf("something was stored: %v", err)
	}
	allowed := input()
	allowed.ServiceAccount, allowed.Tags = "a.b-c.d0", map[string]string{strings.Repeat("ä", 128): strings.Repeat("ö", 256), "a b+-=._:/@": ""}
	f.create(t, allowed)
}

// access prints an access in one line, to compare.
func access(a identity.Access) string {
	line := a.Action + " on " + a.Resource
	for _, k := range slices.Sorted(maps.Keys(a.Context)) {
		line += fmt.Sprintf(" %s=%s", k, strings.Join(a.Context[k], ","))
	}
	if a.Namespace != "" || a.ServiceAccount != "" {
		line += " of " + a.Namespace + "/" + a.ServiceAccount
	}
	return line
}

// TestEveryOperationAsksForItsPermission holds the action, the resource and the
// condition keys of each, and that a refusal of any of them is final.
func TestEveryOperationAsksForItsPermission(t *testing.T) {
	clusterARN := home.ARN()
	for name, c := range map[string]struct {
		do   func(f *fixture, c *caller, a identity.Association) error
		asks []string // $ID stands for any association's id
	}{
		"create": {func(f *fixture, c *caller, _ identity.Association) error {
			in := input()
			in.ServiceAccount, in.Tags = "new", map[string]string{"k": "v", "a": "b"}
			_, err := f.Create(t.Context(), c, in)
			return err
		}, []string{
			"eks:CreatePodIdentityAssociation on " + clusterARN + " aws:RequestTag/a=b aws:RequestTag/k=v aws:ResourceTag/team=blue aws:TagKeys=a,k of default/new",
			"eks:TagResource on $ARN aws:RequestTag/a=b aws:RequestTag/k=v aws:TagKeys=a,k of default/new",
			"iam:PassRole on " + role + " iam:AssociatedResourceArn=$ARN iam:PassedToService=pods.eks.amazonaws.com of default/new",
		}},
		"describe": {func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.Describe(t.Context(), c, home.Name, a.ID)
			return err
		}, []string{"eks:DescribePodIdentityAssociation on $ARN aws:ResourceTag/stage=prod of default/app"}},
		"list": {func(f *fixture, c *caller, _ identity.Association) error {
			_, _, err := f.List(t.Context(), c, association.ListInput{Cluster: home.Name, Namespace: "default"})
			return err
		}, []string{"eks:ListPodIdentityAssociations on " + clusterARN + " aws:ResourceTag/team=blue of default/"}},
		"update": {func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.Update(t.Context(), c, association.UpdateInput{Cluster: home.Name, ID: a.ID, RoleARN: new(other)})
			return err
		}, []string{
			"eks:UpdatePodIdentityAssociation on $ARN aws:ResourceTag/stage=prod of default/app",
			"iam:PassRole on " + other + " iam:AssociatedResourceArn=$ARN iam:PassedToService=pods.eks.amazonaws.com of default/app",
		}},
		"update of the target alone": {func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.Update(t.Context(), c, association.UpdateInput{Cluster: home.Name, ID: a.ID, TargetRoleARN: new(target)})
			return err
		}, []string{
			"eks:UpdatePodIdentityAssociation on $ARN aws:ResourceTag/stage=prod of default/app",
			"iam:PassRole on " + role + " iam:AssociatedResourceArn=$ARN iam:PassedToService=pods.eks.amazonaws.com of default/app",
		}},
		"delete": {func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.Delete(t.Context(), c, home.Name, a.ID)
			return err
		}, []string{"eks:DeletePodIdentityAssociation on $ARN aws:ResourceTag/stage=prod of default/app"}},
		"tag": {func(f *fixture, c *caller, a identity.Association) error {
			return f.Tag(t.Context(), c, a.ARN(), map[string]string{"k": "v"})
		}, []string{"eks:TagResource on $ARN aws:RequestTag/k=v aws:ResourceTag/stage=prod aws:TagKeys=k of default/app"}},
		"untag": {func(f *fixture, c *caller, a identity.Association) error {
			return f.Untag(t.Context(), c, a.ARN(), []string{"stage", "k"})
		}, []string{"eks:UntagResource on $ARN aws:ResourceTag/stage=prod aws:TagKeys=stage,k of default/app"}},
		"list tags": {func(f *fixture, c *caller, a identity.Association) error {
			_, err := f.ListTags(t.Context(), c, a.ARN())
			return err
		}, []string{"eks:ListTagsForResource on $ARN aws:ResourceTag/stage=prod of default/app"}},
		"list tags of the cluster": {func(f *fixture, c *caller, _ identity.Association) error {
			_, err := f.ListTags(t.Context(), c, clusterARN)
			return err
		}, []string{"eks:ListTagsForResource on " + clusterARN + " aws:ResourceTag/team=blue"}},
		"describe the cluster": {func(f *fixture, c *caller, _ identity.Association) error {
			_, err := f.DescribeCluster(t.Context(), c, home.Name)
			return err
		}, []string{"eks:DescribeCluster on " + clusterARN + " aws:ResourceTag/team=blue"}},
		"list clusters": {func(f *fixture, c *caller, _ identity.Association) error {
			_, _, err := f.ListClusters(t.Context(), c, association.Page{})
			return err
		}, []string{"eks:ListClusters on *"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			in := input()
			in.Tags = map[string]string{"stage": "prod"}
			a := f.create(t, in)
			for i := range c.asks {
				refused := &caller{account: account, refuse: []string{strings.Fields(c.asks[i])[0]}}
				if err := c.do(f, refused, a); identity.KindOf(err) != identity.AccessDenied {
					t.Errorf("without %s: %v", refused.refuse[0], err)
				}
			}
			if now, err := f.Describe(t.Context(), f.admin, home.Name, a.ID); err != nil || fmt.Sprint(now) != fmt.Sprint(a) {
				t.Errorf("a refused request changed the association: %+v, %v", now, err)
			}
			granted := &caller{account: account}
			if err := c.do(f, granted, a); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, asked := range granted.asked {
				line := access(asked)
				if at := strings.Index(line, "arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-"); at >= 0 {
					arn := strings.Fields(line[at:])[0]
					line = strings.ReplaceAll(line, arn, "$ARN")
				}
				got = append(got, line)
			}
			if !slices.Equal(got, c.asks) {
				t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.asks, "\n"))
			}
		})
	}
}

// TestNobodyProbesForIDs: who may not describe learns nothing of what exists.
func TestNobodyProbesForIDs(t *testing.T) {
	f := newFixture(t)
	a := f.create(t, input())
	refused := &caller{account: account, refuse: []string{"eks:DescribePodIdentityAssociation"}}
	for _, id := range []string{a.ID, "a-00000000000000000"} {
		if _, err := f.Describe(t.Context(), refused, home.Name, id); identity.KindOf(err) != identity.AccessDenied {
			t.Errorf("%s: %v", id, err)
		}
	}
	foreigner := &caller{account: "444455556666"}
	_, err := f.Describe(t.Context(), foreigner, home.Name, a.ID)
	wantKind(t, err, identity.NotFound, "No cluster found for name: example-cluster.")
	if err := f.Tag(t.Context(), foreigner, a.ARN(), map[string]string{"k": "v"}); identity.KindOf(err) != identity.NotFound {
		t.Errorf("tagged from another account: %v", err)
	}
	if len(foreigner.asked) != 0 {
		t.Errorf("another account's policies were asked: %v", foreigner.asked)
	}
	for _, id := range []string{"", "*", "a-*", "a-0000000000000000", "a-0000000000000000/", "A-00000000000000000", "a-00000000000000000\n"} {
		if _, err := f.Describe(t.Context(), f.admin, home.Name, id); identity.KindOf(err) != identity.NotFound {
			t.Errorf("id %q: %v", id, err)
		}
	}
}
