package agent

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// maxToken bounds tokens, in bytes. Kubernetes' own have about 1,200.
const maxToken = 16 << 10

// claims are what a service account token says of itself. Nothing here is
// verified: that is the upstream's part. The agent looks only in order not to
// send what cannot be good, and to know when what was good ceases to be.
type claims struct {
	expires   time.Time
	notBefore time.Time // zero: the token does not say
	pod       string    // NAMESPACE/NAME, for the log
}

// wireClaims is the payload of a service account token
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims).
type wireClaims struct {
	Expires    *float64 `json:"exp"`
	NotBefore  *float64 `json:"nbf"`
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Pod       struct {
			Name string `json:"name"`
		} `json:"pod"`
	} `json:"kubernetes.io"`
}

var errTooLong = errors.New("token is too long")

// parseClaims reads the claims of a JWT in compact form (RFC 7519, RFC 7515 section 3.1).
func parseClaims(token string) (claims, error) {
	if len(token) > maxToken {
		return claims{}, errTooLong
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if header == "" || payload == "" || signature == "" || strings.Contains(signature, ".") {
		return claims{}, errors.New("token does not have three parts")
	}
	var algorithm struct{}
	if !decodeSegment(header, &algorithm) {
		return claims{}, errors.New("token header is malformed")
	}
	if _, err := segments.DecodeString(signature); err != nil {
		return claims{}, errors.New("token signature is malformed")
	}
	var w wireClaims
	if !decodeSegment(payload, &w) {
		return claims{}, errors.New("token claims are malformed")
	}
	if w.Expires == nil {
		return claims{}, errors.New("token does not say when it expires")
	}
	c := claims{pod: clip(w.Kubernetes.Namespace) + "/" + clip(w.Kubernetes.Pod.Name)}
	var ok bool
	if c.expires, ok = numericDate(*w.Expires); !ok {
		return claims{}, errors.New("token expires at no time there is")
	}
	if w.NotBefore != nil {
		if c.notBefore, ok = numericDate(*w.NotBefore); !ok {
			return claims{}, errors.New("token begins at no time there is")
		}
	}
	return c, nil
}

// segments is base64url without padding (RFC 7515 section 2), and strict, so
// that a token has one spelling only.
var segments = base64.RawURLEncoding.Strict()

func decodeSegment(segment string, v any) bool {
	text, err := segments.DecodeString(segment)
	return err == nil && len(text) > 0 && text[0] == '{' && json.Unmarshal(text, v) == nil
}

// numericDate turns seconds since 1970 (RFC 7519 section 2) into a time, if it
// is one before the year 10000.
func numericDate(seconds float64) (time.Time, bool) {
	if !(seconds > 0 && seconds < 253402300800) {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// clip keeps names in the log to what Kubernetes allows: 253 bytes.
func clip(name string) string { return name[:min(len(name), 253)] }

// leeway is how far a pod's token may lie in the future. The node's clock and
// the API server's are never quite the same, and the upstream checks with its own.
const leeway = time.Minute

// check says what makes the token no good at the given time.
func (c claims) check(now time.Time) error {
	switch {
	case !now.Before(c.expires):
		return errors.New("token is expired")
	case now.Add(leeway).Before(c.notBefore):
		return errors.New("token is not valid yet")
	}
	return nil
}
