// Package review verifies service account tokens by asking the cluster's API
// server: the token by TokenReview, and that the pod it is bound to exists.
package review

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
)

const (
	// maxToken bounds a token, in bytes. Kubernetes' own are one to two KiB.
	maxToken = 16 << 10
	// defaultTimeout leaves time for two role assumptions within an agent's
	// patience of five seconds.
	defaultTimeout = 2 * time.Second
)

// The user's extra fields in which the API server tells what a token is bound to
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller,
// k8s.io/apiserver/pkg/authentication/serviceaccount).
const (
	podNameKey      = "authentication.kubernetes.io/pod-name"
	podUIDKey       = "authentication.kubernetes.io/pod-uid"
	nodeNameKey     = "authentication.kubernetes.io/node-name"
	nodeUIDKey      = "authentication.kubernetes.io/node-uid"
	credentialIDKey = "authentication.kubernetes.io/credential-id"
)

// Reviews creates TokenReviews; the typed client's TokenReviews() does.
type Reviews interface {
	Create(ctx context.Context, review *authenticationv1.TokenReview, opts metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

// Config says how tokens are reviewed. Cluster and Reviews are required.
type Config struct {
	// Cluster is the name of the API server's cluster.
	Cluster string
	// Reviews is the API server.
	Reviews Reviews
	// Audience is the one that tokens must have been issued for. Empty: identity.Audience.
	Audience string
	// Timeout bounds one review. 0: 2 s.
	Timeout time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Verifier verifies tokens by TokenReview. It remembers none: a token ends with
// its pod, and the agents ask seldom enough. It is safe for concurrent use.
type Verifier struct{ config Config }

// New makes a Verifier. It asks nothing yet.
func New(c Config) (*Verifier, error) {
	if c.Cluster == "" || c.Reviews == nil {
		return nil, errors.New("review: Cluster and Reviews are required")
	}
	if c.Audience == "" {
		c.Audience = identity.Audience
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Verifier{c}, nil
}

// Verify returns the subject that raw proves in the cluster of that name.
//
// An authenticated review proves the signature, the issuer, the audience and
// the times, and that the service account and the pod exist with the token's
// uids (kubernetes/pkg/serviceaccount/claims.go, Validate). But the API server
// remembers that for up to ten seconds (--token-success-cache-ttl of its
// options; kubernetes/pkg/kubeapiserver/options/authentication.go), so a
// deleted pod's token outlives it by as much: Existing closes that gap.
//
// Its error is an *identity.Error: NotFound for another cluster, InvalidRequest
// for what has not the form of a token, InvalidToken, ExpiredToken, and
// Unavailable when the API server does not answer.
func (v *Verifier) Verify(ctx context.Context, clusterName, raw string) (identity.Subject, error) {
	if clusterName != v.config.Cluster {
		return identity.Subject{}, identity.Errorf(identity.NotFound, "No cluster found for name: %s.", clusterName)
	}
	if len(raw) > maxToken || !identity.IsToken(raw) {
		return identity.Subject{}, identity.Errorf(identity.InvalidRequest, "The token included in the request is malformed")
	}
	ctx, cancel := context.WithTimeout(ctx, v.config.Timeout)
	defer cancel()
	answer, err := v.config.Reviews.Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: raw, Audiences: []string{v.config.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return identity.Subject{}, identity.Errorf(identity.Unavailable, "The cluster's API server cannot review the token at present.").Because(err)
	}
	times := claimedTimes(raw)
	if !answer.Status.Authenticated {
		return identity.Subject{}, v.refused(times, answer.Status.Error)
	}
	// A server that knows no audiences would have reviewed the token for its own
	// (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/).
	if !slices.Contains(answer.Status.Audiences, v.config.Audience) {
		return identity.Subject{}, invalid("it is not for the audience " + v.config.Audience)
	}
	return subject(answer.Status.User, times)
}

// refused says why a token was not authenticated, as far as it is known: the API
// server's own text is for logs. Whether the token has expired can be read from
// it, because it is refused in any case.
func (v *Verifier) refused(times jwt.Claims, cause string) error {
	now := v.config.Now()
	if times.Expiry != nil && !now.Before(times.Expiry.Time()) {
		return identity.Errorf(identity.ExpiredToken,
			"The token included in the request is expired: current date/time %s must be before the expiration date/time %s",
			now.UTC().Format(time.RFC3339Nano), times.Expiry.Time().UTC().Format(time.RFC3339)).Because(errors.New(cause))
	}
	return invalid("the cluster's API server does not accept it").Because(errors.New(cause))
}

// algorithms need only cover what API servers sign with: nothing is verified by them here.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// claimedTimes returns the registered claims of raw as they stand: they are to
// be believed only once the API server has authenticated the same bytes.
func claimedTimes(raw string) (claims jwt.Claims) {
	if parsed, err := jwt.ParseSigned(raw, algorithms); err == nil {
		// What cannot be read stays zero, which is what a token without them has.
		_ = parsed.UnsafeClaimsWithoutVerification(&claims)
	}
	return claims
}

// subject returns who an authenticated token is about, once it proves to be a
// service account's and bound to a pod.
func subject(user authenticationv1.UserInfo, times jwt.Claims) (identity.Subject, error) {
	account, isServiceAccount := strings.CutPrefix(user.Username, "system:serviceaccount:")
	namespace, name, named := strings.Cut(account, ":")
	if !isServiceAccount || !named || namespace == "" || name == "" || strings.Contains(name, ":") || user.UID == "" {
		return identity.Subject{}, invalid("it is not of a service account")
	}
	s := identity.Subject{
		Namespace: namespace, ServiceAccount: name, ServiceAccountUID: user.UID,
		PodName: extra(user, podNameKey), PodUID: extra(user, podUIDKey),
		NodeName: extra(user, nodeNameKey), NodeUID: extra(user, nodeUIDKey),
		TokenID: strings.TrimPrefix(extra(user, credentialIDKey), "JTI="),
	}
	if s.PodName == "" || s.PodUID == "" {
		return identity.Subject{}, invalid("it is not bound to a pod")
	}
	if times.Expiry == nil {
		return identity.Subject{}, invalid("it has no expiration time")
	}
	s.Expires = times.Expiry.Time().UTC()
	return s, nil
}

// extra returns the one value of a key; none or many are nothing to rely on.
func extra(user authenticationv1.UserInfo, key string) string {
	if values := user.Extra[key]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// invalid says why a token is refused. AWS's own text is not documented.
func invalid(why string) *identity.Error {
	return identity.Errorf(identity.InvalidToken, "The token included in the request is not valid: %s", why)
}
