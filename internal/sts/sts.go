// Package sts assumes roles at AWS STS, or at whatever speaks its protocol at
// the endpoint configured.
package sts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/podid/podid/internal/identity"
)

// FirstHop says as whom the first hop is made.
type FirstHop int

const (
	// Identity: an IAM identity of podid's own, which the Pod Identity roles
	// trust. This is how it works at AWS, off EKS.
	Identity FirstHop = iota
	// Service: a key that stands for pods.eks.amazonaws.com. Requests carry
	// the cluster on whose behalf they are made, as those of AWS's services do.
	Service
)

// Config says how roles are assumed. AWS.Credentials is required.
type Config struct {
	// AWS has the credentials of the first hop, and the endpoint if it is not
	// AWS's own. The region is the cluster's, whatever is set here.
	AWS aws.Config
	// FirstHop says whose credentials those are.
	FirstHop FirstHop
	// FirstHopDuration is how long the first session lasts at most. 0: an hour for
	// Identity, which is what every role allows and all that role chaining
	// does; what the path asks for with Service.
	FirstHopDuration time.Duration
	// Timeout bounds one hop, its retries included. 0: 3 s.
	Timeout time.Duration
}

// Assumer assumes roles. It is an issue.RoleAssumer.
type Assumer struct{ config Config }

// New makes an Assumer. It connects to nothing.
func New(c Config) (*Assumer, error) {
	if c.AWS.Credentials == nil {
		return nil, errors.New("sts: no credentials for the first hop")
	}
	if c.FirstHopDuration == 0 && c.FirstHop == Identity {
		c.FirstHopDuration = time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = 3 * time.Second
	}
	c.AWS.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, 500*time.Millisecond })
	}
	return &Assumer{c}, nil
}

// AssumeRole makes one hop: the first with podid's own credentials, where with
// is nil. See issue.RoleAssumer for its errors.
func (a *Assumer) AssumeRole(ctx context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
	defer cancel()
	if with == nil && a.config.FirstHopDuration > 0 {
		hop.Duration = min(hop.Duration, a.config.FirstHopDuration)
	}
	out, err := awssts.NewFromConfig(a.configFor(with, hop.Cluster)).AssumeRole(ctx, input(hop))
	if err != nil {
		return identity.Session{}, translate(err)
	}
	if out.Credentials == nil || out.AssumedRoleUser == nil || out.Credentials.Expiration == nil {
		return identity.Session{}, identity.Errorf(identity.Unavailable, "STS answered without credentials")
	}
	return identity.Session{
		Credentials: identity.Credentials{
			AccessKeyID:     aws.ToString(out.Credentials.AccessKeyId),
			SecretAccessKey: identity.Secret(aws.ToString(out.Credentials.SecretAccessKey)),
			SessionToken:    identity.Secret(aws.ToString(out.Credentials.SessionToken)),
			Expires:         *out.Credentials.Expiration,
		},
		AssumedRoleARN: aws.ToString(out.AssumedRoleUser.Arn),
		AssumedRoleID:  aws.ToString(out.AssumedRoleUser.AssumedRoleId),
	}, nil
}

func (a *Assumer) configFor(with *identity.Credentials, cluster identity.Cluster) aws.Config {
	c := a.config.AWS.Copy()
	c.Region = cluster.Region
	if with != nil {
		c.Credentials = credentials.NewStaticCredentialsProvider(with.AccessKeyID, with.SecretAccessKey.Reveal(), with.SessionToken.Reveal())
	} else if a.config.FirstHop == Service {
		c.APIOptions = append(c.APIOptions, onBehalfOf(cluster))
	}
	return c
}

// onBehalfOf says for which cluster the service acts, in the headers that AWS's
// services use and that become aws:SourceArn and aws:SourceAccount. They are
// added before the request is signed.
func onBehalfOf(cluster identity.Cluster) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Build.Add(middleware.BuildMiddlewareFunc("OnBehalfOfCluster",
			func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
				if r, ok := in.Request.(*smithyhttp.Request); ok {
					r.Header.Set("X-Amz-Source-Arn", cluster.ARN())
					r.Header.Set("X-Amz-Source-Account", cluster.AccountID)
				}
				return next.HandleBuild(ctx, in)
			}), middleware.After)
	}
}

func input(hop identity.Hop) *awssts.AssumeRoleInput {
	in := &awssts.AssumeRoleInput{
		RoleArn: &hop.RoleARN, RoleSessionName: &hop.SessionName, DurationSeconds: aws.Int32(int32(hop.Duration / time.Second)),
		TransitiveTagKeys: hop.TransitiveTagKeys, ExternalId: nonEmpty(hop.ExternalID), Policy: nonEmpty(hop.Policy),
	}
	for _, tag := range hop.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(tag.Key), Value: aws.String(tag.Value)})
	}
	return in
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// translate turns what the SDK returns into podid's kinds. AWS's text is kept.
func translate(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return identity.Errorf(identity.Unavailable, "no answer from STS").Because(err)
	}
	kind := identity.Internal
	status := 0
	if res, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		status = res.HTTPStatusCode()
	}
	switch code := api.ErrorCode(); {
	case retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}.IsErrorThrottle(err) == aws.TrueTernary || status == http.StatusTooManyRequests:
		kind = identity.Throttled
	case status >= 500:
		kind = identity.Unavailable
	case code == "AccessDenied" || code == "AccessDeniedException":
		kind = identity.AccessDenied
	case code == "InvalidClientTokenId" || code == "SignatureDoesNotMatch" || code == "ExpiredToken" || code == "ExpiredTokenException":
		kind = identity.Internal // podid's own credentials are at fault, not the pod
	case status >= 400:
		kind = identity.InvalidParameter
	}
	return &identity.Error{Kind: kind, Message: fmt.Sprintf("%s: %s", api.ErrorCode(), api.ErrorMessage()), Err: err}
}

// Checker judges Pod Identity roles before an association is made with them. It
// is an association.Roles.
type Checker struct{ assumer *Assumer }

// NewChecker makes a Checker of roles that would be assumed as c says.
func NewChecker(c Config) (*Checker, error) {
	a, err := New(c)
	return &Checker{a}, err
}

// Check returns nil if a's Pod Identity role exists and lets podid assume it
// with the session tags that a pod of a would have. It tries: who could read
// the trust policy could still not tell what a condition makes of a request.
// Its error carries AWS's texts for the two mistakes.
func (c *Checker) Check(ctx context.Context, a identity.Association) error {
	if err := c.exists(ctx, a); err != nil {
		return err
	}
	trial := identity.Hop{Cluster: a.Cluster, RoleARN: a.RoleARN, SessionName: "podid-check", Duration: 15 * time.Minute}
	if !a.DisableSessionTags {
		for _, tag := range [][2]string{
			{"eks-cluster-arn", a.Cluster.ARN()}, {"eks-cluster-name", a.Cluster.Name}, {"kubernetes-namespace", a.Namespace},
			{"kubernetes-service-account", a.ServiceAccount}, {"kubernetes-pod-name", "podid-check"},
			{"kubernetes-pod-uid", "00000000-0000-0000-0000-000000000000"},
		} {
			trial.Tags = append(trial.Tags, identity.Tag{Key: tag[0], Value: tag[1]})
			trial.TransitiveTagKeys = append(trial.TransitiveTagKeys, tag[0])
		}
	}
	_, err := c.assumer.AssumeRole(ctx, nil, trial)
	if identity.KindOf(err) == identity.AccessDenied {
		return identity.Errorf(identity.InvalidParameter, "Trust policy of the role provided is invalid. Follow the official documentation to resolve the issue. "+
			"It has to allow %s to sts:AssumeRole and sts:TagSession for this cluster and service account.", c.who()).Because(err)
	}
	return err
}

func (c *Checker) who() string {
	if c.assumer.config.FirstHop == Service {
		return identity.ServicePrincipal
	}
	return "podid's own IAM identity"
}

// exists tells a role that is missing from one that refuses, which STS does
// not. Where podid may not look, the trial alone decides.
func (c *Checker) exists(ctx context.Context, a identity.Association) error {
	role, err := identity.ParseRoleARN(a.RoleARN)
	if err != nil {
		return identity.Errorf(identity.InvalidParameter, "roleArn: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.assumer.config.Timeout)
	defer cancel()
	name := role.RoleName()
	_, err = iam.NewFromConfig(c.assumer.configFor(nil, a.Cluster)).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "NoSuchEntity" {
		return identity.Errorf(identity.InvalidParameter, "Role provided in the request does not exist")
	}
	return nil
}
