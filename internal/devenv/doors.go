package devenv

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/issuer"
)

// front gives unsigned requests below /_podid/ to development mode itself, those
// below /console/ to the console, and everything else to AWS. No bucket can have
// the first name.
type front struct{ own, console, aws http.Handler }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_podid/") && r.Header.Get("Authorization") == "":
		f.own.ServeHTTP(w, r)
	case isConsole(r):
		f.console.ServeHTTP(w, r)
	case isBrowser(r):
		http.Redirect(w, r, console.Path, http.StatusFound)
	default:
		f.aws.ServeHTTP(w, r)
	}
}

// loopbackOnly refuses requests that a web page could have been tricked into
// sending: those that name this machine by another name (DNS rebinding).
func loopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "ask at a loopback address, such as http://127.0.0.1:7300", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// upstreams finds a pod's cluster by the issuer of its token. The choice need
// not be trusted: the server verifies the token for the cluster asked for.
type upstreams struct {
	byIssuer map[string]*eksauth.Client
	first    *eksauth.Client
}

func (u *upstreams) AssumeRoleForPodIdentity(ctx context.Context, token identity.Secret) (*eksauth.Grant, error) {
	if client, ok := u.byIssuer[issuerOf(token.Reveal())]; ok {
		return client.AssumeRoleForPodIdentity(ctx, token)
	}
	return u.first.AssumeRoleForPodIdentity(ctx, token)
}

// issuerOf reads the iss claim of a token without verifying anything.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// minLifetime and maxLifetime are the API server's bounds of a TokenRequest, in seconds
// (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/).
const (
	minLifetime = 600
	maxLifetime = 1 << 32
)

// tokenDoor mints tokens for whoever may podid:CreateToken on the cluster, as
// the administrators of its account may.
type tokenDoor struct {
	clusters func(name string) (identity.Cluster, bool)
	issuers  map[string]*issuer.Issuer
}

func (d *tokenDoor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /clusters/{cluster}/namespaces/{namespace}/serviceaccounts/{name}/token", func(w http.ResponseWriter, r *http.Request) {
		reply, err := d.mint(r)
		if err != nil {
			awswire.RESTJSON{}.WriteError(w, r, wireError(err))
			return
		}
		awswire.WriteJSON(w, r, http.StatusOK, reply)
	})
	return mux
}

// wireError is the token door's table of exceptions.
func wireError(err error) error {
	e := &awswire.Error{Code: "InternalServerException", Status: http.StatusInternalServerError, Message: identity.SafeMessage(err)}
	switch identity.KindOf(err) {
	case identity.InvalidParameter, identity.InvalidRequest:
		e.Code, e.Status = "InvalidParameterException", http.StatusBadRequest
	case identity.NotFound:
		e.Code, e.Status = "ResourceNotFoundException", http.StatusNotFound
	case identity.AccessDenied:
		e.Code, e.Status = "AccessDeniedException", http.StatusForbidden
	}
	return e
}

func (d *tokenDoor) mint(r *http.Request) (*TokenReply, error) {
	c, ok := awssim.CallerFrom(r.Context())
	if !ok {
		return nil, identity.Errorf(identity.AccessDenied, "Sign the request.")
	}
	cluster, ok := d.clusters(r.PathValue("cluster"))
	if !ok || cluster.AccountID != c.AccountID() {
		return nil, identity.Errorf(identity.NotFound, "No cluster found for name: %s. The caller's account must be the cluster's.", r.PathValue("cluster"))
	}
	if err := c.Authorize(r.Context(), identity.Access{Action: "podid:CreateToken", Resource: cluster.ARN()}); err != nil {
		return nil, err
	}
	var in tokenRequest
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return nil, identity.Errorf(identity.InvalidParameter, "%v", err)
	}
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	if !namespaceRE.MatchString(namespace) || len(name) > 253 || !saName.MatchString(name) {
		return nil, identity.Errorf(identity.InvalidParameter, "%s/%s does not name a service account: names are lower-case letters, digits and -.", namespace, name)
	}
	if in.ExpirationSeconds == 0 {
		in.ExpirationSeconds = 24 * 60 * 60
	}
	if in.ExpirationSeconds < minLifetime || in.ExpirationSeconds > maxLifetime {
		return nil, identity.Errorf(identity.InvalidParameter, "expirationSeconds: want %d to %d, the bounds of Kubernetes' TokenRequest.", minLifetime, maxLifetime)
	}
	lifetime := time.Duration(in.ExpirationSeconds) * time.Second
	if in.PodName == "" {
		in.PodName = name + "-" + uuid.NewString()[:5]
	}
	if in.PodUID == "" {
		in.PodUID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(cluster.ARN()+"/"+namespace+"/"+in.PodName)).String()
	}
	if in.NodeName == "" {
		in.NodeName = "podid-dev-node"
	}
	request := issuer.Request{
		Namespace: namespace, ServiceAccount: name, PodName: in.PodName, PodUID: in.PodUID, NodeName: in.NodeName, Lifetime: lifetime,
	}
	if in.Audience != "" {
		request.Audiences = []string{in.Audience}
	}
	now := time.Now()
	token, err := d.issuers[cluster.Name].Mint(request)
	if err != nil {
		return nil, err
	}
	return &TokenReply{Token: token, Expires: now.Add(lifetime).Truncate(time.Second), PodName: in.PodName, PodUID: in.PodUID, NodeName: in.NodeName}, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
