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
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/podid/podid/internal/identity"
)

// Service is the name of the EKS Auth API in signatures and IAM actions.
const Service = "eks-auth"

// ClientConfig says how a Client reaches the EKS Auth API.
type ClientConfig struct {
	// Cluster is the name of the cluster whose pods ask. Required.
	Cluster string
	// Region is signed for. Required.
	Region string
	// Endpoint is the service's base URL. Empty: AWS's own in Region.
	Endpoint string
	// Credentials sign the calls. Required.
	Credentials aws.CredentialsProvider
	// Timeout bounds one call, from its signature to the end of the reply. 0: 5 s.
	Timeout time.Duration
	// MaxConnections bounds the connections to the service. 0: 100.
	MaxConnections int
}

// Client calls the EKS Auth API on behalf of one cluster's pods. It does not
// retry: whoever asks it knows better when to.
type Client struct {
	url         string
	region      string
	credentials aws.CredentialsProvider
	signer      *v4.Signer
	http        *http.Client
}

// Grant is what the EKS Auth API answers.
type Grant struct {
	Namespace      string
	ServiceAccount string
	AssociationARN string
	AssociationID  string
	Session        identity.Session
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
	case !region.MatchString(c.Region):
		return nil, fmt.Errorf("eksauth: %q is not a region", c.Region)
	case c.Credentials == nil:
		return nil, errors.New("eksauth: no credentials to sign with")
	case c.Timeout < 0, c.MaxConnections < 0:
		return nil, errors.New("eksauth: a negative bound")
	}
	if c.Endpoint == "" {
		c.Endpoint = defaultEndpoint(c.Region)
	}
	base, err := url.Parse(c.Endpoint)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, fmt.Errorf("eksauth: %q is not the URL of an endpoint", c.Endpoint)
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 100
	}
	return &Client{
		url:         base.JoinPath("clusters", c.Cluster, "assume-role-for-pod-identity").String(),
		region:      c.Region,
		credentials: c.Credentials,
		signer:      v4.NewSigner(),
		http: &http.Client{
			Timeout: c.Timeout,
			// A redirect would carry the pod's token to a place of the sender's choosing.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: c.Timeout}).DialContext,
				TLSHandshakeTimeout:    c.Timeout,
				MaxConnsPerHost:        c.MaxConnections,
				MaxIdleConnsPerHost:    c.MaxConnections,
				MaxResponseHeaderBytes: 64 << 10,
				IdleConnTimeout:        time.Minute,
			},
		},
	}, nil
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
func (c *Client) AssumeRoleForPodIdentity(ctx context.Context, token identity.Secret) (*Grant, error) {
	body, err := json.Marshal(request{Token: token.Reveal()})
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	signWith, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding credentials to sign with: %w", err)
	}
	hash := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, signWith, r, hex.EncodeToString(hash[:]), Service, c.region, time.Now()); err != nil {
		return nil, fmt.Errorf("signing the request: %w", err)
	}
	answer, err := c.http.Do(r)
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
	return readGrant(text)
}

// maxReply bounds replies, in bytes; a session token has a few thousand.
const maxReply = 1 << 20

func readGrant(text []byte) (*Grant, error) {
	var r reply
	if json.Unmarshal(text, &r) != nil { // its error may quote the text, and with it a secret
		return nil, errors.New("the reply is not JSON of the expected shape")
	}
	c := r.Credentials
	if c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "" || c.Expiration.IsZero() || r.AssumedRoleUser.ARN == "" {
		return nil, errors.New("the reply lacks credentials, their expiration or the assumed role")
	}
	return &Grant{
		Namespace:      r.Subject.Namespace,
		ServiceAccount: r.Subject.ServiceAccount,
		AssociationARN: r.Association.ARN,
		AssociationID:  r.Association.ID,
		Session: identity.Session{
			Credentials: identity.Credentials{
				AccessKeyID:     c.AccessKeyID,
				SecretAccessKey: identity.Secret(c.SecretAccessKey),
				SessionToken:    identity.Secret(c.SessionToken),
				Expires:         time.Time(c.Expiration),
			},
			AssumedRoleARN: r.AssumedRoleUser.ARN,
			AssumedRoleID:  r.AssumedRoleUser.ID,
		},
	}, nil
}

var exceptionName = regexp.MustCompile(`^[A-Za-z0-9]{1,100}$`)

// readError finds the exception's name in the header, or else the body
// (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization).
func readError(answer *http.Response, text []byte) *Error {
	var body failure
	if json.Unmarshal(text, &body) != nil {
		body = failure{} // a proxy's page, most likely: the status says what there is to say
	}
	e := &Error{Code: "UnknownError", Status: answer.StatusCode, RequestID: cut(answer.Header.Get("x-amzn-RequestId"), 100)}
	for _, name := range []string{answer.Header.Get("x-amzn-ErrorType"), body.Code, body.Type} {
		name, _, _ = strings.Cut(name, ":")
		name = name[strings.LastIndexByte(name, '#')+1:]
		if exceptionName.MatchString(name) {
			e.Code = name
			break
		}
	}
	e.Message = cut(body.Message, 1000)
	if e.Message == "" {
		e.Message = cut(body.UpperMessage, 1000)
	}
	if seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// cut keeps at most n bytes of s, and of those what can be printed.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s[:min(len(s), n)], "")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
