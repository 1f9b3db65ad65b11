package association

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/admission"
	rules "github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/rbac"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// server is the user that podid's own server is, in these tests.
const server = "system:serviceaccount:podid:podid"

// judged starts the webhook, as podid's server with these rights, and waits
// until the API server asks it.
func judged(t *testing.T, c *cluster.Cluster) *rbac.Users {
	t.Helper()
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: podid-server}
rules:
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
- {apiGroups: [podid.dev], resources: [podidentityassociations], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [podid.dev], resources: [podidentityassociations/status], verbs: [patch]}
- {apiGroups: [eks.services.k8s.aws], resources: [podidentityassociations], verbs: [get, list, watch]}
- {apiGroups: [eks.services.k8s.aws], resources: [podidentityassociations/status], verbs: [patch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: podid-server}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-server}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "`+server+`"}]
`)
	k, err := kubernetes.NewForConfig(c.User(t, server))
	if err != nil {
		t.Fatal(err)
	}
	users, err := rbac.New(rbac.Config{Cluster: home, Reviews: k.AuthorizationV1().SubjectAccessReviews()})
	if err != nil {
		t.Fatal(err)
	}
	judge := admission.Judge{Cluster: home, Rules: rules.Rules{PassTargetRole: true}, Caller: users.Caller, Self: server}
	webhook, err := admission.New(admission.Config{Associations: nobody{}, Validate: judge.Validate})
	if err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewTLSServer(webhook.Handler())
	t.Cleanup(hook.Close)
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}))
	c.Apply(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: podid}
webhooks:
- name: associations.podid.dev
  admissionReviewVersions: [v1]
  clientConfig: {url: "%s/validate-associations", caBundle: %s}
  rules: [{apiGroups: [podid.dev, eks.services.k8s.aws], apiVersions: [v1alpha1], resources: [podidentityassociations], operations: [CREATE, UPDATE], scope: Namespaced}]
  failurePolicy: Fail
  matchPolicy: Equivalent
  sideEffects: None
  timeoutSeconds: 10
`, hook.URL, authority))
	foreign := object("default", "elsewhere", func(s *v1alpha1.PodIdentityAssociationSpec) { s.RoleARN = target })
	within(t, 20*time.Second, "the API server asks the webhook", func() error {
		err := as(t, c.Config).Create(t.Context(), foreign.DeepCopy(), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "Cross-account") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	return users
}

// nobody has no associations: pods are not asked about here.
type nobody struct{}

func (nobody) Known(string, string) (identity.Association, bool) {
	return identity.Association{}, false
}
func (nobody) Lookup(context.Context, string, string) (identity.Association, error) {
	return identity.Association{}, identity.Errorf(identity.NotFound, "none")
}

// TestPassRole: whoever may do everything in a namespace binds no role that
// nobody gave them, and the refusal says what is missing.
func TestPassRole(t *testing.T) {
	c := start(t, cluster.Newest)
	ns := c.Namespace(t, "shop")
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: everything, namespace: `+ns+`}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: everything, namespace: `+ns+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: everything}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
`)
	users := judged(t, c)
	admin, alice := as(t, c.Config), as(t, c.User(t, "alice"))
	may := func(k client.Client, o *v1alpha1.PodIdentityAssociation, text string) {
		t.Helper()
		within(t, 20*time.Second, "alice may read", func() error { // RBAC's own informers
			return k.List(t.Context(), &v1alpha1.PodIdentityAssociationList{}, client.InNamespace(ns))
		})
		err := k.Create(t.Context(), o, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Fatalf("got %v, want it to say %q", err, text)
		}
		// What the refusal holds, applied by who administers the cluster, ends it.
		_, fix, found := strings.Cut(err.Error(), "kubectl apply:\n\n")
		if !found || !strings.Contains(fix, "resourceNames") {
			t.Fatalf("no objects in %v", err)
		}
		c.Apply(t, fix)
	}
	o := object(ns, "app")
	may(alice, o, "no RBAC rule allows the verb pass on iamroles.podid.dev named "+role+" or "+target+" in the whole cluster")
	within(t, 20*time.Second, "alice creates it", func() error { return alice.Create(t.Context(), o.DeepCopy()) })

	patch := func(k client.Client, body string) error {
		target := association(ns, "app")
		return k.Patch(t.Context(), target, client.RawPatch(types.MergePatchType, []byte(body)))
	}
	for body, refused := range map[string]string{
		`{"spec":{"tags":{"team":"a"}}}`:                                        "",
		`{"metadata":{"labels":{"team":"a"}}}`:                                  "",
		`{"spec":{"revokedAt":"2026-11-25T12:00:00Z"}}`:                         "",
		`{"spec":{"targetRoleARN":"arn:aws:iam::444455556666:role/other"}}`:     "named arn:aws:iam::444455556666:role/other",
		`{"spec":{"roleARN":"arn:aws:iam::111122223333:role/admin"}}`:           "named arn:aws:iam::111122223333:role/admin",
		`{"spec":{"disableSessionTags":true,"policy":"{}"}}`:                    "policy is not valid",
		`{"spec":{"roleARN":"arn:aws:iam::444455556666:role/path/app"}}`:        "Cross-account pass role is not allowed",
		`{"spec":{"targetRoleARN":null}}`:                                       "",
		`{"spec":{"targetRoleARN":"arn:aws:iam::444455556666:role/target"}}`:    "",
		`{"spec":{"tags":{"AWS:reserved":"x"}}}`:                                "no aws: in front",
		`{"status":{"associationID":"not changed, as this is no status call"}}`: "",
	} {
		if err := patch(alice, body); (err == nil) != (refused == "") || err != nil && !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: %v, want %q", body, err, refused)
		}
	}
	if err := alice.Delete(t.Context(), o); err != nil {
		t.Errorf("deleting: %v", err)
	}
	// The EKS API refuses alike, and then writes as podid's server, which is not judged again.
	store := running(t, c.User(t, server))
	service, err := rules.New(rules.Config{
		Store: store, Roles: trusted{}, Rules: rules.Rules{PassTargetRole: true}, Clusters: []rules.Cluster{{Cluster: home}},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := rules.CreateInput{Cluster: home.Name, Namespace: ns, ServiceAccount: "by-api", RoleARN: "arn:aws:iam::111122223333:role/admin", TargetRoleARN: target}
	_, err = service.Create(t.Context(), users.Caller("alice", "", nil, nil), in)
	wantKind(t, err, identity.AccessDenied)
	in.RoleARN = role
	if _, err = service.Create(t.Context(), users.Caller("alice", "", nil, nil), in); err != nil {
		t.Error(err)
	}
	if err := admin.Create(t.Context(), object(ns, "by-admin")); err != nil {
		t.Errorf("the administrator may pass every role: %v", err)
	}
}

// trusted is every role's trust policy.
type trusted struct{}

func (trusted) Check(context.Context, identity.Association) error { return nil }

// TestNobodyJudges: while podid is away nobody makes associations, and objects
// of a namespace that goes can go.
func TestNobodyJudges(t *testing.T) {
	c := start(t, cluster.Newest)
	ns := c.Namespace(t, "shop")
	k := as(t, c.Config)
	create(t, k, object(ns, "before"))
	judged(t, c)
	hooks := c.Client(t).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	hook, err := hooks.Get(t.Context(), "podid", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "https://127.0.0.1:1/validate-associations"
	hook.Webhooks[0].ClientConfig.URL = &nowhere
	if _, err := hooks.Update(t.Context(), hook, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "nobody makes one", func() error {
		err := k.Create(t.Context(), object(ns, "meanwhile"), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "associations.podid.dev") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	if err := k.Delete(t.Context(), object(ns, "before")); err != nil {
		t.Error(err)
	}
}
