package install

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/podid/podid/internal/identity"
)

// oldest is the oldest minor version of Kubernetes 1 that podid works with: the
// first with validating admission policies that need no switching on
// (https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/).
const oldest = 30

// reachable tells whether the API server answers, and of which version it is.
func (k *checker) reachable(ctx context.Context) bool {
	const what = "API server"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var v version.Info
	text, err := k.client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		k.say(what, Failed, err.Error(), "choose a cluster that answers: --context, or KUBECONFIG")
		return false
	}
	minor, err := strconv.Atoi(strings.TrimRight(v.Minor, "+"))
	switch {
	case err != nil || v.Major != "1":
		k.say(what, Unknown, "version "+v.GitVersion+" is unlike Kubernetes'", "")
	case minor < oldest:
		k.say(what, Failed, "version "+v.GitVersion, fmt.Sprintf("upgrade to 1.%d or later: its tokens name their node, and it refuses pods that podid should have changed", oldest))
	default:
		k.say(what, OK, "version "+v.GitVersion, "")
	}
	return true
}

// issuer looks at who issues service account tokens.
func (k *checker) issuer(ctx context.Context) {
	const what = "token issuer"
	// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
	var provider struct {
		Issuer     string   `json:"issuer"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	var keys struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	get := func(path string, into any) error {
		text, err := k.client.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, into)
	}
	err := get("/.well-known/openid-configuration", &provider)
	if err == nil {
		err = get("/openid/v1/jwks", &keys)
	}
	if err != nil {
		if apierrors.IsForbidden(err) {
			k.say(what, Unknown, "you may not read it", "podid may, as all service accounts, by the ClusterRole system:service-account-issuer-discovery")
			return
		}
		k.say(what, Failed, err.Error(), "start the API server with --service-account-issuer=https://...")
		return
	}
	found := fmt.Sprintf("%s, %d keys, signs with %s", provider.Issuer, len(keys.Keys), strings.Join(provider.Algorithms, ", "))
	if !strings.HasPrefix(provider.Issuer, "https://") {
		k.say(what, Warning, found, "the cluster's tokens work for podid; AWS itself (web identity) needs an issuer with https")
		return
	}
	k.say(what, OK, found, "")
}

// wantedLife is what the webhook asks for pods' tokens
// (https://github.com/aws/amazon-eks-pod-identity-webhook, --token-expiration).
const wantedLife = 24 * time.Hour

// tokens asks for one as pods get them: the API server issues tokens for
// whatever audience is asked for, whatever its own (--api-audiences) are.
func (k *checker) tokens(ctx context.Context) {
	const what = "service account tokens"
	seconds := int64(wantedLife / time.Second)
	answer, err := k.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).CreateToken(ctx, "default", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{identity.Audience}, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case apierrors.IsForbidden(err):
		k.say(what, Unknown, "you may not ask for one: "+err.Error(), "look again as someone who has the verb create on serviceaccounts/token")
		return
	case err != nil:
		k.say(what, Failed, err.Error(), "the API server has to issue tokens: --service-account-issuer, --service-account-signing-key-file")
		return
	}
	life := answer.Status.ExpirationTimestamp.Sub(k.config.Now()).Round(time.Minute)
	found := fmt.Sprintf("issued for %s, valid for %v", identity.Audience, life)
	review, err := k.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: answer.Status.Token, Audiences: []string{identity.Audience}},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err):
		found += "; you may not have it reviewed"
	case err != nil:
		k.say(what, Unknown, found+"; "+err.Error(), "")
		return
	case !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, identity.Audience):
		k.say(what, Failed, found+"; but a review refuses it: "+review.Status.Error, "whatever authenticates the API server's users (--authentication-token-webhook-config-file) has to heed audiences")
		return
	}
	if life < wantedLife/2 {
		k.say(what, Warning, found, "raise --service-account-max-token-expiration: a pod whose token changes while podid is away waits for it, and short tokens change often")
		return
	}
	k.say(what, OK, found, "")
}

// date is the clock of the API server: what it puts on an answer, and how far
// this machine's is ahead.
func (k *checker) date(ctx context.Context) (ahead time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(hostURL(k.config.API.Host), "/")+"/version", nil)
	if err != nil {
		return 0, err
	}
	before := k.config.Now()
	answer, err := k.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return since(answer.Header.Get("Date"), before, k.config.Now())
}

func hostURL(host string) string {
	if strings.Contains(host, "://") {
		return host
	}
	return "https://" + host
}

// since returns how far the clock that read before and after is ahead of the one
// that put date, which has whole seconds, on an answer in between.
func since(date string, before, after time.Time) (time.Duration, error) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return 0, err
	}
	switch {
	case before.After(theirs.Add(time.Second)):
		return before.Sub(theirs.Add(time.Second)), nil
	case after.Before(theirs):
		return after.Sub(theirs), nil
	}
	return 0, nil
}
