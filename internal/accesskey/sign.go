package accesskey

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signing signs requests without a body, to the doors of podid's server beside
// the EKS API, by an access key that is for UseEKS.
type Signing struct {
	Base   http.RoundTripper
	Keys   aws.CredentialsProvider
	Region string // of the cluster
}

// RoundTrip signs a copy of the request, and sends that.
func (s Signing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	keys, err := s.Keys.Retrieve(r.Context())
	if err != nil {
		return nil, fmt.Errorf("finding an access key to sign with: %w", err)
	}
	nothing := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, r, hex.EncodeToString(nothing[:]), UseEKS, s.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("signing the request: %w", err)
	}
	return s.Base.RoundTrip(r)
}
