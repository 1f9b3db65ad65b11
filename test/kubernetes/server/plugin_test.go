package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/kubeconfig"
)

// plugin is kubectl podid as a user of the cluster runs it.
type plugin struct {
	t       *testing.T
	command string
	environ []string
}

func (w *world) plugin(file string, environ ...string) *plugin {
	w.t.Helper()
	command := filepath.Join(w.t.TempDir(), "kubectl-podid")
	if err := os.Symlink(w.podid, command); err != nil {
		w.t.Fatal(err)
	}
	environ = append(environ, "KUBECONFIG="+file, "PATH="+os.Getenv("PATH"), "HOME="+w.t.TempDir(), "AWS_EC2_METADATA_DISABLED=true")
	return &plugin{w.t, command, environ}
}

func (p *plugin) with(environ ...string) *plugin {
	return &plugin{p.t, p.command, append(append([]string(nil), p.environ...), environ...)}
}

// call runs it; what it says on standard error comes last.
func (p *plugin) call(args ...string) (string, error) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.command, args...)
	cmd.Env = p.environ
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	return string(out) + talk.String(), err
}

// run wants it to succeed.
func (p *plugin) run(args ...string) string {
	p.t.Helper()
	out, err := p.call(args...)
	if err != nil {
		p.t.Fatalf("kubectl podid %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// says wants it to succeed, and to say all of that.
func (p *plugin) says(wanted []string, args ...string) {
	p.t.Helper()
	out := p.run(args...)
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			p.t.Errorf("kubectl podid %s lacks %q:\n%s", strings.Join(args, " "), want, out)
		}
	}
}

// refused wants it to fail, and to say that.
func (p *plugin) refused(want string, args ...string) {
	p.t.Helper()
	out, err := p.call(args...)
	if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(out, want) {
		p.t.Errorf("kubectl podid %s: %v, want %q in\n%s", strings.Join(args, " "), err, want, out)
	}
}

// The rights that docs/kubectl.md gives a developer, here called jane.
const developer = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: jane-edits, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-association-editor}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: run-as-app, namespace: shop}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [app], verbs: [create]}
- {apiGroups: [""], resources: [pods], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: run-as-app, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: run-as-app}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: podid-forward, namespace: podid-system}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: podid-forward, namespace: podid-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: podid-forward}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
`

const mayPass = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: pass-shop}
rules:
- {apiGroups: [podid.dev], resources: [iamroles], resourceNames: ["` + roleARN + `", "` + targetARN + `"], verbs: [pass]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: pass-shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pass-shop}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
`

const mayAssumeRoles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: assume}
rules:
- {apiGroups: [podid.dev], resources: [clusters], resourceNames: [` + clusterName + `], verbs: [assumerole]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: assume}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: assume}
subjects: [{kind: User, name: jane-at-podid, apiGroup: rbac.authorization.k8s.io}]
`

// info is what the chart publishes for a cluster whose AWS is the small one.
const info = `
apiVersion: v1
kind: ConfigMap
metadata: {name: podid-info, namespace: podid-system}
data:
  clusterName: ` + clusterName + `
  region: ` + region + `
  accountID: "` + ownAccount + `"
  firstHop: service
  accessKeyNamespace: podid-access-keys
  authorityConfigMap: podid-agent/podid-ca
`

// pluginWorld is a world with one replica that ports can be forwarded to.
func pluginWorld(t *testing.T) *world {
	t.Helper()
	w := start(t, 1, "--tls-name", "podid."+ownNamespace+".svc", "--access-key-namespace", keyNamespace)
	w.Apply(t, info)
	w.Apply(t, developer)
	w.kubelet("node-1")
	w.serverPod("podid-1", "node-1", w.replicas[0])
	return w
}

// TestPluginAssociations: a developer's own rights, and no more, make, show,
// change, revoke and delete associations, printed as those of EKS are.
func TestPluginAssociations(t *testing.T) {
	w := pluginWorld(t)
	jane := w.plugin(w.Kubeconfig(t, "jane"))
	create := []string{"association", "create", "-n", "shop", "-s", "app", "--role-arn", roleARN, "--target-role-arn", targetARN}
	jane.refused("the verb pass on iamroles.podid.dev named "+roleARN+" or "+targetARN, create...)
	jane.refused("chosen by the name kubectl podid", create...)
	w.Apply(t, mayPass)
	external := region + "/" + ownAccount + "/" + clusterName + "/shop/app"
	jane.says([]string{"External ID", external, "shop/app", "Session tags"}, create...)
	jane.refused("has an association", create...)
	jane.says([]string{"shop", "app", "a-"}, "association", "list", "-n", "shop")
	jane.refused("forbidden", "association", "list")
	jane.says([]string{"shop", "app", roleARN, targetARN}, "association", "list", "-n", "shop", "--role", targetARN)
	if out := jane.run("association", "list", "-n", "shop", "--account", "999999999999"); strings.Contains(out, "app") {
		t.Errorf("associations that lead to another account:\n%s", out)
	}
	w.appPod(t, "web")
	jane.says([]string{"nothing is deleted", "service account now: 1.", "shop/web"}, "association", "delete", "-n", "shop", "-s", "app", "--dry-run")
	var made struct{ AssociationID, AssociationARN, ExternalID, RoleARN string }
	if err := json.Unmarshal([]byte(jane.run("association", "describe", "-n", "shop", "-s", "app", "-o", "json")), &made); err != nil {
		t.Fatal(err)
	}
	if made.RoleARN != roleARN || made.ExternalID != external || !strings.HasSuffix(made.AssociationARN, clusterName+"/"+made.AssociationID) {
		t.Errorf("%+v", made)
	}
	jane.refused("name the association by -n and -s", "association", "describe", made.AssociationID)
	admin := w.plugin(w.Kubeconfig(t, "root", "system:masters"))
	admin.says([]string{external}, "association", "describe", made.AssociationID)
	if out, err := admin.call("status"); !strings.Contains(out, "server") {
		t.Errorf("status: %v\n%s", err, out)
	}
	jane.says([]string{"off"}, "association", "update", "-n", "shop", "-s", "app", "--target-role-arn", "", "--disable-session-tags")
	if out := jane.run("association", "describe", "-n", "shop", "-s", "app"); strings.Contains(out, "External ID") {
		t.Errorf("the target role is still there:\n%s", out)
	}
	jane.refused("PackedPolicyTooLarge", "association", "update", "-n", "shop", "-s", "app", "--disable-session-tags=false", "--policy", `{"Statement":[]}`)
	jane.says([]string{"aws:TokenIssueTime", "revoked: credentials of shop/app"}, "revoke", "-n", "shop", "-s", "app")
	jane.says([]string{"a-"}, "association", "delete", "-n", "shop", "-s", "app")
	jane.refused("has no association", "association", "describe", "-n", "shop", "-s", "app")
	jane.refused("does not exist", "association", "list", "-n", "shop", "--context", "nowhere")
	jane.refused("is podid elsewhere?", "association", "list", "-n", "shop", "--podid-namespace", "shop")
}

// asProgram has this test's own program be the one that podid exec runs: it
// asks STS who it is, with AWS's own SDK and nothing set but what a pod has.
const asProgram = "TEST_AS_PROGRAM_WITH_STS_AT"

func whoAmI(endpoint string) int {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	out, err := sts.NewFromConfig(cfg, func(o *sts.Options) { o.BaseEndpoint = &endpoint }).GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(aws.ToString(out.Arn))
	return 3 // which podid passes on
}

// TestPluginExec: a local program is a pod of the cluster, for whoever may have
// tokens of its service account made and holds an access key, and for nobody else.
func TestPluginExec(t *testing.T) {
	w := pluginWorld(t)
	w.associate("app")
	jane, admin := w.plugin(w.Kubeconfig(t, "jane"), asProgram+"="+w.aws), w.plugin(w.Kubeconfig(t, "root", "system:masters"), asProgram+"="+w.aws)
	run := []string{"exec", "-n", "shop", "-s", "app", "--", os.Args[0]}

	jane.refused("no pod runs as service account shop/app", "token", "-n", "shop", "-s", "app")
	w.appPod(t, "web")
	w.Cluster.Pod(t, "shop", "other", "default", "node-1")
	jane.refused("forbidden", "token", "-n", "shop", "-s", "default", "--pod", "other")
	var token struct{ Token, PodName, NodeName string }
	if err := json.Unmarshal([]byte(jane.run("token", "-n", "shop", "-s", "app", "-o", "json")), &token); err != nil || token.PodName != "web" || token.NodeName != "node-1" {
		t.Errorf("%v: pod %s on %s", err, token.PodName, token.NodeName)
	}
	if _, err := w.agent("node-1", w.replicas...).AssumeRoleForPodIdentity(t.Context(), identity.Secret(token.Token)); err != nil {
		t.Errorf("the token: %v", err)
	}

	jane.refused("no podid access key", run...)
	jane.with("AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA", "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_SESSION_TOKEN=x").refused("AWS_SESSION_TOKEN is set", run...)
	jane.with("AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA", "AWS_SECRET_ACCESS_KEY="+secretKey).refused("UnrecognizedClientException", run...)
	jane.refused("forbidden", "access-key", "create", "--user", "jane", "--use", "eks-auth")
	var key map[string]string
	if err := json.Unmarshal([]byte(admin.run("access-key", "create", "--user", "jane-at-podid", "--use", "eks-auth", "-o", "json")), &key); err != nil {
		t.Fatal(err)
	}
	holder := jane.with("AWS_ACCESS_KEY_ID="+key["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY="+key["AWS_SECRET_ACCESS_KEY"])
	holder.refused("AccessDeniedException", run...)
	w.Apply(t, mayAssumeRoles)
	out, err := holder.call(run...)
	if e, failed := errors.AsType[*exec.ExitError](err); !failed || e.ExitCode() != 3 || !strings.Contains(out, ":"+targetAccount+":assumed-role/target/") {
		t.Errorf("%v\n%s", err, out)
	}
	secret := keyNamespace + "/access-key-" + strings.ToLower(key["AWS_ACCESS_KEY_ID"])
	withSecret := append([]string{"exec", "--access-key-secret", secret}, run[1:]...)
	jane.refused("forbidden", withSecret...)
	if out, err := admin.call(withSecret...); !strings.Contains(out, ":"+targetAccount+":assumed-role/target/") {
		t.Errorf("%v\n%s", err, out)
	}
	eventually(t, "an audit event tells whose access key it was", func() error {
		return isTrue(slices.ContainsFunc(w.replicas[0].events(), func(e audit.Event) bool {
			return strings.HasSuffix(e.CallerARN, "user/"+clusterName+"/jane-at-podid") && e.ErrorCode == ""
		}))
	})

	listing := admin.run("access-key", "list")
	if !strings.Contains(listing, key["AWS_ACCESS_KEY_ID"]) || !strings.Contains(listing, "jane-at-podid") || strings.Contains(listing, key["AWS_SECRET_ACCESS_KEY"]) {
		t.Errorf("the list of access keys:\n%s", listing)
	}
	admin.run("access-key", "delete", key["AWS_ACCESS_KEY_ID"])
	holder.refused("UnrecognizedClientException", run...)
}

// readerKey is the access key of the user who may read the IAM of an account.
func readerKey(account string) string { return "AKIAREADER" + account[:10] }

// profiles is an AWS CLI configuration with a profile for the other account.
func profiles(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", targetAccount, readerKey(targetAccount), secretKey)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestPluginExplains: the cluster tells its association and its pod, AWS the rest.
func TestPluginExplains(t *testing.T) {
	w := pluginWorld(t)
	w.appPod(t, "before")
	w.associate("app")
	w.appPod(t, "after")
	w.Apply(t, mayAssumeRoles)
	admin := w.plugin(w.Kubeconfig(t, "root", "system:masters"),
		"AWS_ENDPOINT_URL="+w.aws, "AWS_ACCESS_KEY_ID="+readerKey(ownAccount), "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_CONFIG_FILE="+profiles(t))
	var key map[string]string
	if err := json.Unmarshal([]byte(admin.run("access-key", "create", "--user", "jane-at-podid", "--use", "eks-auth", "-o", "json")), &key); err != nil {
		t.Fatal(err)
	}
	secret := keyNamespace + "/access-key-" + strings.ToLower(key["AWS_ACCESS_KEY_ID"])
	admin.says([]string{"pod after has the variables and the token", targetARN, "assumed-role/target/", "as predicted"},
		"explain", "-n", "shop", "-s", "app", "--pod", "after", "--live", "-", "--access-key-secret", secret)
	admin.refused("pod before lacks them in app", "explain", "-n", "shop", "-s", "app", "--pod", "before")
	admin.refused("kubectl podid association create -n shop -s default", "explain", "-n", "shop", "-s", "default")
	admin.says([]string{"arn:aws:eks:" + region + ":" + ownAccount + ":cluster/" + clusterName, "sts:TagSession"}, "policies", "-n", "shop", "-s", "app")
}

// TestPluginFindsAnotherReplica: the replica that the port led to is gone, and
// its pod with it.
func TestPluginFindsAnotherReplica(t *testing.T) {
	w := pluginWorld(t)
	w.associate("app")
	w.appPod(t, "web")
	k, err := kubeconfig.Open(kubeconfig.Config{File: w.Kubeconfig(t, "root", "system:masters"), PodidNamespace: ownNamespace})
	if err != nil {
		t.Fatal(err)
	}
	key, err := k.CreateKey(t.Context(), "root", nil, []string{"eks-auth"})
	if err != nil {
		t.Fatal(err)
	}
	w.Apply(t, strings.ReplaceAll(mayAssumeRoles, "jane-at-podid", "root"))
	keys := credentials.NewStaticCredentialsProvider(key.ID, key.Secret.Reveal(), "")
	token := identity.Secret(w.Token(t, "shop", "app", "web", identity.Audience))
	err = k.WithServer(t.Context(), keys, func(ctx context.Context, server *eksauth.Client) error {
		if _, err := server.AssumeRoleForPodIdentity(ctx, token); err != nil {
			return err
		}
		w.serverPod("podid-2", "node-1", w.replica("--tls-name", "podid."+ownNamespace+".svc", "--access-key-namespace", keyNamespace))
		now := int64(0)
		if err := w.Client(t).CoreV1().Pods(ownNamespace).Delete(ctx, "podid-1", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			return err
		}
		w.replicas[0].kill()
		eventually(t, "the other replica answers", func() error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			_, err := server.AssumeRoleForPodIdentity(ctx, token)
			return err
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
