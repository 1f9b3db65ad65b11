// Package token verifies service account tokens offline, by the public keys of
// the cluster that issued them. It knows many clusters and asks none of them
// about a token: a token stays valid until it expires.
package token

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/podid/podid/internal/identity"
)

// maxToken bounds a token, in bytes. Kubernetes' own are one to two KiB.
const maxToken = 16 << 10

// skew is how far an issuer's clock may run ahead of ours: it applies to nbf
// and iat. exp has no leeway, because pods' tokens are renewed when a fifth of
// their life is left, long before skew could matter.
const skew = 30 * time.Second

// algorithms are those with which a Kubernetes API server signs: by its own
// keys, and by an external signer
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#external-serviceaccount-token-signing-and-key-management).
// "none" and the HMACs must never be among them (RFC 8725 sections 3.1, 3.2).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// isObjectName tells whether s has the form that names of namespaces, service
// accounts, pods and nodes have in common: a DNS subdomain (RFC 1123)
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
// It has no colon, so that sub can be taken apart in one way only.
func isObjectName(s string) bool {
	if s == "" || len(s) > 253 || !isLowerAlphanumeric(s[0]) || !isLowerAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLowerAlphanumeric(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// isObjectUID tells whether s has the form of an object's uid: a UUID, or the
// hash that names a static pod.
func isObjectUID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLowerAlphanumeric(c) && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 64
}

func isLowerAlphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// Issuer says whose tokens a cluster accepts.
type Issuer struct {
	// URL is the iss claim: the API server's --service-account-issuer.
	URL string
	// JWKSURL is where the issuer publishes its keys. It must be https, or http
	// to this machine.
	JWKSURL string
	// JWKS is the key set itself (RFC 7517 section 5), in place of JWKSURL.
	JWKS []byte
	// Audience is what the aud claim must contain. Empty: identity.Audience.
	Audience string
}

// Config says which clusters there are.
type Config struct {
	// Clusters maps the names of clusters to their issuers. Two clusters may
	// not share an issuer URL, or one's tokens would be good for the other.
	Clusters map[string]Issuer
	// HTTPClient fetches key sets; redirects are not followed. Nil: a plain client.
	HTTPClient *http.Client
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Verifier verifies service account tokens. It is safe for concurrent use.
type Verifier struct {
	clusters map[string]cluster
	now      func() time.Time
}

type cluster struct {
	issuer, audience string
	keys             *keySet
}

// New makes a Verifier. It fetches nothing yet.
func New(c Config) (*Verifier, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{}
	}
	v := &Verifier{clusters: make(map[string]cluster, len(c.Clusters)), now: c.Now}
	owner := make(map[string]string, len(c.Clusters))
	for name, issuer := range c.Clusters {
		if issuer.URL == "" {
			return nil, fmt.Errorf("cluster %s: the issuer has no URL", name)
		}
		if other, taken := owner[issuer.URL]; taken {
			return nil, fmt.Errorf("clusters %s and %s have the same issuer, %s", other, name, issuer.URL)
		}
		owner[issuer.URL] = name
		keys, err := newKeySet(issuer, c.HTTPClient, c.Now)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", name, err)
		}
		if issuer.Audience == "" {
			issuer.Audience = identity.Audience
		}
		v.clusters[name] = cluster{issuer: issuer.URL, audience: issuer.Audience, keys: keys}
	}
	return v, nil
}

// Verify returns the subject that raw proves in the cluster of that name.
//
// Its error is an *identity.Error: NotFound for a cluster that is not
// configured, InvalidRequest for what has not the form of a token, InvalidToken
// and ExpiredToken, and Unavailable when the cluster's keys cannot be fetched.
func (v *Verifier) Verify(ctx context.Context, clusterName, raw string) (identity.Subject, error) {
	c, ok := v.clusters[clusterName]
	if !ok {
		return identity.Subject{}, identity.Errorf(identity.NotFound, "No cluster found for name: %s.", clusterName)
	}
	if len(raw) > maxToken {
		return identity.Subject{}, identity.Errorf(identity.InvalidRequest, "The token included in the request is longer than %d bytes", maxToken)
	}
	if !identity.IsToken(raw) {
		return identity.Subject{}, identity.Errorf(identity.InvalidRequest, "The token included in the request is malformed")
	}
	claims, err := c.authentic(ctx, raw)
	if err != nil {
		return identity.Subject{}, err
	}
	if err := c.current(claims, v.now()); err != nil {
		return identity.Subject{}, err
	}
	return claims.subject()
}

// authentic returns the claims of raw once its signature is verified.
func (c cluster) authentic(ctx context.Context, raw string) (*claims, error) {
	parsed, err := jwt.ParseSigned(raw, algorithms)
	if err != nil {
		return nil, invalid("it cannot be parsed, or its algorithm is not accepted").Because(err)
	}
	header := parsed.Headers[0] // a compact serialization has exactly one
	if header.KeyID == "" {
		return nil, invalid("it names no key")
	}
	// The key comes from the issuer's set alone: keys that a token itself
	// carries or points to (jwk, jku, x5c, x5u) are whatever its maker likes.
	key, err := c.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key == nil || key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, invalid("the cluster's issuer has no such key")
	}
	var claims claims
	if err := parsed.Claims(key.Key, &claims); err != nil {
		return nil, invalid("its signature does not verify").Because(err)
	}
	return &claims, nil
}

// current checks that the claims are meant for this cluster, this audience and
// this time.
func (c cluster) current(claims *claims, now time.Time) error {
	switch {
	case claims.Issuer != c.issuer:
		return invalid("it is not from the cluster's issuer")
	case !slices.Contains(claims.Audience, c.audience):
		return invalid("it is not for the audience " + c.audience)
	case claims.Expiry == nil:
		return invalid("it has no expiration time")
	case claims.NotBefore != nil && now.Add(skew).Before(claims.NotBefore.Time()):
		return invalid("it is not valid yet")
	case claims.IssuedAt != nil && now.Add(skew).Before(claims.IssuedAt.Time()):
		return invalid("it is issued in the future")
	}
	if expires := claims.Expiry.Time(); !now.Before(expires) {
		// AWS's own text, as in https://github.com/aws/eks-pod-identity-agent/issues/89.
		return identity.Errorf(identity.ExpiredToken,
			"The token included in the request is expired: current date/time %s must be before the expiration date/time %s",
			now.UTC().Format(time.RFC3339Nano), expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// subject returns who the claims are about, once everything that podid relies
// on is there and agrees.
func (c *claims) subject() (identity.Subject, error) {
	k := c.Kubernetes
	for _, name := range []string{k.Namespace, k.ServiceAccount.Name, k.Pod.Name} {
		if !isObjectName(name) {
			return identity.Subject{}, invalid("it is not bound to a pod")
		}
	}
	for _, uid := range []string{k.ServiceAccount.UID, k.Pod.UID} {
		if !isObjectUID(uid) {
			return identity.Subject{}, invalid("it lacks the uid of its pod or service account")
		}
	}
	if k.Node != (reference{}) && (!isObjectName(k.Node.Name) || k.Node.UID != "" && !isObjectUID(k.Node.UID)) {
		return identity.Subject{}, invalid("it names its node wrongly")
	}
	if c.Subject != "system:serviceaccount:"+k.Namespace+":"+k.ServiceAccount.Name {
		return identity.Subject{}, invalid("its subject is not its service account")
	}
	return identity.Subject{
		Namespace:         k.Namespace,
		ServiceAccount:    k.ServiceAccount.Name,
		ServiceAccountUID: k.ServiceAccount.UID,
		PodName:           k.Pod.Name,
		PodUID:            k.Pod.UID,
		NodeName:          k.Node.Name,
		NodeUID:           k.Node.UID,
		TokenID:           c.ID,
		Expires:           c.Expiry.Time().UTC(),
	}, nil
}

// invalid says why a token is refused. AWS's own text is not documented.
func invalid(why string) *identity.Error {
	return identity.Errorf(identity.InvalidToken, "The token included in the request is not valid: %s", why)
}
