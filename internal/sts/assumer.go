// Package sts assumes roles at AWS STS, or at whatever speaks its protocol at
// the endpoint configured. It implements issue.RoleAssumer.
package sts

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/trace"
)

// FirstHop says as whom podid assumes Pod Identity roles.
type FirstHop int

const (
	// Identity: as an IAM identity of podid's own, which the trust policies of
	// Pod Identity roles name. This is the way on real AWS.
	Identity FirstHop = iota
	// Service: as the service pods.eks.amazonaws.com, by a key that stands for
	// it. The cluster goes along in signed headers, from which policies get
	// aws:SourceArn and aws:SourceAccount.
	Service
)

// Config says where roles are assumed, and as whom.
type Config struct {
	// AWS holds podid's own credentials, the HTTP client and, where STS is not
	// AWS's own, the BaseEndpoint. Its region is not used: calls go to the region
	// of the cluster they are for.
	AWS aws.Config
	// FirstHop says what AWS.Credentials are.
	FirstHop FirstHop
	// FirstHopDuration is the longest session that the first hop asks for where
	// FirstHop is Identity: the roles' MaxSessionDuration, and one hour if
	// podid's own identity is a role. 0: one hour.
	FirstHopDuration time.Duration
	// Timeout bounds one role assumption, retries included. Two of them must
	// fit into an agent's patience of five seconds. 0: two seconds.
	Timeout time.Duration
	// Once leaves trying again to the caller, who knows what else STS is asked
	// for; the chain room does. Otherwise a call is tried three times.
	Once bool
}

// Three tries and the waits between them fit into the timeout, so that a
// throttled call is reported as one. The SDK's token bucket bounds the retries
// of all calls together.
const (
	maxAttempts = 3
	maxBackoff  = 400 * time.Millisecond
)

// Assumer assumes roles. It is safe for concurrent use.
type Assumer struct {
	config Config
	client *sts.Client
}

// New makes an Assumer. It calls nobody.
func New(c Config) (*Assumer, error) {
	if c.AWS.Credentials == nil {
		return nil, errors.New("podid has no AWS credentials of its own")
	}
	if c.FirstHop != Identity && c.FirstHop != Service {
		return nil, errors.New("the first hop is made by podid's own identity, or by the service")
	}
	if c.FirstHopDuration == 0 {
		c.FirstHopDuration = time.Hour
	}
	if c.FirstHopDuration < 15*time.Minute || c.FirstHopDuration > 12*time.Hour {
		return nil, errors.New("the first hop's duration must be between 15 minutes and 12 hours")
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	c.AWS.Credentials = aws.NewCredentialsCache(c.AWS.Credentials)
	c.AWS.HTTPClient = httpClient(c.AWS.HTTPClient)
	client := sts.NewFromConfig(c.AWS, func(o *sts.Options) {
		o.Retryer = retryer()
		if c.Once {
			o.Retryer = onlyForClocks()
		}
	})
	return &Assumer{config: c, client: client}, nil
}

func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = maxAttempts, maxBackoff })
}

// onlyForClocks tries again what was refused because podid's clock is off, which
// the SDK has learned from the refusal, and nothing else.
func onlyForClocks() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableError{}}
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// AssumeRole assumes the role of hop with the credentials given; nil means
// podid itself. Its error is an *identity.Error whose text is what AWS
// answered: AccessDenied, InvalidRequest (AWS does not accept the session's
// policy, tags or duration), Throttled, Unavailable, or Internal where podid's
// own credentials are at fault.
func (a *Assumer) AssumeRole(ctx context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
	defer cancel()
	ctx, span := trace.Start(ctx, "STS/AssumeRole", trace.Client)
	span.Set("rpc.system", "aws-api")
	span.Set("rpc.service", "STS")
	span.Set("rpc.method", "AssumeRole")
	span.Set("cloud.region", hop.Cluster.Region)
	session, err := a.assume(ctx, with, hop)
	span.End(err)
	return session, err
}

func (a *Assumer) assume(ctx context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	var as signing
	if with == nil {
		var err error
		if as, err = a.podid(ctx, hop.Cluster); err != nil {
			return identity.Session{}, err
		}
		if a.config.FirstHop == Identity {
			hop.Duration = min(hop.Duration, a.config.FirstHopDuration)
		}
	} else {
		as = signing{credentials: static(aws.Credentials{
			AccessKeyID: with.AccessKeyID, SecretAccessKey: with.SecretAccessKey.Reveal(), SessionToken: with.SessionToken.Reveal(),
		})}
	}
	out, err := a.client.AssumeRole(ctx, input(hop), as.forSTS(hop.Cluster.Region))
	if err != nil {
		return identity.Session{}, translate(err)
	}
	return session(out, hop.Duration)
}

// signing is how a call proves who makes it.
type signing struct {
	credentials aws.CredentialsProvider
	headers     []func(*middleware.Stack) error
}

func (s signing) forSTS(region string) func(*sts.Options) {
	return func(o *sts.Options) {
		o.Region, o.Credentials = region, s.credentials
		o.APIOptions = append(o.APIOptions, s.headers...)
	}
}

// podid returns how podid signs for a cluster. Its credentials are fetched
// beforehand, because a refusal while fetching them must not pass for a refusal
// of the role.
func (a *Assumer) podid(ctx context.Context, cluster identity.Cluster) (signing, error) {
	own, err := a.config.AWS.Credentials.Retrieve(ctx)
	if err != nil {
		return signing{}, identity.Errorf(identity.Unavailable, "podid has no AWS credentials of its own at present.").Because(err)
	}
	s := signing{credentials: static(own)}
	if a.config.FirstHop == Service {
		// Added before the signature, which covers every header but a few.
		s.headers = append(s.headers,
			smithyhttp.SetHeaderValue("X-Amz-Source-Arn", cluster.ARN()),
			smithyhttp.SetHeaderValue("X-Amz-Source-Account", cluster.AccountID))
	}
	return s, nil
}

func static(c aws.Credentials) aws.CredentialsProvider {
	return credentials.StaticCredentialsProvider{Value: c}
}

func input(hop identity.Hop) *sts.AssumeRoleInput {
	in := &sts.AssumeRoleInput{
		RoleArn:           &hop.RoleARN,
		RoleSessionName:   &hop.SessionName,
		DurationSeconds:   aws.Int32(int32(hop.Duration / time.Second)),
		TransitiveTagKeys: hop.TransitiveTagKeys,
	}
	for _, tag := range hop.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: &tag.Key, Value: &tag.Value})
	}
	if hop.ExternalID != "" {
		in.ExternalId = &hop.ExternalID
	}
	if hop.Policy != "" {
		in.Policy = &hop.Policy
	}
	return in
}

func session(out *sts.AssumeRoleOutput, lifetime time.Duration) (identity.Session, error) {
	c, user := out.Credentials, out.AssumedRoleUser
	if c == nil || user == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" ||
		aws.ToString(c.SessionToken) == "" || c.Expiration == nil || aws.ToString(user.Arn) == "" {
		return identity.Session{}, identity.Errorf(identity.Internal, "STS answered without credentials")
	}
	request, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata) // "": STS named none
	return identity.Session{
		RequestID: quote(request),
		Credentials: identity.Credentials{
			AccessKeyID:     *c.AccessKeyId,
			SecretAccessKey: identity.Secret(*c.SecretAccessKey),
			SessionToken:    identity.Secret(*c.SessionToken),
			Expires:         *c.Expiration,
		},
		AssumedRoleARN: *user.Arn,
		AssumedRoleID:  aws.ToString(user.AssumedRoleId),
		Issued:         c.Expiration.Add(-lifetime),
	}, nil
}
