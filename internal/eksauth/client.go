package eksauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/trace"
)

// Service is the name of the EKS Auth API in signatures and IAM actions.
const Service = "eks-auth"

// ClientConfig says how a Client reaches the EKS Auth API. Cluster is required,
// and one of Credentials and Token.
type ClientConfig struct {
	// Cluster is the name of the cluster whose pods ask.
	Cluster string
	// Region is signed for. Required with Credentials.
	Region string
	// Endpoint is the service's base URL. Empty: AWS's own in Region. If its
	// name has many addresses, each is a replica.
	Endpoint string
	// Replicas are the base URLs of further replicas of the service.
	Replicas []string
	// Credentials sign the calls.
	Credentials aws.CredentialsProvider
	// Token returns the token that proves the agent to podid's server, sent as
	// Authorization: Bearer. It is asked for each call, so that it may change.
	// Endpoints must then be https, or at a loopback address.
	Token func() (identity.Secret, error)
	// CAFile holds the certificates, in PEM, that vouch for the endpoints. It is
	// read for each new connection, so that it may change. Such endpoints are
	// not reached through a proxy. Empty: the system's certificates, and the
	// proxy of the environment.
	CAFile string
	// LookUp finds the addresses of an endpoint's name. Nil: as the system does.
	LookUp func(ctx context.Context, name string) ([]netip.Addr, error)
	// Timeout bounds one call, all its tries included. 0: 5 s.
	Timeout time.Duration
	// MaxConnections bounds the connections to each replica. A call that waits
	// for one looks like a replica that is silent, so let there be enough. 0: 500.
	MaxConnections int
}

// Client calls the EKS Auth API on behalf of one cluster's pods.
type Client struct {
	cluster     string
	region      string
	timeout     time.Duration
	hedged      bool // a silent replica is not waited for
	endpoints   []*endpoint
	credentials aws.CredentialsProvider
	token       func() (identity.Secret, error)
	signer      *v4.Signer
	heard       heard
	listens     atomic.Pointer[replica] // whose changes are heard; nil: nobody's
}

// Grant is what the EKS Auth API answers.
type Grant struct {
	Namespace      string
	ServiceAccount string
	AssociationARN string
	AssociationID  string
	Session        identity.Session
	// Lease is how long the pod may hold the credentials before it asks again,
	// as podid's server wants it. 0: until they expire.
	Lease time.Duration
	// Version is that of the association, and Sequence when it was so, as podid's
	// server says. Empty and 0: it does not.
	Version  string
	Sequence uint64
}

// Error is a refusal by the EKS Auth API itself, as opposed to a failure to
// reach it.
type Error struct {
	Code       string // exception, "AccessDeniedException"
	Status     int    // HTTP status
	Message    string
	RequestID  string
	RetryAfter time.Duration // as the service asks; 0: it does not
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (status %d, request %s): %s", e.Code, e.Status, e.RequestID, e.Message)
}

// NewClient checks c. It connects to nothing.
func NewClient(c ClientConfig) (*Client, error) {
	switch {
	case !clusterName.MatchString(c.Cluster):
		return nil, fmt.Errorf("eksauth: %q is not the name of a cluster", c.Cluster)
	case c.Region != "" && !region.MatchString(c.Region), c.Region == "" && c.Credentials != nil:
		return nil, fmt.Errorf("eksauth: %q is not a region", c.Region)
	case c.Credentials == nil && c.Token == nil:
		return nil, errors.New("eksauth: no credentials to sign with, and no token")
	case c.Credentials != nil && c.Token != nil:
		return nil, errors.New("eksauth: both credentials to sign with and a token")
	case c.Token != nil && c.Endpoint == "":
		return nil, errors.New("eksauth: a token is for podid's server, and no endpoint says where that is")
	case c.Endpoint == "" && len(c.Replicas) > 0:
		return nil, errors.New("eksauth: replicas of no endpoint")
	case c.Timeout < 0, c.MaxConnections < 0:
		return nil, errors.New("eksauth: a negative bound")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 500
	}
	if c.LookUp == nil {
		c.LookUp = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	client := &Client{
		cluster: c.Cluster, region: c.Region, timeout: c.Timeout, hedged: c.Endpoint != "",
		credentials: c.Credentials, token: c.Token, signer: v4.NewSigner(),
	}
	if c.Endpoint == "" {
		c.Endpoint = defaultEndpoint(c.Region)
	}
	for _, base := range append([]string{c.Endpoint}, c.Replicas...) {
		e, err := newEndpoint(base, c, client.hedged)
		if err != nil {
			return nil, err
		}
		client.endpoints = append(client.endpoints, e)
	}
	return client, nil
}

var region = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// defaultEndpoint is AWS's rule for this service: dual-stack names alone.
func defaultEndpoint(region string) string {
	suffix := "api.aws"
	if identity.Partition(region) == "aws-cn" {
		suffix = "api.amazonwebservices.com.cn"
	}
	return "https://eks-auth." + region + "." + suffix
}

// AssumeRoleForPodIdentity exchanges a pod's service account token for
// credentials. Its error is an *Error if the service refused, and something
// else if there was no answer, or none that can be used.
//
// A call makes at most three tries, at as many replicas as it can. A replica
// that cannot be reached or fails is followed by the next at once; one that
// stays silent for a quarter of a second, by a second try beside the first.
func (c *Client) AssumeRoleForPodIdentity(ctx context.Context, token identity.Secret) (*Grant, error) {
	ctx, span := trace.Start(ctx, "EKS Auth/AssumeRoleForPodIdentity", trace.Client)
	span.Set("rpc.system", "aws-api")
	span.Set("rpc.service", "EKS Auth")
	span.Set("rpc.method", "AssumeRoleForPodIdentity")
	grant, err := c.assumeRole(ctx, token)
	if refused, ok := errors.AsType[*Error](err); ok {
		span.Fail(refused.Code, refused.Message)
		span.End(nil)
	} else {
		span.End(err)
	}
	return grant, err
}

func (c *Client) assumeRole(ctx context.Context, token identity.Secret) (*Grant, error) {
	body, err := json.Marshal(request{Token: token.Reveal()})
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	authorize, err := c.authorization(ctx, body)
	if err != nil {
		return nil, err
	}
	sequence := c.heard.latest()
	grant, err := c.tryReplicas(ctx, func(ctx context.Context, r *replica) (*Grant, error) {
		q, err := c.post(ctx, r, "assume-role-for-pod-identity", body)
		if err != nil {
			return nil, err
		}
		if sequence > 0 {
			q.Header.Set(SequenceHeader, strconv.FormatUint(sequence, 10))
		}
		if c.hedged {
			// A server that lives says 100 Continue when it reads the body, long
			// before the roles are assumed (RFC 9110 section 10.1.1). So a slow
			// one is told from a dead one, and is not asked to assume them twice.
			q.Header.Set("Expect", "100-continue")
			q.Header.Set(AliveHeader, "1")
		}
		if err := authorize(ctx, q); err != nil {
			return nil, err
		}
		return c.traced(r, q)
	})
	if err == nil {
		c.heard.note(sequence, grant.Sequence)
	}
	return grant, err
}

// post makes a request to one of the cluster's doors.
func (c *Client) post(ctx context.Context, r *replica, door string, body []byte) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url.JoinPath("clusters", c.cluster, door).String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	q.Host = r.host
	q.Header.Set("Content-Type", "application/json")
	return q, nil
}

// Reach returns nil once the service has answered anything at all, and what is
// in the way otherwise. It proves nothing about what the caller may do.
func (c *Client) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err := c.tryReplicas(ctx, func(ctx context.Context, r *replica) (*Grant, error) {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url.String(), nil)
		if err != nil {
			return nil, fmt.Errorf("making the request: %w", err)
		}
		q.Host = r.host
		answer, err := r.http.Do(q)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxReply))
		return nil, err
	})
	return err
}

// authorization returns what puts the agent's own authorization on a request
// with the given body.
func (c *Client) authorization(ctx context.Context, body []byte) (func(context.Context, *http.Request) error, error) {
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return nil, fmt.Errorf("finding the agent's own token: %w", err)
		}
		return func(_ context.Context, q *http.Request) error {
			q.Header.Set("Authorization", "Bearer "+token.Reveal())
			return nil
		}, nil
	}
	signWith, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding credentials to sign with: %w", err)
	}
	hash := sha256.Sum256(body)
	payload := hex.EncodeToString(hash[:])
	return func(ctx context.Context, q *http.Request) error {
		if err := c.signer.SignHTTP(ctx, signWith, q, payload, Service, c.region, time.Now()); err != nil {
			return fmt.Errorf("signing the request: %w", err)
		}
		return nil
	}, nil
}

// traced sends one try, as a span of its own. AWS's own service is told of no trace.
func (c *Client) traced(r *replica, q *http.Request) (*Grant, error) {
	ctx, span := trace.Start(q.Context(), http.MethodPost, trace.Client)
	span.Set("http.request.method", http.MethodPost)
	span.Set("server.address", r.url.Host)
	if c.hedged {
		trace.Pass(ctx, q.Header) // after the signature, so that a proxy may change it
	}
	grant, err := send(r, q)
	switch refused, ok := errors.AsType[*Error](err); {
	case ok:
		span.EndHTTP(refused.Status, trace.Client)
	case err == nil:
		span.EndHTTP(http.StatusOK, trace.Client)
	default:
		span.End(err)
	}
	return grant, err
}

func send(r *replica, q *http.Request) (*Grant, error) {
	answer, err := r.http.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	if len(text) > maxReply {
		return nil, fmt.Errorf("the reply is longer than %d bytes", maxReply)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, readError(answer, text)
	}
	return readGrant(answer.Header, text)
}
