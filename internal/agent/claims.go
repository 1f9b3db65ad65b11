package agent

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/podid/podid/internal/identity"
)

// maxToken bounds tokens, in bytes. Kubernetes' own have about 1,200.
const maxToken = 16 << 10

// claims are what a service account token says of itself. Nothing here is
// verified: that is the upstream's part. The agent looks only in order not to
// send what cannot be good, and to know when what was good ceases to be.
type claims struct {
	validity
	audience []string
	pod      podKey
	podName  string
}

// validity is the time in which a token is good.
type validity struct {
	notBefore time.Time // zero: the token does not say
	expires   time.Time
}

// podKey is one pod of one cluster. What the upstream gave for a token may be
// given for another token of the same pod, once it has accepted that one too.
type podKey struct {
	issuer, namespace, serviceAccount, podUID string
	token                                     tokenHash // of a token that is bound to no pod, which shares with none
}

// wireClaims is the payload of a service account token
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims).
type wireClaims struct {
	Issuer     string    `json:"iss"`
	Audience   audiences `json:"aud"`
	Expires    *float64  `json:"exp"`
	NotBefore  *float64  `json:"nbf"`
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
		Pod struct {
			Name string `json:"name"`
			UID  string `json:"uid"`
		} `json:"pod"`
	} `json:"kubernetes.io"`
}

// audiences are one string or a list of them (RFC 7519 section 4.1.3).
type audiences []string

func (a *audiences) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*a = make(audiences, 1)
		return json.Unmarshal(text, &(*a)[0])
	}
	return json.Unmarshal(text, (*[]string)(a))
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
	k := w.Kubernetes
	c := claims{
		audience: w.Audience,
		pod:      podKey{issuer: once(w.Issuer), namespace: once(k.Namespace), serviceAccount: once(k.ServiceAccount.Name), podUID: k.Pod.UID},
		podName:  k.Pod.Name,
	}
	for i := range c.audience {
		c.audience[i] = once(c.audience[i])
	}
	if k.Pod.UID == "" {
		c.pod.token = hashOf(token)
	}
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

// once returns s as it is in memory already, if it is: the pods of a node have
// much in common.
func once(s string) string { return unique.Make(s).Value() }

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

// claimed names the pod for the log: NAMESPACE/NAME, each no longer than
// Kubernetes allows.
func (c claims) claimed() string {
	clip := func(name string) string { return name[:min(len(name), 253)] }
	return clip(c.pod.namespace) + "/" + clip(c.podName)
}

// check says what makes the token no good at the given time.
func (c claims) check(now time.Time) error {
	if !slices.Contains(c.audience, identity.Audience) {
		return errors.New("token is not for the audience " + identity.Audience)
	}
	return c.validity.check(now)
}

// leeway is how far a pod's token may lie in the future. A new token begins
// when the API server makes it, so it does on every node whose clock is behind;
// the upstream, which has a clock of its own, is the one to judge.
const leeway = 15 * time.Minute

func (v validity) check(now time.Time) error {
	switch {
	case !now.Before(v.expires):
		return errors.New("token is expired")
	case now.Add(leeway).Before(v.notBefore):
		return errors.New("token is not valid yet")
	}
	return nil
}
