package interop

import (
	"os/exec"
	"strings"
	"testing"
)

func TestAWSCLI(t *testing.T) {
	_, err := exec.LookPath("aws")
	require(t, "aws", err == nil, "no aws on the PATH")
	info := start(t)
	s := newShell(t, info.Env())
	t.Log(s.run("aws", "--version"))
	eks := func(args ...string) []string {
		return append([]string{"eks", "--output", "text", args[0], "--cluster-name", cluster}, args[1:]...)
	}
	create := eks("create-pod-identity-association", "--namespace", "default", "--service-account", "demo-app-sa",
		"--role-arn", roleARN, "--target-role-arn", targetARN, "--tags", "team=data", "--query", "association.[associationId,externalId,associationArn]")
	created := strings.Fields(s.run("aws", create...))
	if len(created) != 3 || created[1] != external {
		t.Fatalf("created %q, want the external ID %s", created, external)
	}
	id, arn := created[0], created[2]

	t.Run("errors", func(t *testing.T) {
		s.refused("ResourceInUseException", "aws", create...)
		s.refused("ResourceNotFoundException", "aws", eks("describe-pod-identity-association", "--association-id", "a-00000000000000000")...)
		s.refused("ResourceNotFoundException", "aws", "eks", "list-pod-identity-associations", "--cluster-name", "no-such-cluster")
		s.refused("Cross-account pass role is not allowed", "aws", eks("create-pod-identity-association", "--namespace", "default",
			"--service-account", "other", "--role-arn", targetARN)...)
		s.refused("Role provided in the request does not exist", "aws", eks("create-pod-identity-association", "--namespace", "default",
			"--service-account", "other", "--role-arn", "arn:aws:iam::111122223333:role/no-such-role")...)
		s.refused("InvalidParameterException", "aws", eks("create-pod-identity-association", "--namespace", "default",
			"--service-account", "other", "--role-arn", roleARN, "--policy", `{"Version":"2012-10-17","Statement":[]}`)...)
	})
	t.Run("paging", func(t *testing.T) {
		for _, name := range []string{"p1", "p2", "p3", "p4"} {
			s.run("aws", eks("create-pod-identity-association", "--namespace", "paging", "--service-account", name, "--role-arn", roleARN)...)
		}
		// The CLI follows nextToken by itself; two to a page makes it.
		all := s.run("aws", eks("list-pod-identity-associations", "--namespace", "paging", "--page-size", "2", "--query", "associations[].serviceAccount")...)
		if got := len(strings.Fields(all)); got != 4 {
			t.Errorf("listed %q, want four", all)
		}
		one := s.run("aws", eks("list-pod-identity-associations", "--namespace", "paging", "--service-account", "p3", "--query", "associations[].serviceAccount")...)
		if one != "p3" {
			t.Errorf("filtered %q, want p3", one)
		}
	})
	t.Run("tags", func(t *testing.T) {
		s.run("aws", "eks", "tag-resource", "--resource-arn", arn, "--tags", "stage=test")
		if got := s.run("aws", "eks", "list-tags-for-resource", "--resource-arn", arn, "--query", "tags.[team,stage]", "--output", "text"); got != "data\ttest" {
			t.Errorf("tags %q", got)
		}
		s.run("aws", "eks", "untag-resource", "--resource-arn", arn, "--tag-keys", "stage")
	})
	t.Run("pod", func(t *testing.T) {
		binary := podid(t)
		as := func(args ...string) []string {
			return append([]string{"exec", "-n", "default", "-s", "demo-app-sa", "--", "aws"}, args...)
		}
		if got := s.run(binary, as("sts", "get-caller-identity", "--query", "Arn", "--output", "text")...); !strings.HasPrefix(got, targetSTS) {
			t.Errorf("the pod is %s", got)
		}
		if got := s.run(binary, as("s3", "ls", "s3://"+bucket)...); !strings.Contains(got, "hello.txt") {
			t.Errorf("s3 ls: %s", got)
		}
		if got := s.run(binary, as("s3", "cp", "s3://"+bucket+"/hello.txt", "-")...); !strings.Contains(got, "Hello from account") {
			t.Errorf("s3 cp: %s", got)
		}
		s.refused("AccessDenied", binary, as("s3", "rm", "s3://"+bucket+"/hello.txt")...)
		s.refused("", binary, "exec", "-s", "nobody", "--", "aws", "sts", "get-caller-identity")
	})
	t.Run("iam", func(t *testing.T) {
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
		s.run("aws", "iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust)
		s.run("aws", "iam", "put-role-policy", "--role-name", "cli", "--policy-name", "p", "--policy-document",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
		if got := s.run("aws", "iam", "list-role-policies", "--role-name", "cli", "--query", "PolicyNames", "--output", "text"); got != "p" {
			t.Errorf("policies %q", got)
		}
		s.refused("EntityAlreadyExists", "aws", "iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust)
		s.refused("DeleteConflict", "aws", "iam", "delete-role", "--role-name", "cli")
		s.run("aws", "iam", "delete-role-policy", "--role-name", "cli", "--policy-name", "p")
		s.run("aws", "iam", "delete-role", "--role-name", "cli")
		s.refused("NoSuchEntity", "aws", "iam", "get-role", "--role-name", "cli")
	})
	t.Run("buckets", func(t *testing.T) {
		s.run("aws", "s3", "mb", "s3://made-by-the-cli")
		s.run("sh", "-c", "head -c 9000000 /dev/zero > big && aws s3 cp big s3://made-by-the-cli/big && aws s3 cp s3://made-by-the-cli/big again && cmp big again")
		s.run("aws", "s3", "rb", "--force", "s3://made-by-the-cli")
	})
	t.Run("update and delete", func(t *testing.T) {
		got := s.run("aws", eks("update-pod-identity-association", "--association-id", id, "--target-role-arn", "", "--query", "association.targetRoleArn")...)
		if got != "None" {
			t.Errorf("the target role is %s after its removal", got)
		}
		s.run("aws", eks("delete-pod-identity-association", "--association-id", id)...)
		s.refused("ResourceNotFoundException", "aws", eks("describe-pod-identity-association", "--association-id", id)...)
	})
}
