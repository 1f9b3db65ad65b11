package audit_test

import (
	"strings"
	"testing"

	"github.com/podid/podid/internal/audit"
)

func TestRedact(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
	for text, want := range map[string]string{
		"namespace \"" + token + "\" is none":                   `namespace "[redacted]" is none`,
		"Authorization: Bearer s3cr3t-token, and more":          "Authorization: Bearer [redacted], and more",
		"key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY.":         "key [redacted].",
		"session IQoJb3JpZ2luX2Vj" + strings.Repeat("Ab1/", 60): "session [redacted]",
		"User: arn:aws:sts::111122223333:assumed-role/AVeryLongRoleNameOfExactlyThatManyLetters12/eks-c-p-8dbbcff5-9716-40c5-a474-c01c3190deeb is not authorized": "",
		"arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-hw7ewqqhtvfqjkx7r":                                                           "",
		"us-west-2/111122223333/example-cluster/default/demo-app-sa":                                                                                              "",
		"no RBAC rule allows the verb pass on iamroles.podid.dev":                                                                                                 "",
	} {
		if want == "" {
			want = text
		}
		if got := audit.Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := audit.Redact(strings.Repeat("word ", 5000)); len(got) > 4096 {
		t.Errorf("%d bytes", len(got))
	}
}
