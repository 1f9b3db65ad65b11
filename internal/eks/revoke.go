package eks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// service is the name of the EKS API in signatures.
const service = "eks"

// revokeTimeout bounds a call of Revoke; maxReply its answer, in bytes.
const (
	revokeTimeout = 15 * time.Second
	maxReply      = 1 << 20
)

// ErrNoRevocation says that the server does not know the operation, as AWS's
// own does not.
var ErrNoRevocation = errors.New("the server does not revoke associations: that is podid's own")

// Revoke asks podid's server, at the base endpoint of the configuration, to
// revoke an association. It returns the time of the revocation.
func Revoke(ctx context.Context, c aws.Config, cluster, id string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	target, err := url.JoinPath(aws.ToString(c.BaseEndpoint), "clusters", cluster, "pod-identity-associations", id, "revoke")
	if err != nil {
		return time.Time{}, fmt.Errorf("the endpoint: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, target, http.NoBody)
	if err != nil {
		return time.Time{}, fmt.Errorf("making the request: %w", err)
	}
	keys, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("finding credentials to sign with: %w", err)
	}
	nothing := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(ctx, keys, q, hex.EncodeToString(nothing[:]), service, c.Region, time.Now()); err != nil {
		return time.Time{}, fmt.Errorf("signing the request: %w", err)
	}
	var do interface {
		Do(*http.Request) (*http.Response, error)
	} = http.DefaultClient
	if c.HTTPClient != nil { // it trusts what AWS_CA_BUNDLE says
		do = c.HTTPClient
	}
	answer, err := do.Do(q)
	if err != nil {
		return time.Time{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the reply: %w", err)
	}
	return readRevocation(answer, text)
}

func readRevocation(answer *http.Response, text []byte) (time.Time, error) {
	code := answer.Header.Get("X-Amzn-Errortype")
	if code == "UnknownOperationException" {
		return time.Time{}, ErrNoRevocation
	}
	var reply struct {
		revokeReply
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &reply); err != nil && answer.StatusCode == http.StatusOK {
		return time.Time{}, errors.New("the reply is not JSON of the expected shape")
	}
	switch at := time.Time(reply.RevokedAt); {
	case answer.StatusCode != http.StatusOK:
		return time.Time{}, fmt.Errorf("%s (status %d): %s", code, answer.StatusCode, reply.Message)
	case at.IsZero():
		return time.Time{}, errors.New("the reply does not say when it was revoked")
	default:
		return at, nil
	}
}
