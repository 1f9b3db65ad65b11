package rolepolicy

import (
	"time"

	"github.com/podid/podid/internal/identity"
)

// RevokeName is the name that AWS's console gives the inline policy that ends a
// role's older sessions
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html).
const RevokeName = "AWSRevokeOlderSessions"

// Revoke returns the policy that ends the sessions which an association's pods
// have had from AWS before a time: a denial, in the permissions of the role whose
// credentials reach the pods. As AWS has it, it ends all older sessions of the
// role, whoever has them. With subjectOnly it ends those of the association's
// service account, which their session tags tell from others. Its error is an
// *identity.Error, InvalidParameter.
func Revoke(a identity.Association, before time.Time, subjectOnly bool) (Policy, error) {
	p := Policy{RoleARN: a.RoleARN, Role: "Pod Identity role", Kind: Permission, Name: RevokeName}
	if a.TargetRoleARN != "" {
		p.RoleARN, p.Role = a.TargetRoleARN, "target role"
	}
	role, err := identity.ParseRoleARN(p.RoleARN)
	switch {
	case err != nil:
		return Policy{}, identity.Errorf(identity.InvalidParameter, "%.256q is not the ARN of an IAM role.", p.RoleARN)
	case subjectOnly && a.DisableSessionTags:
		return Policy{}, identity.Errorf(identity.InvalidParameter,
			"Without session tags nothing tells the sessions of one service account from others of the role.")
	}
	p.Account = role.AccountID
	// Sessions made by podid are dated at or after the time of a revocation; what
	// has no date, such as a service of AWS, is not meant.
	condition := map[string]map[string]string{"DateLessThan": {"aws:TokenIssueTime": before.UTC().Format(time.RFC3339)}}
	if subjectOnly {
		p.Name += "-" + a.ID
		condition["StringEquals"] = map[string]string{
			"aws:PrincipalTag/eks-cluster-arn":            a.Cluster.ARN(),
			"aws:PrincipalTag/kubernetes-namespace":       a.Namespace,
			"aws:PrincipalTag/kubernetes-service-account": a.ServiceAccount,
		}
	}
	p.Document = document{Statement: []statement{{Effect: "Deny", Action: []string{"*"}, Resource: "*", Condition: condition}}}.text()
	return p, nil
}
