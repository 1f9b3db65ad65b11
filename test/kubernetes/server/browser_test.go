package server

import (
	"testing"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/test/clients"
)

// looksAround lets alice see what the form and the deletion ask for. The role
// admin would; but there is no controller manager here that puts its rules together.
const looksAround = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: shop, name: looks-around}
rules: [{apiGroups: [""], resources: [pods, serviceaccounts], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: shop, name: looks-around}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looks-around}
subjects: [{kind: ServiceAccount, namespace: people, name: alice}]
`

// TestConsoleInBrowser: in the page, too, everybody sees and does what RBAC lets
// them; and what a refusal on it says, applied as it is, ends the refusal.
func TestConsoleInBrowser(t *testing.T) {
	t.Parallel()
	browser := clients.NewBrowser(t)
	w := start(t, 0)
	changing := w.replica("--console-listen", "127.0.0.1:0")
	reading := w.replica("--console-listen", "127.0.0.1:0", "--console-read-only")
	w.Namespace(t, "people")
	w.Namespace(t, "bank")
	tokens := map[string]string{}
	for _, user := range []string{"alice", "bob"} {
		w.ServiceAccount(t, "people", user)
		tokens[user] = w.Token(t, "people", user, "")
	}
	w.ServiceAccount(t, "shop", "by-console")
	w.Apply(t, people+"---"+looksAround)
	w.associate("app")
	hidden := w.associate("vault", func(a *v1alpha1.PodIdentityAssociation) { a.Namespace = "bank" })
	browser.Run(t, clients.Scenarios{
		File: "cluster.mjs",
		Asked: map[string]any{
			"urls": map[string]string{"cluster": "https://" + changing.console, "readOnly": "https://" + reading.console}, "tokens": tokens,
			"hidden": kube.ID(hidden.UID), "role": roleARN, "target": targetARN,
		},
		Do: func(t *testing.T, what, with string) {
			if what != "apply" {
				t.Errorf("nobody knows how to do %q", what)
			}
			w.Apply(t, with)
		},
	})
}
