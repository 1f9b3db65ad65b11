package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/eksauth"
)

// people are users of the console: alice edits what is in the namespace shop, bob
// may view it, carol audits it, and root may do everything.
const people = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: shop, name: alice}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-association-editor}
subjects: [{kind: ServiceAccount, namespace: people, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: shop, name: bob}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-association-viewer}
subjects: [{kind: ServiceAccount, namespace: people, name: bob}, {kind: ServiceAccount, namespace: people, name: carol}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: shop, name: carol}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-audit-viewer}
subjects: [{kind: ServiceAccount, namespace: people, name: carol}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: root}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, namespace: people, name: root}]
`

// alicePasses gives alice the two roles.
const alicePasses = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: alice-passes}
rules: [{apiGroups: [podid.dev], resources: [iamroles], resourceNames: ["` + roleARN + `", "` + targetARN + `"], verbs: [pass]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: alice-passes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: alice-passes}
subjects: [{kind: ServiceAccount, namespace: people, name: alice}]
`

// visitor is somebody at the console of a replica.
type visitor struct {
	t     *testing.T
	at    string
	token string
	said  *strings.Builder // all that was answered
}

func (w *world) visitor(user string, r *replica, said *strings.Builder) visitor {
	w.t.Helper()
	return visitor{w.t, r.console, w.Token(w.t, "people", user, ""), said}
}

// call asks, and returns the status.
func (v visitor) call(method, path string, body, into any) int {
	v.t.Helper()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			v.t.Fatal(err)
		}
	}
	q, err := http.NewRequestWithContext(v.t.Context(), method, "https://"+v.at+console.Prefix+path, &text)
	if err != nil {
		v.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set(console.ChangeHeader, "1")
	if v.token != "" {
		q.Header.Set("Authorization", "Bearer "+v.token)
	}
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	a, err := browser.Do(q)
	if err != nil {
		v.t.Fatal(err)
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.said.Write(answer)
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			v.t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, answer)
		}
	}
	return a.StatusCode
}

// refused asks for what has to be refused, and returns why it was.
func (v visitor) refused(status int, method, path string, body any) string {
	v.t.Helper()
	var e console.ErrorReply
	if got := v.call(method, path, body, &e); got != status {
		v.t.Errorf("%s %s: %d %+v, want %d", method, path, got, e, status)
	}
	return e.Error.Message
}

func (v visitor) list(query string) console.AssociationPage {
	v.t.Helper()
	var page console.AssociationPage
	if status := v.call("GET", "/associations"+query, nil, &page); status != http.StatusOK {
		v.t.Fatalf("list: %d", status)
	}
	return page
}

// TestConsole: everybody sees and does through the console what RBAC lets them, as
// with kubectl, and nothing else.
func TestConsole(t *testing.T) {
	t.Parallel()
	w := start(t, 0)
	first := w.replica("--console-listen", "127.0.0.1:0")
	second := w.replica("--console-listen", "127.0.0.1:0", "--console-replicas", first.apis)
	w.Namespace(t, "people")
	w.Namespace(t, "bank")
	for _, user := range []string{"alice", "bob", "carol", "root", "nobody"} {
		w.ServiceAccount(t, "people", user)
	}
	w.ServiceAccount(t, "bank", "vault")
	w.Apply(t, people)
	w.associate("app")
	w.associate("vault", func(a *v1alpha1.PodIdentityAssociation) { a.Namespace = "bank" })
	said := new(strings.Builder)
	alice, bob, carol, root, nobody := w.visitor("alice", second, said), w.visitor("bob", second, said), w.visitor("carol", second, said), w.visitor("root", second, said), w.visitor("nobody", second, said)
	eventually(t, "both associations, tried: the trust is of the namespace shop", func() error {
		return isTrue(root.list("?state=working").Total == 1 && root.list("?state=failing").Total == 1)
	})

	t.Run("who shows no token of the cluster", func(t *testing.T) {
		for name, token := range map[string]string{"none": "", "nonsense": "abc", "an agent's": w.agentToken("node-1")} {
			stranger := visitor{t, second.console, token, said}
			if why := stranger.refused(http.StatusUnauthorized, "GET", "/associations", nil); why == "" {
				t.Errorf("%s: no reason", name)
			}
			stranger.refused(http.StatusUnauthorized, "POST", "/associations", input("by-stranger"))
		}
	})
	t.Run("who sees what", func(t *testing.T) {
		for _, c := range []struct {
			who  visitor
			want int
		}{{alice, 1}, {bob, 1}, {carol, 1}, {root, 2}, {nobody, 0}} {
			if page := c.who.list(""); page.Total != c.want {
				t.Errorf("%d associations, want %d", page.Total, c.want)
			}
		}
		hidden := root.list("?namespace=bank").Items[0].ID
		for _, path := range []string{"", "/explanation", "/policies", "/pods", "/deletion", "/events"} {
			alice.refused(http.StatusNotFound, "GET", "/associations/"+hidden+path, nil)
		}
		alice.refused(http.StatusNotFound, "DELETE", "/associations/"+hidden, nil)
		for _, path := range []string{"/facets?field=namespace", "/map", "/namespaces", "/serviceaccounts", "/roles", "/session"} {
			var text json.RawMessage
			if status := alice.call("GET", path, nil, &text); status != http.StatusOK || strings.Contains(string(text), "bank") {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
		for _, who := range []visitor{alice, bob, nobody} {
			who.refused(http.StatusForbidden, "GET", "/activity", nil)
			who.refused(http.StatusForbidden, "GET", "/activity/counts", nil)
			who.refused(http.StatusForbidden, "GET", "/health", nil)
		}
		if s := session(bob); s.May.Create || s.May.Update || s.May.Delete || s.May.Activity || s.AllNamespaces || len(s.Namespaces) != 1 {
			t.Errorf("bob may %+v in %v", s.May, s.Namespaces)
		}
		if s := session(alice); !s.May.Create || !s.May.Delete || s.User != "system:serviceaccount:people:alice" {
			t.Errorf("alice is %s, and may %+v", s.User, s.May)
		}
	})
	t.Run("who changes what", func(t *testing.T) {
		id := bob.list("").Items[0].ID
		edit := input("app")
		edit.Version, edit.TargetRoleARN = bob.list("").Items[0].Version, ""
		if why := bob.refused(http.StatusForbidden, "POST", "/associations", input("by-console")); !strings.Contains(why, "cannot create resource") {
			t.Errorf("bob is told %s", why)
		}
		bob.refused(http.StatusForbidden, "PUT", "/associations/"+id, edit)
		bob.refused(http.StatusForbidden, "DELETE", "/associations/"+id, nil)
		elsewhere := input("vault2")
		elsewhere.Namespace = "bank"
		alice.refused(http.StatusForbidden, "POST", "/associations", elsewhere)

		// PassRole: the same refusal as kubectl's, with what ends it.
		why := alice.refused(http.StatusForbidden, "POST", "/associations", input("by-console"))
		if !strings.Contains(why, "iam:PassRole on resource: "+roleARN+" or resource: "+targetARN) || !strings.Contains(why, "iamroles") {
			t.Errorf("alice is told %s", why)
		}
		var preview console.Preview
		if status := alice.call("POST", "/preview", console.PreviewInput{Association: input("by-console")}, &preview); status != http.StatusOK ||
			preview.Valid || len(preview.Problems) != 1 || preview.Problems[0].Code != "AccessDenied" || preview.Explanation.Report != nil {
			t.Errorf("preview %d %+v", status, preview)
		}
		alice.refused(http.StatusForbidden, "PUT", "/associations/"+id, edit)
		if err := w.objects.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "by-console"}, &v1alpha1.PodIdentityAssociation{}); !apierrors.IsNotFound(err) {
			t.Errorf("it was made all the same: %v", err)
		}
		w.Apply(t, alicePasses)
		eventually(t, "RBAC to let alice pass the roles", func() error {
			alice.call("POST", "/preview", console.PreviewInput{Association: input("by-console")}, &preview)
			return isTrue(preview.Valid)
		})
		var made, updated console.Association
		if status := alice.call("POST", "/associations", input("by-console"), &made); status != http.StatusCreated {
			t.Fatalf("create: %d", status)
		}
		o := &v1alpha1.PodIdentityAssociation{}
		if err := w.objects.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "by-console"}, o); err != nil {
			t.Fatal(err)
		}
		if alice.refused(http.StatusConflict, "POST", "/associations", input("by-console")) == "" {
			t.Error("no reason")
		}
		// Somebody else's change is not written over.
		if err := w.objects.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"tags":{"by":"kubectl"}}}`))); err != nil {
			t.Fatal(err)
		}
		again := input("by-console")
		again.Version, again.TargetRoleARN = made.Version, ""
		alice.refused(http.StatusConflict, "PUT", "/associations/"+made.ID, again)
		eventually(t, "the tag to be seen", func() error { return isTrue(alice.list("?tag=by=kubectl").Total == 1) })
		again.Version, again.Tags = alice.list("?tag=by=kubectl").Items[0].Version, map[string]string{"by": "console"}
		if status := alice.call("PUT", "/associations/"+made.ID, again, &updated); status != http.StatusOK || updated.TargetRoleARN != "" || updated.Tags["by"] != "console" {
			t.Fatalf("update: %d %+v", status, updated)
		}
		if status := alice.call("DELETE", "/associations/"+made.ID+"?version="+updated.Version, nil, nil); status != http.StatusOK {
			t.Errorf("delete: %d", status)
		}
		if page := alice.list("?serviceAccount=by-console"); page.Total != 0 {
			t.Errorf("it is still listed: %+v", page)
		}
		w.audited(t)
	})
	t.Run("what each replica has alone", func(t *testing.T) {
		token := w.podToken("web-1", "node-1")
		if _, err := w.agent("node-1", first).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, err := w.agent("node-2", second).AssumeRoleForPodIdentity(t.Context(), w.podToken("web-2", "node-2")); err != nil {
			t.Fatal(err)
		}
		of := func(who visitor, query string) console.ActivityPage {
			var page console.ActivityPage
			if status := who.call("GET", "/activity?event=AssumeRoleForPodIdentity"+query, nil, &page); status != http.StatusOK {
				t.Fatalf("activity: %d", status)
			}
			return page
		}
		page := of(carol, "&limit=1")
		if len(page.Items) != 1 || page.Items[0].Pod != "web-2" || page.Older == "" || len(page.Partial) > 0 {
			t.Fatalf("%+v", page)
		}
		if older := of(carol, "&limit=1&before="+page.Older); len(older.Items) != 1 || older.Items[0].Pod != "web-1" || older.Items[0].Source == page.Items[0].Source {
			t.Errorf("%+v", older)
		}
		if newer := of(carol, "&after="+page.Newer); len(newer.Items) != 0 {
			t.Errorf("%+v", newer)
		}
		var counts console.Counts
		if root.call("GET", "/activity/counts?from=10m", nil, &counts); counts.Granted != 2 {
			t.Errorf("%+v", counts)
		}
		listening, stop := context.WithCancel(t.Context())
		defer stop()
		agent := w.agent("node-1", first)
		go func() { _ = agent.Listen(listening, nil, func(eksauth.Change) {}) }() // until it is stopped
		eventually(t, "the agent to tell how it is", func() error {
			return agent.Tell(t.Context(), eksauth.AgentStatus{Version: "v1.2.3", Pods: 1, Hits: 7})
		})
		var health console.Health
		if status := root.call("GET", "/health", nil, &health); status != http.StatusOK || len(health.Replicas) != 2 || !health.NodesKnown || len(health.Agents) != 2 || len(health.Replicas[0].Certificates) != 1 {
			t.Fatalf("health %d %+v", status, health)
		}
		if a := health.Agents[0]; a.Node != "node-1" || !a.Listening || a.Stale || a.Version != "v1.2.3" || a.Cache == nil || a.Cache.Hits != 7 || a.Replica == health.Agents[1].Replica {
			t.Errorf("the agent of node-1: %+v", a)
		}
		if a := health.Agents[1]; a.Node != "node-2" || a.Listening || !a.Stale || health.Verdict != "warning" {
			t.Errorf("that of node-2, which has never been heard of: %+v, %s", a, health.Verdict)
		}
		var pods console.Pods
		if root.call("GET", "/associations/"+root.list("?namespace=shop").Items[0].ID+"/pods", nil, &pods); !pods.Known || pods.Total != 2 {
			t.Errorf("%+v", pods)
		}
		var events console.Events
		if status := root.call("GET", "/associations/"+root.list("?namespace=shop").Items[0].ID+"/events", nil, &events); status != http.StatusOK || !events.Known || len(events.Items) == 0 {
			t.Errorf("events %d %+v", status, events)
		}
		alicesPods := console.Pods{}
		if alice.call("GET", "/associations/"+alice.list("").Items[0].ID+"/pods", nil, &alicesPods); alicesPods.Reason == "" || alicesPods.Total != 0 {
			t.Errorf("alice may not list pods, and sees %+v", alicesPods)
		}
		first.kill()
		if page := of(carol, ""); len(page.Items) != 1 || len(page.Partial) != 1 {
			t.Errorf("with a replica away: %+v", page)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		third := w.replica("--console-listen", "127.0.0.1:0", "--console-read-only")
		root := w.visitor("root", third, said)
		if s := session(root); !s.ReadOnly || s.May.Create || s.May.Delete {
			t.Errorf("%+v", s)
		}
		if why := root.refused(http.StatusForbidden, "POST", "/associations", input("by-root")); !strings.Contains(why, "read-only") {
			t.Errorf("root is told %s", why)
		}
		id := root.list("?namespace=shop").Items[0].ID
		root.refused(http.StatusForbidden, "PUT", "/associations/"+id, input("app"))
		root.refused(http.StatusForbidden, "DELETE", "/associations/"+id, nil)
	})
	t.Run("no secret is told", func(t *testing.T) {
		all := said.String()
		for _, r := range w.replicas {
			all += r.text() + fmt.Sprint(r.events())
		}
		for name, secret := range map[string]string{"alice's token": alice.token, "root's token": root.token, "podid's AWS key": secretKey} {
			if strings.Contains(all, secret) {
				t.Errorf("%s is told", name)
			}
		}
	})
}

func input(serviceAccount string) console.AssociationInput {
	return console.AssociationInput{Namespace: "shop", ServiceAccount: serviceAccount, RoleARN: roleARN, TargetRoleARN: targetARN}
}

func session(v visitor) (s console.Session) {
	v.t.Helper()
	if status := v.call("GET", "/session", nil, &s); status != http.StatusOK {
		v.t.Errorf("session: %d", status)
	}
	return s
}

// audited: each change has an event of the console, and one of the webhook, which
// names the user and not podid.
func (w *world) audited(t *testing.T) {
	t.Helper()
	eventually(t, "the events", func() error {
		seen := map[string]int{}
		for _, r := range w.replicas {
			for _, e := range r.events() {
				if e.CallerUser == "system:serviceaccount:people:alice" {
					seen[fmt.Sprintf("%s %s %s", e.EventSource, e.Outcome, e.EventName)]++
				}
			}
		}
		for _, name := range []string{audit.CreatePodIdentityAssociation, audit.UpdatePodIdentityAssociation, audit.DeletePodIdentityAssociation} {
			// The API server asks a webhook again when the object has changed meanwhile.
			if seen[fmt.Sprintf("%s %s %s", audit.SourceConsole, audit.Admitted, name)] != 1 || seen[fmt.Sprintf("%s %s %s", audit.SourceKubernetes, audit.Admitted, name)] < 1 {
				return fmt.Errorf("seen %v", seen)
			}
		}
		if n := seen[audit.SourceConsole+" refused "+audit.CreatePodIdentityAssociation]; n != 3 {
			return fmt.Errorf("%d refusals", n)
		}
		return nil
	})
}

func isTrue(is bool) error {
	if !is {
		return errNotYet
	}
	return nil
}
