package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/deploy"
)

// rights asks the API server whether whoever installs may. Whoever gives rights
// has to have them, or the verb escalate
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping).
func (k *checker) rights(ctx context.Context) {
	const what = "your rights"
	all, err := objects(deploy.Manifests())
	if err != nil {
		k.say(what, Unknown, err.Error(), "")
		return
	}
	asked, lacking := map[authorizationv1.ResourceAttributes]bool{}, map[string][]string{} // verbs by what they are for
	ask := func(a authorizationv1.ResourceAttributes) error {
		if asked[a] {
			return nil
		}
		asked[a] = true
		review, err := k.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &a},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			lacking[a.Resource+in(a.Namespace)] = append(lacking[a.Resource+in(a.Namespace)], a.Verb)
		}
		return err
	}
	for _, o := range all {
		gvk := o.GroupVersionKind()
		// The plural of a kind that is not defined yet can be guessed; ours are regular.
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		for _, verb := range []string{"create", "patch"} {
			if err := ask(authorizationv1.ResourceAttributes{Group: gvk.Group, Version: gvk.Version, Resource: plural.Resource, Namespace: o.GetNamespace(), Verb: verb}); err != nil {
				k.say(what, Unknown, err.Error(), "")
				return
			}
		}
	}
	for _, roles := range []string{"clusterroles", "roles"} {
		for _, verb := range []string{"escalate", "bind"} {
			if err := ask(authorizationv1.ResourceAttributes{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: roles, Verb: verb}); err != nil {
				k.say(what, Unknown, err.Error(), "")
				return
			}
		}
	}
	if len(lacking) > 0 {
		var all []string
		for _, on := range slices.Sorted(maps.Keys(lacking)) {
			all = append(all, strings.Join(lacking[on], " or ")+" "+on)
		}
		k.say(what, Failed, "you may not "+strings.Join(all, ", "), "have a cluster administrator install podid; once it runs, nobody needs these rights")
		return
	}
	k.say(what, OK, fmt.Sprintf("you may apply all %d objects", len(all)), "")
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in " + namespace
}
