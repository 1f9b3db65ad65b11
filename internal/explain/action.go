package explain

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// action is what the pod does with its credentials. The role is that of the
// last hop, and the association's session policy narrows it.
func (w *walk) action(ctx context.Context, a identity.Association, r *role, last identity.Hop, tags []identity.Tag) *stage {
	q := &w.question
	s := &stage{name: StepAction, title: fmt.Sprintf("Action: the pod's session of %s does %s on %s", r.noun(), q.Action, q.Resource), role: r, hop: last}
	c := w.circumstances(a.Cluster.Region)
	c.service, _, _ = strings.Cut(strings.ToLower(q.Action), ":")
	c.open = append(c.open, "aws:SecureTransport", "aws:RequestedRegion") // the program's own choice
	if q.Pod == "" {
		c.open = append(c.open, "aws:userid")
	}
	org := w.reader.organization(ctx, r.arn.AccountID)
	c.sessionCalls(r, last.SessionName, tags, org)

	one := &ask{open: c.isOpen, given: c.isGiven}
	if r.missing {
		s.missing = append(s.missing, r)
	}
	s.callerBears(one, r, org)
	if last.Policy != "" {
		one.session = []*document{{name: "session policy of the association", kind: policy.Session, text: last.Policy, place: sessionPlace{a}}}
	}
	owner := w.resource(ctx, s, one, r)
	if owner != "" {
		target := w.reader.organization(ctx, owner)
		c.known.Set("aws:ResourceAccount", owner)
		c.organization("aws:ResourceOrgID", target)
		one.rcp = target.rcp
		s.blindTo(one, target.unseen, "resource control policies of account "+owner)
	}
	one.request = policy.Request{Principal: callerOf(r, last.SessionName), Action: q.Action, Resource: q.Resource, ResourceAccountID: owner, Context: c.known}
	s.asks = []*ask{one}
	return s
}

// withPolicies are the services whose resources have policies of their own,
// which may deny what the role's policies allow
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html).
var withPolicies = map[string]bool{
	"s3": true, "sqs": true, "sns": true, "kms": true, "secretsmanager": true, "lambda": true, "ecr": true, "dynamodb": true, "kinesis": true,
	"events": true, "es": true, "glue": true, "logs": true, "backup": true, "elasticfilesystem": true, "codeartifact": true, "execute-api": true,
	"s3express": true, "ssm": true, "iot": true, "schemas": true, "ses": true, "signer": true, "acm-pca": true, "bedrock": true, "s3tables": true,
}

// resource adds the resource's own policy, and returns the account that owns it.
func (w *walk) resource(ctx context.Context, s *stage, a *ask, r *role) (owner string) {
	arn, err := identity.ParseARN(w.question.Resource)
	if err != nil {
		return r.arn.AccountID // "*": there is no resource
	}
	if arn.Service == "s3" {
		return w.bucket(ctx, s, a, r, arn)
	}
	owner = arn.AccountID
	if owner == "" || owner == "aws" {
		owner = r.arn.AccountID
	}
	if withPolicies[arn.Service] {
		a.unseen, a.mayAllow = true, append(a.mayAllow, policy.Resource)
		s.blind = append(s.blind, Unseen{"the policy of " + arn.String(), "explain reads those of S3 buckets alone", "whether it denies or, across accounts, allows it"})
	}
	return owner
}

// bucket finds out which of the accounts at hand owns a bucket, and reads its
// policy. S3's ARNs have no account, but S3 says whether a guess is right
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html).
func (w *walk) bucket(ctx context.Context, s *stage, a *ask, r *role, arn identity.ARN) (owner string) {
	name, _, _ := strings.Cut(arn.Resource, "/")
	reason := "no account at hand owns the bucket"
	for _, account := range w.reader.accounts(r.arn.AccountID) {
		access, err := w.reader.account(ctx, account)
		if err != nil {
			continue
		}
		got, err := s3.NewFromConfig(access.AWS).GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &name, ExpectedBucketOwner: &account})
		d := &document{name: "policy of bucket " + name, kind: policy.Resource, place: bucketPlace{name, account}}
		switch {
		case err == nil:
			d.text = aws.ToString(got.Policy)
			if _, err := d.parse(); err != nil {
				reason = "podid does not understand it: " + err.Error()
				continue
			}
			a.resource = []*document{d}
			return account
		case isCode(err, "NoSuchBucketPolicy"):
			a.resource = []*document{d}
			return account
		case isCode(err, "NoSuchBucket"):
			reason = "there is no bucket " + name
		default:
			reason = answered(err).Error()
		}
	}
	a.unseen, a.mayAllow = true, append(a.mayAllow, policy.Resource)
	s.blind = append(s.blind, Unseen{"policy of bucket " + name, reason, "whether it denies or, across accounts, allows it"})
	return r.arn.AccountID
}
