package rbac

import (
	"regexp"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/internal/identity"
)

// denied is AWS's text of a refusal
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html),
// and the objects that would end it.
func denied(user string, access identity.Access, needed permission) error {
	refusal := identity.Errorf(identity.AccessDenied,
		"User: %s is not authorized to perform: %s on resource: %s because no RBAC rule allows the verb %s on %s.%s%s",
		user, access.Action, access.Resource, needed.verb, needed.resource, Group, where(needed))
	text, err := missing(user, needed)
	if err != nil {
		return refusal.Because(err)
	}
	refusal.Message += ". Whoever administers the cluster can allow it with kubectl apply:\n\n" + text
	return refusal
}

func where(p permission) (text string) {
	if p.name != "" {
		text = " named " + p.name
	}
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

// missing returns the role and the binding that give user the permission, as
// YAML.
func missing(user string, p permission) (string, error) {
	roleKind, bindingKind := "ClusterRole", "ClusterRoleBinding"
	if p.namespace != "" {
		roleKind, bindingKind = "Role", "RoleBinding"
	}
	rule := rbacv1.PolicyRule{APIGroups: []string{Group}, Resources: []string{p.resource}, Verbs: []string{p.verb}}
	names := []string{"podid", p.verb, p.resource}
	if p.namespace == "" && p.name != "" { // in its namespace, whoever may touch one association may touch all
		rule.ResourceNames = []string{p.name}
	}
	if p.resource == iamRoles {
		_, account, _ := strings.Cut(p.name, "::")
		names = []string{"podid", p.verb, account}
	}
	role := metav1.ObjectMeta{Name: unnamable.ReplaceAllString(strings.Join(names, "-"), "-"), Namespace: p.namespace}
	binding := metav1.ObjectMeta{Name: unnamable.ReplaceAllString(role.Name+"-"+user, "-"), Namespace: p.namespace}
	first, err := yaml.Marshal(rbacv1.ClusterRole{TypeMeta: typeMeta(roleKind), ObjectMeta: role, Rules: []rbacv1.PolicyRule{rule}})
	if err != nil {
		return "", err
	}
	second, err := yaml.Marshal(rbacv1.ClusterRoleBinding{
		TypeMeta: typeMeta(bindingKind), ObjectMeta: binding, Subjects: []rbacv1.Subject{subject(user)},
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
