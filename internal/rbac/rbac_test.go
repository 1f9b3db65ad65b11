package rbac_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/rbac"
)

// Reviews by a real API server are tested in test/kubernetes; here is what it is asked.
type reviews func(spec authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error)

func (f reviews) Create(ctx context.Context, review *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error) {
	status, err := f(review.Spec)
	review.Status = status
	return review, errors.Join(err, ctx.Err())
}

var (
	home  = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}
	bound = identity.Association{ID: "a-12345678901234567", Cluster: home}
)

const role = "arn:aws:iam::111122223333:role/path/App+x"

func callerOf(t *testing.T, user string, r reviews) identity.Caller {
	t.Helper()
	users, err := rbac.New(rbac.Config{Reviews: r, Cluster: home})
	if err != nil {
		t.Fatal(err)
	}
	return users.Caller(user, "uid-1", []string{"team"}, map[string][]string{"scopes": {"a", "b"}})
}

func TestAccessIsAskedForAsKubectlsWouldBe(t *testing.T) {
	for name, c := range map[string]struct {
		access identity.Access
		want   string // verb resource namespace/name
	}{
		"create":              {identity.Access{Action: "eks:CreatePodIdentityAssociation", Resource: home.ARN(), Namespace: "shop", ServiceAccount: "app"}, "create podidentityassociations shop/"},
		"describe":            {identity.Access{Action: "eks:DescribePodIdentityAssociation", Resource: bound.ARN(), Namespace: "shop", ServiceAccount: "app"}, "get podidentityassociations shop/app"},
		"describe an unknown": {identity.Access{Action: "eks:DescribePodIdentityAssociation", Resource: bound.ARN()}, "get podidentityassociations /"},
		"update":              {identity.Access{Action: "eks:UpdatePodIdentityAssociation", Resource: bound.ARN(), Namespace: "shop", ServiceAccount: "app"}, "update podidentityassociations shop/app"},
		"delete":              {identity.Access{Action: "eks:DeletePodIdentityAssociation", Resource: bound.ARN(), Namespace: "shop", ServiceAccount: "app"}, "delete podidentityassociations shop/app"},
		"list all":            {identity.Access{Action: "eks:ListPodIdentityAssociations", Resource: home.ARN()}, "list podidentityassociations /"},
		"list a namespace":    {identity.Access{Action: "eks:ListPodIdentityAssociations", Resource: home.ARN(), Namespace: "shop"}, "list podidentityassociations shop/"},
		"list by name alone":  {identity.Access{Action: "eks:ListPodIdentityAssociations", Resource: home.ARN(), ServiceAccount: "app"}, "list podidentityassociations /"},
		"tag":                 {identity.Access{Action: "eks:TagResource", Resource: bound.ARN(), Namespace: "shop", ServiceAccount: "app"}, "update podidentityassociations shop/app"},
		"untag":               {identity.Access{Action: "eks:UntagResource", Resource: bound.ARN(), Namespace: "shop", ServiceAccount: "app"}, "update podidentityassociations shop/app"},
		"tags":                {identity.Access{Action: "eks:ListTagsForResource", Resource: bound.ARN(), Namespace: "shop", ServiceAccount: "app"}, "get podidentityassociations shop/app"},
		"tags of the cluster": {identity.Access{Action: "eks:ListTagsForResource", Resource: home.ARN()}, "get clusters /example-cluster"},
		"the cluster":         {identity.Access{Action: "eks:DescribeCluster", Resource: home.ARN()}, "get clusters /example-cluster"},
		"clusters":            {identity.Access{Action: "eks:ListClusters", Resource: "*"}, "list clusters /"},
		"the stock agent":     {identity.Access{Action: "eks-auth:AssumeRoleForPodIdentity", Resource: home.ARN()}, "assumerole clusters /example-cluster"},
		"audit events":        {identity.Access{Action: rbac.ListAuditEvents, Resource: home.ARN()}, "list auditevents /"},
		"of a namespace":      {identity.Access{Action: rbac.ListAuditEvents, Resource: home.ARN(), Namespace: "shop"}, "list auditevents shop/"},
		"pass":                {identity.Access{Action: "iam:PassRole", Resource: role, Namespace: "shop", ServiceAccount: "app"}, "pass iamroles /" + role},
	} {
		t.Run(name, func(t *testing.T) {
			var asked authorizationv1.SubjectAccessReviewSpec
			answer := authorizationv1.SubjectAccessReviewStatus{Allowed: true}
			caller := callerOf(t, "alice", func(spec authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
				asked = spec
				return answer, nil
			})
			if err := caller.Authorize(t.Context(), c.access); err != nil {
				t.Fatal(err)
			}
			a := asked.ResourceAttributes
			if got := a.Verb + " " + a.Resource + " " + a.Namespace + "/" + a.Name; got != c.want || a.Group != "podid.dev" {
				t.Errorf("asked for %s in group %s, want %s", got, a.Group, c.want)
			}
			if asked.User != "alice" || asked.UID != "uid-1" || !slices.Equal(asked.Groups, []string{"team"}) || !slices.Equal(asked.Extra["scopes"], []string{"a", "b"}) {
				t.Errorf("asked about %+v", asked)
			}
			for _, answer = range []authorizationv1.SubjectAccessReviewStatus{{}, {Denied: true}, {Allowed: true, Denied: true}} {
				err := caller.Authorize(t.Context(), c.access)
				if identity.KindOf(err) != identity.AccessDenied || !strings.HasPrefix(err.Error(), "User: alice is not authorized to perform: "+c.access.Action+" on resource: "+c.access.Resource+" because") {
					t.Errorf("the answer %+v became %v", answer, err)
				}
			}
		})
	}
}

// TestNothingElseIsAllowed: not asking is refusing.
func TestNothingElseIsAllowed(t *testing.T) {
	yes := func(authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
		return authorizationv1.SubjectAccessReviewStatus{Allowed: true}, nil
	}
	for name, c := range map[string]struct {
		user   string
		access identity.Access
	}{
		"unknown action":                    {"alice", identity.Access{Action: "eks:DeleteCluster", Resource: home.ARN()}},
		"no action":                         {"alice", identity.Access{Resource: home.ARN()}},
		"an association's action elsewhere": {"alice", identity.Access{Action: "eks:DeletePodIdentityAssociation", Resource: home.ARN()}},
		"a cluster's action elsewhere":      {"alice", identity.Access{Action: "eks-auth:AssumeRoleForPodIdentity", Resource: bound.ARN()}},
		"pass of no role":                   {"alice", identity.Access{Action: "iam:PassRole"}},
		"nobody":                            {"", identity.Access{Action: "eks:ListClusters", Resource: "*"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := callerOf(t, c.user, yes).Authorize(t.Context(), c.access); identity.KindOf(err) != identity.AccessDenied {
				t.Error(err)
			}
		})
	}
}

// TestRefusalHoldsTheMissingObjects: they parse, and say exactly what was asked.
func TestRefusalHoldsTheMissingObjects(t *testing.T) {
	no := func(authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
		return authorizationv1.SubjectAccessReviewStatus{}, nil
	}
	pass := identity.Access{Action: "iam:PassRole", Resource: role, Namespace: "shop"}
	create := identity.Access{Action: "eks:CreatePodIdentityAssociation", Resource: home.ARN(), Namespace: "shop", ServiceAccount: "app"}
	for name, c := range map[string]struct {
		user    string
		access  identity.Access
		kind    string
		role    string
		binding string
		subject rbacv1.Subject
		named   string // in the rule. Empty: the role
	}{
		"pass":              {"alice", pass, "ClusterRole", "podid-pass-111122223333-role-path-App-x", "podid-pass-111122223333-role-path-App-x-alice", rbacv1.Subject{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "alice"}, ""},
		"service account":   {"system:serviceaccount:flux:tenant", pass, "ClusterRole", "podid-pass-111122223333-role-path-App-x", "podid-pass-111122223333-role-path-App-x-system-serviceaccount-flux-tenant", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "flux", Name: "tenant"}, ""},
		"in a namespace":    {"alice@example.com", create, "Role", "podid-create-podidentityassociations", "podid-create-podidentityassociations-alice-example.com", rbacv1.Subject{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "alice@example.com"}, ""},
		"the cluster":       {"alice", identity.Access{Action: "eks-auth:AssumeRoleForPodIdentity", Resource: home.ARN()}, "ClusterRole", "podid-assumerole-clusters", "podid-assumerole-clusters-alice", rbacv1.Subject{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "alice"}, home.Name},
		"name full of YAML": {"a\": [x\n---\nb: '%/", pass, "ClusterRole", "podid-pass-111122223333-role-path-App-x", "podid-pass-111122223333-role-path-App-x-a-x-----b-", rbacv1.Subject{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "a\": [x\n---\nb: '%/"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := callerOf(t, c.user, no).Authorize(t.Context(), c.access)
			gotRole, gotBinding, text := objects(t, err)
			if gotRole.Kind != c.kind || gotRole.Name != c.role || gotBinding.Kind != c.kind+"Binding" || gotBinding.Name != c.binding ||
				gotBinding.RoleRef.Kind != c.kind || gotBinding.RoleRef.Name != c.role || gotBinding.Subjects[0] != c.subject {
				t.Errorf("got\n%s", text)
			}
			if named := []string{cmp.Or(c.named, role)}; c.kind == "ClusterRole" && !slices.Equal(gotRole.Rules[0].ResourceNames, named) {
				t.Errorf("the rule is for %q", gotRole.Rules[0].ResourceNames)
			}
			if (c.kind == "Role") != (gotRole.Namespace == "shop" && gotBinding.Namespace == "shop") {
				t.Errorf("namespaces %q, %q", gotRole.Namespace, gotBinding.Namespace)
			}
		})
	}
}

// objects returns those that a refusal holds, and their text.
func objects(t *testing.T, refusal error) (role rbacv1.ClusterRole, binding rbacv1.ClusterRoleBinding, text string) {
	t.Helper()
	_, text, found := strings.Cut(identity.SafeMessage(refusal), "kubectl apply:\n\n")
	first, second, split := strings.Cut(text, "\n---\napiVersion")
	if !found || !split {
		t.Fatalf("no two objects in %v", refusal)
	}
	if err := errors.Join(yaml.UnmarshalStrict([]byte(first), &role), yaml.UnmarshalStrict([]byte("apiVersion"+second), &binding)); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return role, binding, text
}

// TestOneRefusalOfBothRoles: it names both, and holds one role and one binding.
func TestOneRefusalOfBothRoles(t *testing.T) {
	const target = "arn:aws:iam::444455556666:role/target"
	a := identity.Association{Cluster: home, Namespace: "shop", ServiceAccount: "app", RoleARN: role, TargetRoleARN: target}
	var may []string
	alice := callerOf(t, "alice", func(spec authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
		return authorizationv1.SubjectAccessReviewStatus{Allowed: slices.Contains(may, spec.ResourceAttributes.Name)}, nil
	})
	ask := func() error {
		return association.Rules{PassTargetRole: true}.Admit(t.Context(), alice, nil, a)
	}
	err := ask()
	want := "User: alice is not authorized to perform: iam:PassRole on resource: " + role + " or resource: " + target +
		" because no RBAC rule allows the verb pass on iamroles.podid.dev named " + role + " or " + target + " in the whole cluster. Whoever"
	if identity.KindOf(err) != identity.AccessDenied || !strings.HasPrefix(identity.SafeMessage(err), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	gotRole, gotBinding, text := objects(t, err)
	if gotRole.Name != "podid-pass-111122223333-role-path-App-x-444455556666-role-target" || gotBinding.RoleRef.Name != gotRole.Name ||
		gotBinding.Name != gotRole.Name+"-alice" || len(gotRole.Rules) != 1 || !slices.Equal(gotRole.Rules[0].ResourceNames, []string{role, target}) {
		t.Errorf("got\n%s", text)
	}
	for _, missing := range []string{role, target} {
		may = slices.DeleteFunc([]string{role, target}, func(arn string) bool { return arn == missing })
		if gotRole, _, text := objects(t, ask()); !slices.Equal(gotRole.Rules[0].ResourceNames, []string{missing}) {
			t.Errorf("of %s alone:\n%s", missing, text)
		}
	}
	may = []string{role, target}
	if err := ask(); err != nil {
		t.Error(err)
	}
}

// TestNoAnswerIsNoPermission: a review that fails or hangs allows nothing.
func TestNoAnswerIsNoPermission(t *testing.T) {
	broken := callerOf(t, "alice", func(authorizationv1.SubjectAccessReviewSpec) (authorizationv1.SubjectAccessReviewStatus, error) {
		return authorizationv1.SubjectAccessReviewStatus{Allowed: true}, errors.New("secret detail")
	})
	err := broken.Authorize(t.Context(), identity.Access{Action: "iam:PassRole", Resource: role})
	if identity.KindOf(err) != identity.Unavailable || strings.Contains(identity.SafeMessage(err), "secret detail") {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		users, err := rbac.New(rbac.Config{Cluster: home, Reviews: hanging{}})
		if err != nil {
			t.Fatal(err)
		}
		err = users.Caller("alice", "", nil, nil).Authorize(t.Context(), identity.Access{Action: "iam:PassRole", Resource: role})
		if identity.KindOf(err) != identity.Unavailable {
			t.Error(err)
		}
	})
}

type hanging struct{}

func (hanging) Create(ctx context.Context, _ *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestCallersAreOfTheClustersAccount(t *testing.T) {
	c := callerOf(t, "alice", nil)
	if c.AccountID() != home.AccountID || c.ARN() != "arn:aws:eks:us-west-2:111122223333:user/example-cluster/alice" {
		t.Errorf("%s of %s", c.ARN(), c.AccountID())
	}
	if _, err := rbac.New(rbac.Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
