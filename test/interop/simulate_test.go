package interop

import (
	"os/exec"
	"testing"

	"github.com/podid/podid/test/clients"
)

// TestAWSCLISimulates asks the questions of the IAM user guide's page on
// testing policies (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html),
// and the one that AWS's own simulator cannot answer: a trust policy.
func TestAWSCLISimulates(t *testing.T) {
	_, err := exec.LookPath("aws")
	clients.Require(t, "aws", err == nil, "no aws on the PATH")
	s := clients.NewShell(t, start(t).Env())
	const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}}]}`
	tag := func(key, value string) string {
		return "ContextKeyName=aws:RequestTag/" + key + ",ContextKeyValues=" + value + ",ContextKeyType=string"
	}
	for name, c := range map[string]struct {
		want string
		args []string
	}{
		"a policy, keys missing": {"implicitDeny\taws:PrincipalTag/team", []string{"simulate-custom-policy", "--policy-input-list", text, "--action-names", "s3:GetObject",
			"--query", "EvaluationResults[].[EvalDecision,MissingContextValues[0]]"}},
		"a policy, keys given": {"allowed", []string{"simulate-custom-policy", "--policy-input-list", text, "--action-names", "s3:GetObject",
			"--context-entries", "ContextKeyName=aws:PrincipalTag/team,ContextKeyValues=a,ContextKeyType=string", "--query", "EvaluationResults[].EvalDecision"}},
		"where it matched": {"PolicyInputList.1\t1\t38", []string{"simulate-custom-policy", "--policy-input-list", text, "--action-names", "s3:GetObject",
			"--context-entries", "ContextKeyName=aws:PrincipalTag/team,ContextKeyValues=a,ContextKeyType=string",
			"--query", "EvaluationResults[].MatchedStatements[].[SourcePolicyId,StartPosition.Line,StartPosition.Column]"}},
		"a role": {"allowed\timplicitDeny", []string{"simulate-principal-policy", "--policy-source-arn", roleARN, "--action-names", "sts:AssumeRole", "s3:PutObject",
			"--resource-arns", targetARN, "--context-entries", tag("eks-cluster-arn", "arn:aws:eks:us-west-2:111122223333:cluster/example-cluster"),
			tag("kubernetes-namespace", "default"), tag("kubernetes-service-account", "demo-app-sa"),
			"--query", "EvaluationResults[].EvalDecision"}},
		"the service": {"allowed", []string{"simulate-principal-policy", "--policy-source-arn", roleARN, "--caller-arn", "pods.eks.amazonaws.com",
			"--action-names", "sts:AssumeRole", "--resource-arns", roleARN, "--query", "EvaluationResults[].EvalDecision"}},
		"keys of a policy": {"aws:PrincipalTag/team", []string{"get-context-keys-for-custom-policy", "--policy-input-list", text, "--query", "ContextKeyNames"}},
		"keys of a role":   {"aws:PrincipalTag/team", []string{"get-context-keys-for-principal-policy", "--policy-source-arn", roleARN, "--policy-input-list", text, "--query", "ContextKeyNames"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.Run("aws", append([]string{"iam", "--output", "text"}, c.args...)...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
