package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

const (
	podRole    = "arn:aws:iam::111122223333:role/app"
	targetRole = "arn:aws:iam::444455556666:role/target"
	server     = "system:serviceaccount:podid:podid"
)

// passer is a user who may pass the roles named.
type passer struct {
	user  string
	roles []string
	err   error
}

func (p passer) ARN() string       { return "user/" + p.user }
func (p passer) AccountID() string { return "111122223333" }
func (p passer) Authorize(_ context.Context, access identity.Access) error {
	if p.err != nil || access.Action == "iam:PassRole" && slices.Contains(p.roles, access.Resource) {
		return p.err
	}
	return identity.Errorf(identity.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s", p.user, access.Action, access.Resource)
}

func raw(t testing.TB, edit func(*v1alpha1.PodIdentityAssociation)) runtime.RawExtension {
	t.Helper()
	o := &v1alpha1.PodIdentityAssociation{
		TypeMeta:   metav1.TypeMeta{APIVersion: "podid.dev/v1alpha1", Kind: "PodIdentityAssociation"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec:       v1alpha1.PodIdentityAssociationSpec{RoleARN: podRole, TargetRoleARN: targetRole},
	}
	if edit != nil {
		edit(o)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: text}
}

func TestAssociationsAreJudged(t *testing.T) {
	create := func(edit func(*v1alpha1.PodIdentityAssociation)) admissionv1.AdmissionRequest {
		return admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: raw(t, edit)}
	}
	update := func(before, edit func(*v1alpha1.PodIdentityAssociation)) admissionv1.AdmissionRequest {
		return admissionv1.AdmissionRequest{Operation: admissionv1.Update, OldObject: raw(t, before), Object: raw(t, edit)}
	}
	status := create(func(o *v1alpha1.PodIdentityAssociation) { o.Spec.RoleARN = "none" })
	status.SubResource = "status"
	invalid := func(o *v1alpha1.PodIdentityAssociation) { o.Spec.RoleARN = "from before the rules" }
	both := passer{"alice", []string{podRole, targetRole}, nil}
	for name, c := range map[string]struct {
		who    passer
		r      admissionv1.AdmissionRequest
		reason metav1.StatusReason // empty: allowed
		text   string
	}{
		"create":             {both, create(nil), "", ""},
		"pass nothing":       {passer{user: "alice"}, create(nil), metav1.StatusReasonForbidden, "iam:PassRole on resource: " + podRole},
		"pass the role":      {passer{"alice", []string{podRole}, nil}, create(nil), metav1.StatusReasonForbidden, "iam:PassRole on resource: " + targetRole},
		"cross account":      {both, create(func(o *v1alpha1.PodIdentityAssociation) { o.Spec.RoleARN = targetRole }), metav1.StatusReasonInvalid, "Cross-account pass role is not allowed"},
		"nobody answers":     {passer{err: identity.Errorf(identity.Unavailable, "cannot say")}, create(nil), metav1.StatusReasonServiceUnavailable, "cannot say"},
		"unforeseen":         {passer{err: fmt.Errorf("secret detail")}, create(nil), metav1.StatusReasonInternalError, "An internal error occurred."},
		"tags":               {passer{user: "alice"}, update(nil, func(o *v1alpha1.PodIdentityAssociation) { o.Spec.Tags = map[string]v1alpha1.TagValue{"k": "v"} }), "", ""},
		"bad tags":           {both, update(nil, func(o *v1alpha1.PodIdentityAssociation) { o.Spec.Tags = map[string]v1alpha1.TagValue{"Aws:k": "v"} }), metav1.StatusReasonInvalid, "Tag key"},
		"target is changed":  {passer{"alice", []string{podRole}, nil}, update(nil, func(o *v1alpha1.PodIdentityAssociation) { o.Spec.TargetRoleARN += "2" }), metav1.StatusReasonForbidden, targetRole + "2"},
		"target is removed":  {passer{"alice", []string{podRole}, nil}, update(nil, func(o *v1alpha1.PodIdentityAssociation) { o.Spec.TargetRoleARN = "" }), "", ""},
		"labels":             {passer{user: "alice"}, update(invalid, func(o *v1alpha1.PodIdentityAssociation) { invalid(o); o.Labels = map[string]string{"a": "b"} }), "", ""},
		"status":             {passer{user: "alice"}, status, "", ""},
		"delete":             {passer{user: "alice"}, admissionv1.AdmissionRequest{Operation: admissionv1.Delete, OldObject: raw(t, nil)}, "", ""},
		"podid's own server": {passer{user: server}, create(nil), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			j := admission.Judge{
				Cluster: identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"},
				Rules:   association.Rules{PassTargetRole: true}, Self: server,
				Caller: func(user, uid string, groups []string, extra map[string][]string) identity.Caller {
					if user != c.who.user || uid != "uid" || !slices.Equal(groups, []string{"team"}) || !slices.Equal(extra["scopes"], []string{"a"}) {
						t.Errorf("asked about %s %s %v %v", user, uid, groups, extra)
					}
					return c.who
				},
			}
			c.r.Namespace, c.r.Name = "shop", "app"
			c.r.UserInfo = authenticationv1.UserInfo{Username: c.who.user, UID: "uid", Groups: []string{"team"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"a"}}}
			got, err := j.Validate(t.Context(), &c.r)
			if err != nil {
				t.Fatal(err)
			}
			if got.Allowed != (c.reason == "") {
				t.Fatalf("got %+v", got)
			}
			if !got.Allowed && (got.Result.Reason != c.reason || !strings.Contains(got.Result.Message, c.text) || strings.Contains(got.Result.Message, "secret")) {
				t.Errorf("got %+v", got.Result)
			}
		})
	}
}

// TestWhatIsNoAssociationIsNotAllowed: nor is it a crash.
func TestWhatIsNoAssociationIsNotAllowed(t *testing.T) {
	j := admission.Judge{Caller: func(string, string, []string, map[string][]string) identity.Caller { return passer{} }}
	for _, text := range []string{"", "{", "[]", `{"spec":{"tags":[]}}`, `{"spec":{"revokedAt":"yesterday"}}`, "null", "{}"} {
		for _, op := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
			got, err := j.Validate(t.Context(), &admissionv1.AdmissionRequest{
				Operation: op, Object: runtime.RawExtension{Raw: []byte(text)}, OldObject: raw(t, nil),
			})
			if err == nil && got.Allowed {
				t.Errorf("%s of %q is allowed", op, text)
			}
		}
	}
}

// TestCreationsAreAnnounced: all that are about to be stored, and nothing else.
func TestCreationsAreAnnounced(t *testing.T) {
	yes := true
	create := func(edit func(*admissionv1.AdmissionRequest)) admissionv1.AdmissionRequest {
		r := admissionv1.AdmissionRequest{Operation: admissionv1.Create, Namespace: "shop", Object: raw(t, nil)}
		if edit != nil {
			edit(&r)
		}
		return r
	}
	may := passer{"alice", []string{podRole, targetRole}, nil}
	for name, c := range map[string]struct {
		who  passer
		r    admissionv1.AdmissionRequest
		away bool
		told string
		ok   bool
	}{
		"create":           {may, create(nil), false, "shop/app", true},
		"by podid":         {passer{user: server}, create(nil), false, "shop/app", true},
		"refused":          {passer{user: "alice"}, create(nil), false, "", false},
		"dry run":          {may, create(func(r *admissionv1.AdmissionRequest) { r.DryRun = &yes }), false, "", true},
		"dry run by podid": {passer{user: server}, create(func(r *admissionv1.AdmissionRequest) { r.DryRun = &yes }), false, "", true},
		"status":           {may, create(func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" }), false, "", true},
		"update": {may, create(func(r *admissionv1.AdmissionRequest) {
			r.Operation, r.OldObject = admissionv1.Update, raw(t, func(o *v1alpha1.PodIdentityAssociation) { o.Spec.TargetRoleARN = "" })
		}), false, "", true},
		"nobody can be told":          {may, create(nil), true, "shop/app", false},
		"nobody can be told by podid": {passer{user: server}, create(nil), true, "shop/app", false},
	} {
		t.Run(name, func(t *testing.T) {
			told := ""
			j := admission.Judge{
				Cluster: identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"},
				Rules:   association.Rules{PassTargetRole: true}, Self: server,
				Caller: func(string, string, []string, map[string][]string) identity.Caller { return c.who },
				Announce: func(_ context.Context, key string) error {
					told += key
					if c.away {
						return identity.Errorf(identity.Unavailable, "away")
					}
					return nil
				},
			}
			c.r.UserInfo = authenticationv1.UserInfo{Username: c.who.user}
			got, err := j.Validate(t.Context(), &c.r)
			if err != nil || got.Allowed != c.ok || told != c.told {
				t.Errorf("told of %q, answered %+v, %v", told, got, err)
			}
			if c.away && got.Result.Code != 503 {
				t.Errorf("answered %+v", got.Result)
			}
		})
	}
}
