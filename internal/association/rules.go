package association

import (
	"context"
	"errors"

	"github.com/podid/podid/internal/identity"
)

// Rules judge associations, whichever way they come: through the EKS API or
// through Kubernetes'. The zero value are AWS's.
type Rules struct {
	// PassTargetRole makes iam:PassRole necessary for target roles too. On AWS
	// the account of the target role decides alone, by its trust policy.
	PassTargetRole bool
}

// Validate applies the rules that need nothing but the association itself.
func (Rules) Validate(a identity.Association) error {
	if err := check(a); err != nil {
		return err
	}
	return checkRolePlace(a.Cluster, a.RoleARN)
}

// Admit says whether caller may make an association of old (nil: of nothing)
// that is as a. Whoever changes its tags alone, or revokes its credentials, hands
// no role to anybody.
func (r Rules) Admit(ctx context.Context, caller identity.Caller, old *identity.Association, a identity.Association) error {
	if err := r.Validate(a); err != nil {
		return err
	}
	if old != nil && a.RoleARN == old.RoleARN && a.TargetRoleARN == old.TargetRoleARN &&
		a.Policy == old.Policy && a.DisableSessionTags == old.DisableSessionTags {
		return nil
	}
	return r.pass(ctx, caller, a)
}

// pass asks whether caller may hand a's roles to the service. A Pod Identity role
// is passed within its account alone
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html),
// and so must be of the cluster's. The resource it is passed to is the
// association, as it is the instance with EC2
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html).
func (r Rules) pass(ctx context.Context, caller identity.Caller, a identity.Association) error {
	if err := checkRolePlace(a.Cluster, a.RoleARN); err != nil {
		return err
	}
	roles := []string{a.RoleARN}
	if r.PassTargetRole && a.TargetRoleARN != "" && a.TargetRoleARN != a.RoleARN {
		roles = append(roles, a.TargetRoleARN)
	}
	var refusals []error
	for _, role := range roles {
		err := caller.Authorize(ctx, identity.Access{
			Action:   "iam:PassRole",
			Resource: role,
			Context: map[string][]string{
				"iam:PassedToService":       {identity.ServicePrincipal},
				"iam:AssociatedResourceArn": {a.ARN()},
			},
			Namespace: a.Namespace, ServiceAccount: a.ServiceAccount,
		})
		switch {
		case identity.KindOf(err) == identity.AccessDenied:
			refusals = append(refusals, err)
		case err != nil:
			return err
		}
	}
	return join(refusals)
}

// joinable is the cause of a refusal that can be told together with others of the
// same caller, so that nobody has to come again for each of them. Those of RBAC
// can; AWS itself tells the first alone.
type joinable interface {
	error
	Join(others ...error) error
}

func join(refusals []error) error {
	if len(refusals) == 0 {
		return nil
	}
	if cause, ok := errors.AsType[joinable](refusals[0]); ok && len(refusals) > 1 {
		return cause.Join(refusals[1:]...)
	}
	return refusals[0]
}
