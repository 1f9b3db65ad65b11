package server

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/test/clients"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// tenant makes alice, who administers the namespace shop and nothing else, an
// access key.
const tenant = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: shop, name: alice}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: shop, name: alice-associations}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-association-editor}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: alice-sees-the-cluster}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podid-cluster-viewer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
`

const object = `
apiVersion: podid.dev/v1alpha1
kind: PodIdentityAssociation
metadata: {namespace: shop, name: by-kubectl}
spec: {roleARN: "` + roleARN + `", targetRoleARN: "` + targetARN + `"}
`

// TestPassRole: who administers a namespace binds no role that nobody gave them,
// by whichever client; and the refusal holds the objects that end it.
func TestPassRole(t *testing.T) {
	t.Parallel()
	w := start(t, 2)
	w.Apply(t, tenant)
	kubectl := w.kubectl("alice")
	cli, terraform := w.awsCLI("alice"), w.terraform("alice")

	text := kubectl.fails("apply", "-f", "object.yaml")
	both := "User: alice is not authorized to perform: iam:PassRole on resource: " + roleARN + " or resource: " + targetARN + " because "
	if !strings.Contains(text, both) {
		t.Errorf("kubectl says: %s", text)
	}
	objects := remedy(t, text)
	cli.Refused(both, "aws", creation("by-cli")...)
	cli.Refused(objects, "aws", creation("by-cli")...)
	terraform.Refused("is not authorized to perform: iam:PassRole on resource: "+roleARN, "terraform", "apply", "-auto-approve", "-input=false", "-no-color")

	// Whoever administers the cluster applies what the refusal says, once.
	w.Apply(t, objects)
	kubectl.Run(kubectl.command, "apply", "-f", "object.yaml")
	cli.Run("aws", creation("by-cli")...)
	terraform.Run("terraform", "apply", "-auto-approve", "-input=false", "-no-color")

	list := &v1alpha1.PodIdentityAssociationList{}
	if err := w.objects.List(t.Context(), list, client.InNamespace("shop")); err != nil || len(list.Items) != 3 {
		t.Fatalf("%d associations, want that of each client: %v", len(list.Items), err)
	}
	kubectl.Run(kubectl.command, "wait", "--for=condition=Ready", "pia/by-kubectl", "pia/by-cli", "pia/by-terraform", "-n", "shop", "--timeout=30s")
	t.Logf("\n%s", kubectl.Run(kubectl.command, "get", "pia", "-n", "shop"))

	// Another namespace is not alice's, whatever the roles.
	w.Namespace(t, "bank")
	cli.Refused("AccessDenied", "aws", append(creation("app"), "--namespace", "bank")...)
	terraform.Run("terraform", "destroy", "-auto-approve", "-input=false", "-no-color")
}

// remedy cuts the objects out of a refusal.
func remedy(t *testing.T, text string) string {
	t.Helper()
	_, objects, found := strings.Cut(text, "kubectl apply:\n\n")
	if !found {
		t.Fatalf("the refusal has no objects: %s", text)
	}
	return objects
}

type kubectl struct {
	*clients.Shell
	t       *testing.T
	command string
}

// kubectl is the real one, of a user.
func (w *world) kubectl(user string) kubectl {
	w.t.Helper()
	file, err := cluster.Build(cluster.Newest, cluster.Kubectl)
	if err != nil {
		w.t.Fatal(err)
	}
	s := clients.NewShell(w.t, []string{"KUBECONFIG=" + w.Kubeconfig(w.t, user)})
	s.Write("object.yaml", object)
	return kubectl{s, w.t, file}
}

// fails runs kubectl, which has to fail, and returns what it says.
func (k kubectl) fails(args ...string) string {
	k.t.Helper()
	stdout, stderr, err := k.Try(k.command, args...)
	if err == nil {
		k.t.Fatalf("kubectl %s succeeded: %s", strings.Join(args, " "), stdout)
	}
	return stderr
}

// keyOf makes an access key of a user, and the environment of AWS clients with it.
func (w *world) keyOf(user string, uses ...string) []string {
	w.t.Helper()
	if len(uses) == 0 {
		uses = []string{accesskey.UseEKS}
	}
	key, err := accesskey.New(user, nil, uses)
	if err != nil {
		w.t.Fatal(err)
	}
	var secret client.Object = key.Object(keyNamespace)
	if err := w.objects.Create(w.t.Context(), secret.(*corev1.Secret)); err != nil {
		w.t.Fatal(err)
	}
	return []string{
		"AWS_ACCESS_KEY_ID=" + key.ID, "AWS_SECRET_ACCESS_KEY=" + key.Secret.Reveal(), "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_CA_BUNDLE=" + w.authority(), "AWS_ENDPOINT_URL_EKS=https://" + w.replicas[0].apis,
	}
}

func (w *world) awsCLI(user string) *clients.Shell {
	w.t.Helper()
	_, err := exec.LookPath("aws")
	clients.Require(w.t, "aws", err == nil, "no aws on the PATH")
	return clients.NewShell(w.t, w.keyOf(user))
}

func creation(serviceAccount string) []string {
	return []string{"eks", "create-pod-identity-association", "--cluster-name", clusterName, "--namespace", "shop", "--service-account", serviceAccount,
		"--role-arn", roleARN, "--target-role-arn", targetARN}
}

func (w *world) terraform(user string) *clients.Shell {
	w.t.Helper()
	return clients.Terraform(w.t, w.keyOf(user), fmt.Sprintf(`
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}
resource "aws_eks_pod_identity_association" "app" {
  cluster_name    = %q
  namespace       = "shop"
  service_account = "by-terraform"
  role_arn        = %q
}
`, clusterName, roleARN))
}
