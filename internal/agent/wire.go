package agent

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/podid/podid/internal/identity"
)

// wireCredentials is the answer to GET /v1/credentials
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
type wireCredentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	AccountID       string `json:"AccountId"`
	Expiration      string `json:"Expiration"` // RFC 3339 with nanoseconds
}

// wireError is a refusal for those who accept JSON; it is what aws-sdk-go-v2
// reads into its EndpointError.
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// encode makes the answer that a pod gets, good until then. The account is that
// of the last role assumed, which is where the credentials are valid.
func encode(s identity.Session, until time.Time) ([]byte, error) {
	arn, err := identity.ParseARN(s.AssumedRoleARN)
	if err != nil {
		return nil, fmt.Errorf("the assumed role: %w", err)
	}
	c := s.Credentials
	return json.Marshal(wireCredentials{
		AccessKeyID:     c.AccessKeyID,
		SecretAccessKey: c.SecretAccessKey.Reveal(),
		Token:           c.SessionToken.Reveal(),
		AccountID:       arn.AccountID,
		Expiration:      until.UTC().Format(time.RFC3339Nano),
	})
}
