package interop

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/podid/podid/test/clients"
)

func TestAWSCLI(t *testing.T) {
	_, err := exec.LookPath("aws")
	clients.Require(t, "aws", err == nil, "no aws on the PATH")
	info := start(t)
	s := clients.NewShell(t, info.Env())
	t.Log(s.Run("aws", "--version"))
	eks := func(args ...string) []string {
		return append([]string{"eks", "--output", "text", args[0], "--cluster-name", cluster}, args[1:]...)
	}
	create := eks("create-pod-identity-association", "--namespace", "default", "--service-account", "demo-app-sa",
		"--role-arn", roleARN, "--target-role-arn", targetARN, "--tags", "team=data", "--query", "association.[associationId,externalId,associationArn]")
	created := strings.Fields(s.Run("aws", create...))
	if len(created) != 3 || created[1] != external {
		t.Fatalf("created %q, want the external ID %s", created, external)
	}
	id, arn := created[0], created[2]

	t.Run("errors", func(t *testing.T) {
		s.Refused("ResourceInUseException", "aws", create...)
		s.Refused("ResourceNotFoundException", "aws", eks("describe-pod-identity-association", "--association-id", "a-00000000000000000")...)
		s.Refused("ResourceNotFoundException", "aws", "eks", "list-pod-identity-associations", "--cluster-name", "no-such-cluster")
		s.Refused("Cross-account pass role is not allowed", "aws", eks("create-pod-identity-association", "--namespace", "default",
			"--service-account", "other", "--role-arn", targetARN)...)
		s.Refused("Role provided in the request does not exist", "aws", eks("create-pod-identity-association", "--namespace", "default",
			"--service-account", "other", "--role-arn", "arn:aws:iam::111122223333:role/no-such-role")...)
		s.Refused("InvalidParameterException", "aws", eks("create-pod-identity-association", "--namespace", "default",
			"--service-account", "other", "--role-arn", roleARN, "--policy", `{"Version":"2012-10-17","Statement":[]}`)...)
	})
	t.Run("paging", func(t *testing.T) {
		for _, name := range []string{"p1", "p2", "p3", "p4"} {
			s.Run("aws", eks("create-pod-identity-association", "--namespace", "paging", "--service-account", name, "--role-arn", roleARN)...)
		}
		// The CLI follows nextToken by itself; two to a page makes it.
		all := s.Run("aws", eks("list-pod-identity-associations", "--namespace", "paging", "--page-size", "2", "--query", "associations[].serviceAccount")...)
		if got := len(strings.Fields(all)); got != 4 {
			t.Errorf("listed %q, want four", all)
		}
		one := s.Run("aws", eks("list-pod-identity-associations", "--namespace", "paging", "--service-account", "p3", "--query", "associations[].serviceAccount")...)
		if one != "p3" {
			t.Errorf("filtered %q, want p3", one)
		}
	})
	t.Run("tags", func(t *testing.T) {
		s.Run("aws", "eks", "tag-resource", "--resource-arn", arn, "--tags", "stage=test")
		if got := s.Run("aws", "eks", "list-tags-for-resource", "--resource-arn", arn, "--query", "tags.[team,stage]", "--output", "text"); got != "data\ttest" {
			t.Errorf("tags %q", got)
		}
		s.Run("aws", "eks", "untag-resource", "--resource-arn", arn, "--tag-keys", "stage")
	})
	t.Run("pod", func(t *testing.T) {
		binary := podid(t)
		as := func(args ...string) []string {
			return append([]string{"exec", "-n", "default", "-s", "demo-app-sa", "--", "aws"}, args...)
		}
		if got := s.Run(binary, as("sts", "get-caller-identity", "--query", "Arn", "--output", "text")...); !strings.HasPrefix(got, targetSTS) {
			t.Errorf("the pod is %s", got)
		}
		if got := s.Run(binary, as("s3", "ls", "s3://"+bucket)...); !strings.Contains(got, "hello.txt") {
			t.Errorf("s3 ls: %s", got)
		}
		if got := s.Run(binary, as("s3", "cp", "s3://"+bucket+"/hello.txt", "-")...); !strings.Contains(got, "Hello from account") {
			t.Errorf("s3 cp: %s", got)
		}
		s.Refused("AccessDenied", binary, as("s3", "rm", "s3://"+bucket+"/hello.txt")...)
		s.Refused("", binary, "exec", "-s", "nobody", "--", "aws", "sts", "get-caller-identity")
	})
	t.Run("iam", func(t *testing.T) {
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
		s.Run("aws", "iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust)
		s.Run("aws", "iam", "put-role-policy", "--role-name", "cli", "--policy-name", "p", "--policy-document",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
		if got := s.Run("aws", "iam", "list-role-policies", "--role-name", "cli", "--query", "PolicyNames", "--output", "text"); got != "p" {
			t.Errorf("policies %q", got)
		}
		s.Refused("EntityAlreadyExists", "aws", "iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust)
		s.Refused("DeleteConflict", "aws", "iam", "delete-role", "--role-name", "cli")
		s.Run("aws", "iam", "delete-role-policy", "--role-name", "cli", "--policy-name", "p")
		s.Run("aws", "iam", "delete-role", "--role-name", "cli")
		s.Refused("NoSuchEntity", "aws", "iam", "get-role", "--role-name", "cli")
	})
	t.Run("buckets", func(t *testing.T) {
		s.Run("aws", "s3", "mb", "s3://made-by-the-cli")
		s.Run("sh", "-c", "head -c 9000000 /dev/zero > big && aws s3 cp big s3://made-by-the-cli/big && aws s3 cp s3://made-by-the-cli/big again && cmp big again")
		s.Run("aws", "s3", "rb", "--force", "s3://made-by-the-cli")
	})
	t.Run("update and delete", func(t *testing.T) {
		got := s.Run("aws", eks("update-pod-identity-association", "--association-id", id, "--target-role-arn", "", "--query", "association.targetRoleArn")...)
		if got != "None" {
			t.Errorf("the target role is %s after its removal", got)
		}
		s.Run("aws", eks("delete-pod-identity-association", "--association-id", id)...)
		s.Refused("ResourceNotFoundException", "aws", eks("describe-pod-identity-association", "--association-id", id)...)
	})
}
