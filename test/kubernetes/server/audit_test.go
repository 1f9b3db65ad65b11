package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/clients"
)

// mayAudit lets the service account shop/auditor see the events of its namespace,
// and reach the server as kubectl podid does.
const mayAudit = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: auditor, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-audit-viewer}
subjects: [{kind: ServiceAccount, namespace: shop, name: auditor}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: auditor, namespace: podid-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: podid-forward}
subjects: [{kind: ServiceAccount, namespace: shop, name: auditor}]
`

// told writes the events of the replicas about a service account of the namespace
// shop as "SOURCE NAME OUTCOME", each with how often it came.
func (w *world) told(serviceAccount string) map[string]int {
	all := map[string]int{}
	filter := audit.Filter{Namespace: "shop", ServiceAccount: serviceAccount}
	for _, r := range w.replicas {
		for _, e := range r.events() {
			if filter.Match(&e) {
				source, _, _ := strings.Cut(e.EventSource, ".")
				name := fmt.Sprintf("%s %s %s", source, e.EventName, e.Outcome)
				if all[name]++; strings.HasPrefix(name, "kubernetes Delete") {
					all[name] = 1 // the API server asks again where a status was written meanwhile
				}
			}
		}
	}
	return all
}

func (w *world) wantTold(serviceAccount string, want map[string]int) {
	w.t.Helper()
	eventually(w.t, "the audit events about "+serviceAccount, func() error {
		if got := w.told(serviceAccount); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}

// TestChangesAreAuditedOnce, through whichever API: what the EKS API writes
// through Kubernetes', the webhook does not tell again.
func TestChangesAreAuditedOnce(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	a := w.associate("app")
	made := map[string]int{"kubernetes PassRole granted": 2, "kubernetes CreatePodIdentityAssociation admitted": 1}
	w.wantTold("app", made)
	trial := &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "trial"}, Spec: v1alpha1.PodIdentityAssociationSpec{RoleARN: roleARN}}
	if err := w.objects.Create(t.Context(), trial, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if err := w.objects.Patch(t.Context(), a, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))); err != nil {
		t.Fatal(err)
	}
	if err := w.objects.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	made["kubernetes DeletePodIdentityAssociation admitted"] = 1
	w.wantTold("app", made)
	w.wantTold("trial", map[string]int{})

	w.Apply(t, tenant+"---"+strings.ReplaceAll(mayPass, "jane", "alice"))
	api, keyID := w.eksAPI("alice")
	in := &eks.CreatePodIdentityAssociationInput{
		ClusterName: aws.String(clusterName), Namespace: aws.String("shop"), ServiceAccount: aws.String("second"), RoleArn: aws.String(roleARN), TargetRoleArn: aws.String(targetARN),
	}
	created, err := api.CreatePodIdentityAssociation(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.ClientRequestToken = aws.String("another request") // the client had put one in
	if _, err := api.CreatePodIdentityAssociation(t.Context(), in); err == nil {
		t.Error("made twice")
	}
	if _, err := api.DeletePodIdentityAssociation(t.Context(), &eks.DeletePodIdentityAssociationInput{ClusterName: in.ClusterName, AssociationId: created.Association.AssociationId}); err != nil {
		t.Fatal(err)
	}
	w.wantTold("second", map[string]int{
		"eks PassRole granted": 4, "eks CreatePodIdentityAssociation admitted": 2, "eks CreatePodIdentityAssociation refused": 1,
		"eks DeletePodIdentityAssociation admitted": 1,
	})
	for _, r := range w.replicas {
		for _, e := range r.events() {
			if e.EventSource == audit.SourceEKS && (e.CallerUser != "alice" || e.CallerAccessKeyID != keyID || e.SourceIPAddress != "127.0.0.1" || e.RequestID == "") {
				t.Errorf("audited %+v", e)
			}
		}
	}
}

// eksAPI is a client of the EKS API with an access key of a user.
func (w *world) eksAPI(user string) (api *eks.Client, keyID string) {
	w.t.Helper()
	values := map[string]string{}
	for _, v := range w.keyOf(user) {
		name, value, _ := strings.Cut(v, "=")
		values[name] = value
	}
	authority, err := os.Open(values["AWS_CA_BUNDLE"])
	if err != nil {
		w.t.Fatal(err)
	}
	defer authority.Close()
	c, err := config.LoadDefaultConfig(w.t.Context(), config.WithRegion(region), config.WithCustomCABundle(authority), config.WithCredentialsProvider(
		aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: values["AWS_ACCESS_KEY_ID"], SecretAccessKey: values["AWS_SECRET_ACCESS_KEY"]}, nil
		})))
	if err != nil {
		w.t.Fatal(err)
	}
	return eks.NewFromConfig(c, func(o *eks.Options) { o.BaseEndpoint = aws.String(values["AWS_ENDPOINT_URL_EKS"]) }), values["AWS_ACCESS_KEY_ID"]
}

// TestRefusalsShowInTheCluster: at the pod and at its association, for kubectl
// describe.
func TestRefusalsShowInTheCluster(t *testing.T) {
	t.Parallel()
	w := start(t, 1, "--verify-chains=false")
	closed := "arn:aws:iam::" + targetAccount + ":role/closed"
	w.associate("app", func(a *v1alpha1.PodIdentityAssociation) { a.Spec.TargetRoleARN = closed })
	token := w.podToken("web", "node-1")
	for range 3 {
		if _, err := w.agent("node-1", w.replicas[0]).AssumeRoleForPodIdentity(t.Context(), token); err == nil {
			t.Fatal("granted")
		}
	}
	for kind, name := range map[string]string{"Pod": "web", "PodIdentityAssociation": "app"} {
		eventually(t, "the Event at the "+kind, func() error {
			list, err := w.Client(t).EventsV1().Events("shop").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return err
			}
			n := 0
			for _, e := range list.Items {
				if e.Regarding.Kind == kind && e.Regarding.Name == name && e.Reason == "RoleRefused" && strings.Contains(e.Note, closed) && strings.Contains(e.Note, "kubectl podid explain -n shop -s app") {
					n++
				}
			}
			if n != 1 {
				return fmt.Errorf("%d of %d", n, len(list.Items))
			}
			return nil
		})
	}
}

// TestAuditOfACluster: kubectl podid audit asks all replicas, as whom RBAC allows.
func TestAuditOfACluster(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	w.associate("app")
	for i, r := range w.replicas {
		if _, err := w.agent("node-1", r).AssumeRoleForPodIdentity(t.Context(), w.podToken(fmt.Sprint("web-", i), "node-1")); err != nil {
			t.Fatal(err)
		}
	}
	w.ServiceAccount(t, "shop", "auditor")
	w.Apply(t, mayAudit)
	found := 0
	for _, r := range w.replicas {
		ask := func(token, query string) (reply audit.Reply, status int) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.apis+audit.Path+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
			answer, err := w.trusting().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if err := json.NewDecoder(answer.Body).Decode(&reply); err != nil {
				t.Fatal(err)
			}
			return reply, answer.StatusCode
		}
		token := w.Token(t, "shop", "auditor", "")
		reply, status := ask(token, "?namespace=shop&role=target&outcome=granted&eventName=AssumeRoleForPodIdentity")
		if status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		found += len(reply.Events)
		for query, want := range map[string]int{"": http.StatusForbidden, "?namespace=default": http.StatusForbidden, "?namespace=shop&nope=1": http.StatusBadRequest} {
			if _, status := ask(token, query); status != want {
				t.Errorf("%q: %d, want %d", query, status, want)
			}
		}
		if _, status := ask(w.Token(t, "shop", "app", ""), "?namespace=shop"); status != http.StatusForbidden {
			t.Errorf("whoever RBAC does not allow: %d", status)
		}
		if _, status := ask("nobody", "?namespace=shop"); status != http.StatusUnauthorized {
			t.Errorf("nobody: %d", status)
		}
	}
	if found != 2 {
		t.Errorf("%d events, want one of each replica", found)
	}
}

// TestPluginAudit: kubectl podid audit asks every replica, as the user that the
// kubeconfig proves, and says what could not be asked.
func TestPluginAudit(t *testing.T) {
	t.Parallel()
	w := pluginWorld(t)
	second := w.replica("--tls-name", "podid."+ownNamespace+".svc", "--access-key-namespace", keyNamespace)
	w.serverPod("podid-2", "node-1", second)
	w.ServiceAccount(t, "shop", "auditor")
	w.Apply(t, mayAudit)
	w.associate("app")
	for i, r := range w.replicas {
		if _, err := w.agent("node-1", r).AssumeRoleForPodIdentity(t.Context(), w.podToken(fmt.Sprint("web-", i), "node-1")); err != nil {
			t.Fatal(err)
		}
	}
	auditor := w.plugin(w.kubeconfigOf("shop", "auditor"))
	who := []string{"audit", "-n", "shop", "--role", "target", "--since", "today", "--event", audit.AssumeRoleForPodIdentity}
	auditor.says([]string{"shop/app (web-0)", "shop/app (web-1)"}, who...)
	auditor.refused("no RBAC rule allows the verb list on auditevents.podid.dev", "audit")
	w.plugin(w.Kubeconfig(t, "jane")).refused("the kubeconfig has no token", who...)
	root := w.plugin(w.Kubeconfig(t, "root", "system:masters"))
	_, keyID := w.eksAPI("root") // the user of that name alone is no master
	root.refused("no RBAC rule allows the verb list on auditevents.podid.dev", append(who, "--access-key-secret", keyNamespace+"/"+accesskey.SecretName(keyID))...)
	w.Apply(t, strings.NewReplacer("name: auditor, namespace: shop", "name: root, namespace: shop", "{kind: ServiceAccount, namespace: shop, name: auditor}", "{kind: User, name: root}").Replace(strings.Split(mayAudit, "---")[0]))
	root.says([]string{"web-0", "web-1"}, append(who, "--access-key-secret", keyNamespace+"/"+accesskey.SecretName(keyID))...)

	// One server by its address, without the right to forward ports.
	w.ServiceAccount(t, "shop", "onlooker")
	w.Apply(t, strings.ReplaceAll(strings.Split(mayAudit, "---")[0], "auditor", "onlooker"))
	onlooker := w.plugin(w.kubeconfigOf("shop", "onlooker"))
	onlooker.refused("forbidden", who...)
	at := append(who, "--server", "https://"+second.apis)
	if out := onlooker.run(at...); !strings.Contains(out, "web-1") || strings.Contains(out, "web-0") {
		t.Errorf("of the second replica:\n%s", out)
	}
	onlooker.refused("no RBAC rule allows the verb list on auditevents.podid.dev", "audit", "--server", "https://"+second.apis)
	onlooker.refused("asking podid at https://"+second.metrics+": ", "audit", "-n", "shop", "--server", "https://"+second.metrics)
	root.says([]string{"web-1"}, append(at, "--access-key-secret", keyNamespace+"/"+accesskey.SecretName(keyID))...)
	// And with no kubeconfig at all.
	holder := clients.NewShell(t, w.keyOf("root"))
	if out := holder.Run(w.podid, at...); !strings.Contains(out, "web-1") || strings.Contains(out, "web-0") {
		t.Errorf("of the second replica:\n%s", out)
	}
	holder.Refused("no RBAC rule allows the verb list on auditevents.podid.dev", w.podid, "audit", "--server", "https://"+second.apis)

	second.kill()
	out, err := auditor.call(who...)
	if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != 2 || !strings.Contains(out, "web-0") || !strings.Contains(out, "events may be missing: podid-2 could not be asked") {
		t.Errorf("%v\n%s", err, out)
	}
}

// trusting is a client that trusts the server's certificate.
func (w *world) trusting() *http.Client {
	w.t.Helper()
	text, err := os.ReadFile(w.authority())
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		w.t.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// TestSecretsStayWhereTheyAre: known secrets come by every path, and none is in
// anything that the server says.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	w := start(t, 1, "--verbose", "--audit-file", file, "--audit-stdout")
	r := w.replicas[0]
	w.associate("app")
	secrets := map[string]string{"the secret key of podid": secretKey}
	answers := map[string]string{}

	token := w.podToken("web", "node-1")
	secrets["a pod's token"] = token.Reveal()
	grant, err := w.agent("node-1", r).AssumeRoleForPodIdentity(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	secrets["a session's secret key"] = grant.Session.Credentials.SecretAccessKey.Reveal()
	secrets["a session token"] = grant.Session.Credentials.SessionToken.Reveal()
	secrets["an agent's token"] = w.agentToken("node-1")
	secrets["a broken token"] = token.Reveal()[:len(token)-6] + "AAAAAA"
	if _, err := w.agent("node-2", r).AssumeRoleForPodIdentity(t.Context(), token); err == nil {
		t.Error("granted to another node")
	}
	if _, err := w.agent("node-1", r).AssumeRoleForPodIdentity(t.Context(), identity.Secret(secrets["a broken token"])); err == nil {
		t.Error("granted by a broken token")
	}

	// What somebody puts where it does not belong.
	stray := w.Token(t, "shop", "app", "web", "stray")
	secrets["a stray token"] = stray
	for name, in := range map[string]struct{ method, path, body string }{
		"credentials":      {"POST", "/clusters/" + clusterName + "/assume-role-for-pod-identity", `{"token":"` + stray + `","more":"` + secretKey + `"}`},
		"no JSON":          {"POST", "/clusters/" + clusterName + "/assume-role-for-pod-identity", stray},
		"another cluster":  {"POST", "/clusters/x/assume-role-for-pod-identity", `{"token":"` + stray + `"}`},
		"an association":   {"POST", "/clusters/" + clusterName + "/pod-identity-associations", `{"namespace":"` + stray + `"}`},
		"audit events":     {"GET", audit.Path + "?namespace=shop", ""},
		"no such path":     {"GET", "/nothing", ""},
		"changes of a pod": {"POST", "/clusters/" + clusterName + "/changes", `{}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), in.method, "https://"+r.apis+in.path, strings.NewReader(in.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+stray)
		request.Header.Set("X-Amz-Security-Token", stray)
		request.Header.Set("Content-Type", "application/json")
		answer, err := w.trusting().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		answers[name] = string(text)
	}
	w.Apply(t, tenant)
	api, _ := w.eksAPI("alice")
	for _, in := range []*eks.CreatePodIdentityAssociationInput{
		{ClusterName: aws.String(clusterName), Namespace: aws.String(stray), ServiceAccount: aws.String("app"), RoleArn: aws.String(roleARN)},
		{ClusterName: aws.String(clusterName), Namespace: aws.String("shop"), ServiceAccount: aws.String("*" + stray), RoleArn: aws.String(roleARN)},
		{ClusterName: aws.String(clusterName), Namespace: aws.String("shop"), ServiceAccount: aws.String("app"), RoleArn: aws.String(stray)},
		{ClusterName: aws.String(clusterName), Namespace: aws.String("shop"), ServiceAccount: aws.String("app"), RoleArn: aws.String(roleARN), Policy: aws.String(stray)},
		{ClusterName: aws.String(clusterName), Namespace: aws.String("shop"), ServiceAccount: aws.String("app"), RoleArn: aws.String(roleARN), Tags: map[string]string{stray: stray}},
		{ClusterName: aws.String(stray), Namespace: aws.String("shop"), ServiceAccount: aws.String("app"), RoleArn: aws.String(roleARN)},
	} {
		if _, err := api.CreatePodIdentityAssociation(t.Context(), in); err == nil {
			t.Error("made")
		}
	}
	// Through the webhooks: annotations of what is admitted, and a field of what is not.
	bad := &v1alpha1.PodIdentityAssociation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bad", Annotations: map[string]string{"secret": stray, "key": secretKey}},
		Spec:       v1alpha1.PodIdentityAssociationSpec{RoleARN: targetARN, Policy: `{"` + stray + `":1}`},
	}
	if err := w.objects.Create(t.Context(), bad); err == nil {
		t.Error("made")
	}
	good := bad.DeepCopy()
	good.ResourceVersion, good.Name, good.Spec = "", "good", v1alpha1.PodIdentityAssociationSpec{RoleARN: roleARN}
	if err := w.objects.Create(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	before := good.DeepCopy()
	good.Spec.RevokedAt = &metav1.Time{Time: good.CreationTimestamp.Time}
	if err := w.objects.Patch(t.Context(), good, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}

	metrics, err := http.Get("http://" + r.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(metrics.Body)
	metrics.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	answers["metrics"] = string(text)
	told, err := w.Client(t).EventsV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	answers["Kubernetes Events"] = fmt.Sprint(told.Items)
	r.stop()
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	answers["the audit file"], answers["stdout"], answers["the log"] = string(kept), fmt.Sprintf("%+v", r.events()), r.text()
	if n := strings.Count(string(kept), "\n"); n < 12 || len(r.events()) != n {
		t.Errorf("%d lines in the file and %d on stdout: this test tried nothing", n, len(r.events()))
	}
	for what, secret := range secrets {
		if len(secret) < 20 {
			t.Fatalf("%s is no secret: %q", what, secret)
		}
		// A token's payload alone is not one; its signature is what makes it one.
		parts := []string{secret}
		if dot := strings.LastIndexByte(secret, '.'); dot >= 0 && len(secret)-dot > 20 {
			parts = append(parts, secret[dot+1:])
		}
		for where, text := range answers {
			if slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) }) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
	if v, err := audit.Verify([]string{file}); err != nil || v.Fault != nil {
		t.Errorf("%+v, %v", v.Fault, err)
	}
}
