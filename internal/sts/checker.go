package sts

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/uuid"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

const (
	// checkTimeout bounds a check. Whoever makes an association can wait longer
	// than a pod.
	checkTimeout = 10 * time.Second
	// trialDuration is the shortest that STS gives.
	trialDuration = 15 * time.Minute
)

// Checker judges Pod Identity roles before they are associated.
type Checker struct {
	roles *Assumer
	iam   *iam.Client
}

// NewChecker makes a Checker. It calls nobody.
func NewChecker(c Config) (*Checker, error) {
	roles, err := New(c)
	if err != nil {
		return nil, err
	}
	client := iam.NewFromConfig(c.AWS, func(o *iam.Options) { o.Retryer = retryer() })
	return &Checker{roles: roles, iam: client}, nil
}

// Check returns nil if podid can assume the Pod Identity role of a as it will
// for a pod. It tries, with the tags that such a pod would bring, and drops the
// credentials; so the conditions of the trust policy count. Only the pod's name
// and uid are made up: a trust policy that demands particular ones fails.
//
// Its error is an *identity.Error: InvalidParameter with AWS's text where the
// role or the session policy is at fault, or as for AssumeRole.
func (c *Checker) Check(ctx context.Context, a identity.Association) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	pod := identity.Subject{
		Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, PodName: a.ServiceAccount + "-0", PodUID: uuid.NewString(),
	}
	trial := issue.Chain(a, pod, uuid.NewString())[0]
	trial.Duration = trialDuration
	trial.Policy = a.Policy // where it will go to the target role, STS can judge it here just as well
	_, err := c.roles.assume(ctx, nil, trial)
	switch {
	case err == nil:
		return nil
	case identity.KindOf(err) == identity.InvalidRequest:
		return identity.Errorf(identity.InvalidParameter, "%s", identity.SafeMessage(err)).Because(err)
	case identity.KindOf(err) != identity.AccessDenied:
		return err
	case c.isMissing(ctx, a):
		// https://github.com/hashicorp/terraform-provider-aws/issues/34711
		return identity.Errorf(identity.InvalidParameter, "Role provided in the request does not exist: there is no %s.", a.RoleARN).Because(err)
	}
	// https://github.com/hashicorp/terraform-provider-aws/issues/41483
	return identity.Errorf(identity.InvalidParameter,
		"Trust policy of the role provided is invalid. Follow the official documentation to resolve the issue. "+
			"%s was refused on %s, for service account %s/%s of %s: podid explain -n %s -s %s says what is in the way.",
		actionsOf(trial), a.RoleARN, a.Namespace, a.ServiceAccount, a.Cluster.ARN(), a.Namespace, a.ServiceAccount).Because(err)
}

// actionsOf are the actions that hop needs to be allowed.
func actionsOf(hop identity.Hop) string {
	if len(hop.Tags) > 0 {
		return "sts:AssumeRole or sts:TagSession"
	}
	return "sts:AssumeRole"
}

// isMissing tells whether the role certainly does not exist. STS does not say:
// it denies access either way. Where IAM does not answer either, false.
func (c *Checker) isMissing(ctx context.Context, a identity.Association) bool {
	role, err := identity.ParseRoleARN(a.RoleARN)
	if err != nil {
		return true
	}
	as, err := c.roles.podid(ctx, a.Cluster)
	if err != nil || !c.looksInto(ctx, as, a.Cluster.Region, role.AccountID) {
		return false
	}
	out, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role.RoleName())}, func(o *iam.Options) {
		o.Region, o.Credentials = a.Cluster.Region, as.credentials
		o.APIOptions = append(o.APIOptions, as.headers...)
	})
	if err != nil {
		_, missing := errors.AsType[*types.NoSuchEntityException](err)
		return missing
	}
	return aws.ToString(out.Role.Arn) != a.RoleARN // the path may be another
}

// looksInto tells whether podid's IAM calls are about that account. The
// service's are about the cluster's; podid's own identity may live anywhere.
func (c *Checker) looksInto(ctx context.Context, as signing, region, account string) bool {
	if c.roles.config.FirstHop == Service {
		return true
	}
	who, err := c.roles.client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, as.forSTS(region))
	return err == nil && aws.ToString(who.Account) == account
}
