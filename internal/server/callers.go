package server

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/rbac"
)

// tokens verifies service account tokens, as issue.Verifier does.
type tokens interface {
	Verify(ctx context.Context, cluster, raw string) (identity.Subject, error)
}

// callers finds out who sends requests.
type callers struct {
	cluster identity.Cluster
	users   *rbac.Users
	keys    *accesskey.Verifier
	agents  tokens // for the audience of agents
	reviews reviews
	account types.NamespacedName
	proven  proven
}

// ofEKS returns who asks the association API: the user of an access key.
func (c *callers) ofEKS(r *http.Request) (identity.Caller, error) { return c.key(r, accesskey.UseEKS) }

// ofEKSAuth returns who asks the EKS Auth API: one of podid's agents by its own
// token, or the user of an access key, as the stock agent's.
func (c *callers) ofEKSAuth(r *http.Request) (identity.Caller, error) {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return c.agent(r.Context(), token)
	}
	return c.key(r, accesskey.UseEKSAuth)
}

func (c *callers) key(r *http.Request, use string) (identity.Caller, error) {
	key, service, err := c.keys.Verify(r)
	if err != nil {
		return nil, unavailable(err)
	}
	if service != use {
		return nil, &awswire.Error{Code: "InvalidSignatureException", Status: http.StatusForbidden,
			Message: "Credential should be scoped to correct service: '" + use + "'."}
	}
	return signed{c.users.Caller(key.User, "", key.Groups, nil), key}, nil
}

// reviews creates TokenReviews; the typed client's TokenReviews() does.
type reviews interface {
	Create(ctx context.Context, review *authenticationv1.TokenReview, opts metav1.CreateOptions) (*authenticationv1.TokenReview, error)
}

// reviewTimeout bounds the review of a user's token.
const reviewTimeout = 5 * time.Second

// ofUser finds out which user of the cluster sends a request: by a token that its
// API server takes, or by an access key.
func (c *callers) ofUser(r *http.Request) (identity.Caller, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return c.key(r, accesskey.UseEKS)
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	review, err := c.reviews.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return nil, unavailable(identity.Errorf(identity.Unavailable, "The cluster's API server cannot say at present whose token this is.").Because(err))
	}
	if !review.Status.Authenticated {
		return nil, &awswire.Error{Code: "UnrecognizedClientException", Status: http.StatusUnauthorized, Message: "The cluster's API server does not accept the token."}
	}
	extra := map[string][]string{}
	for k, v := range review.Status.User.Extra {
		extra[k] = v
	}
	u := review.Status.User
	return c.users.Caller(u.Username, u.UID, u.Groups, extra), nil
}

// signed is a user who came with an access key.
type signed struct {
	identity.Caller
	key accesskey.Key
}

// User returns whom the key stands for, for audit events.
func (s signed) User() (name string, groups []string) { return s.key.User, s.key.Groups }

// AccessKeyID returns the id of the key, for audit events.
func (s signed) AccessKeyID() string { return s.key.ID }

// unavailable puts what may work later so that clients try again.
func unavailable(err error) error {
	if identity.KindOf(err) == identity.Unavailable {
		return &awswire.Error{Code: "ServiceUnavailableException", Status: http.StatusServiceUnavailable, Message: identity.SafeMessage(err)}
	}
	return err
}

// agent returns the agent whose token it is.
func (c *callers) agent(ctx context.Context, token string) (identity.Caller, error) {
	hash := sha256.Sum256([]byte(token))
	s, known := c.proven.find(hash, time.Now())
	if !known {
		var err error
		if s, err = c.agents.Verify(ctx, c.cluster.Name, token); err != nil {
			if identity.KindOf(err) == identity.Unavailable {
				return nil, unavailable(err)
			}
			return nil, refusedAgent("the agent's own token: " + identity.SafeMessage(err))
		}
	}
	if s.Namespace != c.account.Namespace || s.ServiceAccount != c.account.Name {
		return nil, refusedAgent("the token is of service account " + s.Namespace + "/" + s.ServiceAccount + ", and agents have " + c.account.String())
	}
	if !known {
		c.proven.keep(hash, s, time.Now())
	}
	return &agentCaller{cluster: c.cluster, subject: s}, nil
}

func refusedAgent(why string) error {
	return &awswire.Error{Code: "UnrecognizedClientException", Status: http.StatusForbidden, Message: "podid does not know this agent: " + why + "."}
}

// agentCaller is the agent of one node.
type agentCaller struct {
	cluster identity.Cluster
	subject identity.Subject
}

var _ eksauth.NodeCaller = (*agentCaller)(nil)

// ARN names the agent as rbac names users, for logs.
func (a *agentCaller) ARN() string {
	return identity.ARN{
		Partition: identity.Partition(a.cluster.Region), Service: "eks", Region: a.cluster.Region, AccountID: a.cluster.AccountID,
		Resource: "user/" + a.cluster.Name + "/system:serviceaccount:" + a.subject.Namespace + ":" + a.subject.ServiceAccount,
	}.String()
}

func (a *agentCaller) AccountID() string { return a.cluster.AccountID }
func (a *agentCaller) NodeName() string  { return a.subject.NodeName }

// Authorize allows what agents are for, and nothing else. That they get
// credentials for their own node's pods alone, issuing sees to.
func (a *agentCaller) Authorize(_ context.Context, access identity.Access) error {
	if access.Action == eksauth.Service+":AssumeRoleForPodIdentity" {
		return nil
	}
	return identity.Errorf(identity.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s because agents may only ask for the credentials of pods",
		a.ARN(), access.Action, access.Resource)
}

// proven remembers agents' tokens for as long as the API server itself
// remembers that it authenticated one (--token-success-cache-ttl of
// kubernetes/pkg/kubeapiserver/options/authentication.go).
type proven struct {
	mu   sync.Mutex
	held map[[sha256.Size]byte]provenAgent
}

type provenAgent struct {
	subject identity.Subject
	until   time.Time
}

const (
	provenFor = 10 * time.Second
	maxProven = 10_000 // agents; Kubernetes is built for half as many nodes
)

func (p *proven) find(hash [sha256.Size]byte, now time.Time) (identity.Subject, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.held[hash]
	return a.subject, ok && now.Before(a.until)
}

func (p *proven) keep(hash [sha256.Size]byte, s identity.Subject, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) >= maxProven || p.held == nil {
		p.held = map[[sha256.Size]byte]provenAgent{}
	}
	until := now.Add(provenFor)
	if s.Expires.Before(until) {
		until = s.Expires
	}
	p.held[hash] = provenAgent{s, until}
}
