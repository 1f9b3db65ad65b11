package rolepolicy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

func revocable() identity.Association {
	return identity.Association{
		ID: "a-abcdefghijklmnop1", Cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"},
		Namespace: "default", ServiceAccount: "app", RoleARN: "arn:aws:iam::111122223333:role/pod",
		TargetRoleARN: "arn:aws:iam::444455556666:role/path/target",
	}
}

// TestRevoke is of the role whose credentials reach the pod, in AWS's own form.
func TestRevoke(t *testing.T) {
	before := time.Date(2026, 3, 1, 12, 0, 5, 0, time.FixedZone("elsewhere", 3600))
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-03-01T11:00:05Z"}}}]}`
	const own = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-03-01T11:00:05Z"},` +
		`"StringEquals":{"aws:PrincipalTag/eks-cluster-arn":"arn:aws:eks:us-west-2:111122223333:cluster/c","aws:PrincipalTag/kubernetes-namespace":"default","aws:PrincipalTag/kubernetes-service-account":"app"}}}]}`
	one := revocable()
	one.TargetRoleARN = ""
	for name, c := range map[string]struct {
		a             identity.Association
		only          bool
		account, role string
		policy        string
		document      string
	}{
		"target role":       {revocable(), false, "444455556666", "target role", "AWSRevokeOlderSessions", all},
		"Pod Identity role": {one, false, "111122223333", "Pod Identity role", "AWSRevokeOlderSessions", all},
		"subject":           {revocable(), true, "444455556666", "target role", "AWSRevokeOlderSessions-a-abcdefghijklmnop1", own},
	} {
		p, err := Revoke(c.a, before, c.only)
		if err != nil {
			t.Fatal(err)
		}
		var document bytes.Buffer
		if err := json.Compact(&document, p.Document); err != nil {
			t.Fatal(err)
		}
		if p.Account != c.account || p.Role != c.role || p.Name != c.policy || document.String() != c.document {
			t.Errorf("%s: %+v\n%s\nwant %s", name, p, document.String(), c.document)
		}
		var commands strings.Builder
		if err := Commands(&commands, []Policy{p}, Target{}); err != nil || !strings.Contains(commands.String(), "aws iam put-role-policy --profile "+c.account+" ") {
			t.Errorf("%s: %s, %v", name, commands.String(), err)
		}
	}
	tagless := revocable()
	tagless.DisableSessionTags = true
	broken := revocable()
	broken.TargetRoleARN = "x"
	for _, a := range []identity.Association{tagless, broken} {
		if _, err := Revoke(a, before, true); identity.KindOf(err) != identity.InvalidParameter {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
