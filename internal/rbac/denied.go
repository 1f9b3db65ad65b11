package rbac

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/internal/identity"
)

// lack is the cause of a refusal: what user may not do for want of RBAC rules.
// All of it takes the same verb on the same resource in the same namespace.
type lack struct {
	user     string
	accesses []identity.Access
	needed   []permission // of each access
}

// Error is for logs, beside the refusal's own text.
func (*lack) Error() string { return "no RBAC rule" }

// Join returns one refusal of all that l and others lack, as association.Rules
// asks. What cannot be told together with l is left out.
func (l *lack) Join(others ...error) error {
	all := &lack{l.user, slices.Clone(l.accesses), slices.Clone(l.needed)}
	for _, err := range others {
		o, ok := errors.AsType[*lack](err)
		if !ok || o.user != l.user || o.accesses[0].Action != l.accesses[0].Action || o.needed[0].unnamed() != l.needed[0].unnamed() {
			continue
		}
		all.accesses, all.needed = append(all.accesses, o.accesses...), append(all.needed, o.needed...)
	}
	return all.denied()
}

// denied is AWS's text of a refusal
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html),
// and the objects that would end it.
func (l *lack) denied() error {
	var resources []string
	for _, access := range l.accesses {
		resources = append(resources, access.Resource)
	}
	needed := l.needed[0]
	refusal := identity.Errorf(identity.AccessDenied,
		"User: %s is not authorized to perform: %s on resource: %s because no RBAC rule allows the verb %s on %s.%s%s",
		l.user, l.accesses[0].Action, strings.Join(resources, " or resource: "), needed.verb, needed.resource, Group, l.where())
	text, err := l.missing()
	if err != nil {
		return refusal.Because(errors.Join(l, err))
	}
	refusal.Message += ". Whoever administers the cluster can allow it with kubectl apply:\n\n" + text
	return refusal.Because(l)
}

// names returns the names that rules would have to allow; nil: any will do.
func (l *lack) names() (names []string) {
	for _, p := range l.needed {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

func (l *lack) where() (text string) {
	if names := l.names(); len(names) > 0 {
		text = " named " + strings.Join(names, " or ")
	}
	p := l.needed[0]
	switch {
	case p.namespace != "":
		text += " in namespace " + p.namespace
	case p.resource == associations:
		text += " in all namespaces"
	default:
		text += " in the whole cluster"
	}
	return text
}

// unnamable is what the names made here leave out. RBAC's own names may have
// more in them (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#path-segment-names).
var unnamable = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// missing returns the role and the binding that give the user what is lacking, as
// YAML.
func (l *lack) missing() (string, error) {
	p := l.needed[0]
	roleKind, bindingKind := "ClusterRole", "ClusterRoleBinding"
	if p.namespace != "" {
		roleKind, bindingKind = "Role", "RoleBinding"
	}
	rule := rbacv1.PolicyRule{APIGroups: []string{Group}, Resources: []string{p.resource}, Verbs: []string{p.verb}}
	if p.namespace == "" { // in its namespace, whoever may touch one association may touch all
		rule.ResourceNames = l.names()
	}
	names := []string{"podid", p.verb, p.resource}
	if p.resource == iamRoles {
		names = names[:2]
		for _, arn := range l.names() {
			_, account, _ := strings.Cut(arn, "::")
			names = append(names, account)
		}
	}
	role := metav1.ObjectMeta{Name: unnamable.ReplaceAllString(strings.Join(names, "-"), "-"), Namespace: p.namespace}
	binding := metav1.ObjectMeta{Name: unnamable.ReplaceAllString(role.Name+"-"+l.user, "-"), Namespace: p.namespace}
	first, err := yaml.Marshal(rbacv1.ClusterRole{TypeMeta: typeMeta(roleKind), ObjectMeta: role, Rules: []rbacv1.PolicyRule{rule}})
	if err != nil {
		return "", err
	}
	second, err := yaml.Marshal(rbacv1.ClusterRoleBinding{
		TypeMeta: typeMeta(bindingKind), ObjectMeta: binding, Subjects: []rbacv1.Subject{subject(l.user)},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: roleKind, Name: role.Name},
	})
	return string(first) + "---\n" + string(second), err
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
}

// subject names a user as bindings do: service accounts by what they are
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects).
func subject(user string) rbacv1.Subject {
	account, isServiceAccount := strings.CutPrefix(user, "system:serviceaccount:")
	if namespace, name, found := strings.Cut(account, ":"); isServiceAccount && found {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	}
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}
}
