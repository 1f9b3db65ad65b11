package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/sts"
	"github.com/podid/podid/internal/token"
)

const (
	issuerURL     = "https://kubernetes.default.svc"
	agentAudience = "podid-agent"
)

var home = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}

func exampleAssociation() identity.Association {
	return identity.Association{
		ID: "a-abcdefghijklmnop1", Cluster: home, Namespace: "default", ServiceAccount: "app",
		RoleARN: "arn:aws:iam::111122223333:role/pods", TargetRoleARN: "arn:aws:iam::444455556666:role/data",
	}
}

// serveIssuing is the server's path of its real rooms: the agent's and the
// pod's tokens verified, the chain, the audit event, the answer over TLS. Its
// arguments are the address of STS; the cluster's keys come on standard input.
func serveIssuing(ctx context.Context, args []string) error {
	keys, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	handler, err := issuingHandler(keys, args[0])
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	return serve(ctx, &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}})
}

// issuingHandler is the handler that serveIssuing serves.
func issuingHandler(keys []byte, stsURL string) (http.Handler, error) {
	pods, err := token.New(token.Config{Clusters: map[string]token.Issuer{home.Name: {URL: issuerURL, JWKS: keys}}})
	if err != nil {
		return nil, err
	}
	agents, err := token.New(token.Config{Clusters: map[string]token.Issuer{home.Name: {URL: issuerURL, JWKS: keys, Audience: agentAudience}}})
	if err != nil {
		return nil, err
	}
	roles, err := sts.New(sts.Config{AWS: aws.Config{
		Region: home.Region, BaseEndpoint: aws.String(stsURL), Credentials: credentials.NewStaticCredentialsProvider("AKIAPODID", "example", ""),
	}, Once: true, Timeout: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	chains, err := chain.New(chain.Config{Roles: roles, Rate: 1e6})
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	issuing, err := issue.New(issue.Config{Verifier: pods, Associations: one{}, Chains: chains, Audit: audit.NewWriter(log)})
	if err != nil {
		return nil, err
	}
	handler, err := eksauth.New(eksauth.Config{
		Issue: issuing.Issue, Cluster: func(name string) (identity.Cluster, bool) { return home, name == home.Name }, Caller: callers{agents, new(sync.Map)}.of,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /prewarm", prewarming{pods, chains})
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(awswire.WithRequestID(r.Context())))
	}))
	return mux, nil
}

// one association is all there is.
type one struct{}

func (one) Lookup(context.Context, string, string, string) (identity.Association, error) {
	return exampleAssociation(), nil
}

// callers are agents, which prove themselves by their own tokens. As in
// internal/server, a token that was verified is remembered for ten seconds.
type callers struct {
	tokens *token.Verifier
	proven *sync.Map // from sha256 of a token to provenAgent
}

type provenAgent struct {
	node  string
	until time.Time
}

func (c callers) of(r *http.Request) (identity.Caller, error) {
	own, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	hash := sha256.Sum256([]byte(own))
	if known, ok := c.proven.Load(hash); ok && time.Now().Before(known.(provenAgent).until) {
		return nodeAgent{known.(provenAgent).node}, nil
	}
	s, err := c.tokens.Verify(r.Context(), home.Name, own)
	if err != nil {
		return nil, &awswire.Error{Code: "UnrecognizedClientException", Status: http.StatusForbidden, Message: identity.SafeMessage(err)}
	}
	c.proven.Store(hash, provenAgent{s.NodeName, time.Now().Add(10 * time.Second)})
	return nodeAgent{s.NodeName}, nil
}

type nodeAgent struct{ node string }

func (nodeAgent) ARN() string                                      { return "system:serviceaccount:podid-agent:podid-agent" }
func (nodeAgent) AccountID() string                                { return home.AccountID }
func (nodeAgent) Authorize(context.Context, identity.Access) error { return nil }
func (a nodeAgent) NodeName() string                               { return a.node }

// prewarming makes the chain of a pod ready, as the server does for pods that
// were bound to a node, and answers when it is.
type prewarming struct {
	tokens *token.Verifier
	chains *chain.Cache
}

func (p prewarming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s, err := p.tokens.Verify(r.Context(), home.Name, string(text))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.chains.Prewarm(exampleAssociation(), s)
	for p.chains.Stats().Flights > 0 {
		time.Sleep(time.Millisecond)
	}
	w.Header().Set("Content-Length", "0")
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"podid.podid.svc"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
