// Package issuer is a cluster's token issuer for development and tests. It
// mints service account tokens as an API server's TokenRequest does, and
// publishes its keys at the same paths.
package issuer

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/podid/podid/internal/identity"
)

// defaultLifetime is that of the tokens which the Pod Identity webhook projects
// (https://github.com/aws/amazon-eks-pod-identity-webhook).
const defaultLifetime = 24 * time.Hour

// Config says who the issuer is.
type Config struct {
	// URL is the iss claim. The handler must be reachable below it.
	URL string
	// KeyFile holds the signing key (PKCS #8, PEM) with mode 0600. It is made
	// when missing. Empty: a new key, in memory alone.
	KeyFile string
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Issuer mints tokens. It is safe for concurrent use.
type Issuer struct {
	url       string
	now       func() time.Time
	signer    jose.Signer
	jwks      []byte
	discovery []byte
}

// New makes an Issuer; a new key takes some tens of milliseconds.
func New(c Config) (*Issuer, error) {
	if c.URL == "" {
		return nil, errors.New("the issuer has no URL")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	key, err := loadKey(c.KeyFile)
	if err != nil {
		return nil, err
	}
	kid, err := keyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		return nil, err
	}
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &key.PublicKey, KeyID: kid, Algorithm: string(jose.RS256), Use: "sig"},
	}})
	if err != nil {
		return nil, err
	}
	discovery, err := json.Marshal(discoveryDocument{
		Issuer:        c.URL,
		JWKSURI:       strings.TrimSuffix(c.URL, "/") + "/openid/v1/jwks",
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		Algorithms:    []string{string(jose.RS256)},
	})
	if err != nil {
		return nil, err
	}
	return &Issuer{url: c.URL, now: c.Now, signer: signer, jwks: jwks, discovery: discovery}, nil
}

// keyID names a key as Kubernetes does: by the SHA-256 of its DER form.
func keyID(key *rsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// JWKS returns the public key set, for verifiers in the same process.
func (i *Issuer) JWKS() []byte { return i.jwks }

// Handler serves the discovery document and the key set, at the paths of an
// API server (https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery).
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(i.discovery)
	})
	mux.HandleFunc("GET /openid/v1/jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write(i.jwks)
	})
	return mux
}

// Request says what a token is for. Uids that are missing are made up from the
// names, so that an object keeps its uid from token to token.
type Request struct {
	Namespace         string
	ServiceAccount    string
	ServiceAccountUID string
	PodName           string // empty: the token is bound to no pod, and podid refuses it
	PodUID            string
	NodeName          string // empty: bound to no node
	NodeUID           string
	Audiences         []string      // empty: identity.Audience
	NotBefore         time.Time     // zero: now
	Lifetime          time.Duration // from NotBefore on; 0: 24 hours
}

// Mint returns a signed token.
func (i *Issuer) Mint(r Request) (string, error) {
	if r.Namespace == "" || r.ServiceAccount == "" {
		return "", errors.New("a token needs a namespace and a service account")
	}
	if r.Lifetime < 0 {
		return "", errors.New("a token's lifetime cannot be negative")
	}
	if r.Lifetime == 0 {
		r.Lifetime = defaultLifetime
	}
	if r.NotBefore.IsZero() {
		r.NotBefore = i.now()
	}
	if len(r.Audiences) == 0 {
		r.Audiences = []string{identity.Audience}
	}
	issued := jwt.NewNumericDate(r.NotBefore)
	return jwt.Signed(i.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer:    i.url,
			Subject:   "system:serviceaccount:" + r.Namespace + ":" + r.ServiceAccount,
			Expiry:    jwt.NewNumericDate(r.NotBefore.Add(r.Lifetime)),
			NotBefore: issued,
			IssuedAt:  issued,
			ID:        uuid.NewString(),
		},
		Audience: r.Audiences,
		Kubernetes: kubernetes{
			Namespace:      r.Namespace,
			Node:           i.reference("node", r.NodeName, r.NodeUID),
			Pod:            i.reference("pod/"+r.Namespace, r.PodName, r.PodUID),
			ServiceAccount: i.reference("serviceaccount/"+r.Namespace, r.ServiceAccount, r.ServiceAccountUID),
		},
	}).Serialize()
}

// reference names an object; scope tells apart objects of the same name.
func (i *Issuer) reference(scope, name, uid string) *reference {
	if name == "" {
		return nil
	}
	if uid == "" {
		uid = uuid.NewSHA1(uuid.NameSpaceURL, []byte(i.url+"/"+scope+"/"+name)).String()
	}
	return &reference{name, uid}
}
