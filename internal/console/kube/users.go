// Package kube is the console's side of a Kubernetes cluster: its users, who are
// known by the tokens that they show and do everything with these, and its
// associations as records.
package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// Reviews are the two that podid itself asks the API server for.
type (
	TokenReviews interface {
		Create(ctx context.Context, review *authenticationv1.TokenReview, opts metav1.CreateOptions) (*authenticationv1.TokenReview, error)
	}
	AccessReviews interface {
		Create(ctx context.Context, review *authorizationv1.SubjectAccessReview, opts metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error)
	}
)

// Config says how users are known and what they work with. All is required.
type Config struct {
	// Cluster is the cluster as AWS would name it.
	Cluster identity.Cluster
	// API is how to reach the API server. Its credentials are podid's, and no user gets them.
	API *rest.Config
	// Scheme has the kinds, and Live is podid's own client, whose knowledge of
	// resources the users' clients share.
	Scheme *runtime.Scheme
	Live   client.Client
	// Tokens and Access are the reviews.
	Tokens TokenReviews
	Access AccessReviews
	// Object returns the informer's association of a service account, or nil.
	Object func(namespace, serviceAccount string) *v1alpha1.PodIdentityAssociation
	// Namespaces are those that have associations.
	Namespaces func() []string
	// Pods are those of a service account.
	Pods func(ctx context.Context, namespace, serviceAccount string) ([]console.Pod, error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

const (
	// rememberFor is how long it is remembered who a token is of, and what they
	// may: as long as the API server remembers the first
	// (--token-success-cache-ttl of kubernetes/pkg/kubeapiserver/options/authentication.go).
	rememberFor = 10 * time.Second
	// maxRemembered bounds the users remembered.
	maxRemembered = 1000
	// maxToken bounds a token, in bytes.
	maxToken = 16 << 10
	// reviewTimeout bounds one review, maxReviews those under way.
	reviewTimeout = 5 * time.Second
	maxReviews    = 64
	// maxNamespaces bounds the namespaces that a user who may not list all is asked
	// about.
	maxNamespaces = 2000
)

// Users finds out who asks. It is safe for concurrent use.
type Users struct {
	config  Config
	reviews chan struct{} // slots

	mu   sync.Mutex
	held map[[sha256.Size]byte]*user
}

// New makes a Users. It asks nothing yet.
func New(c Config) (*Users, error) {
	if c.Cluster == (identity.Cluster{}) || c.API == nil || c.Scheme == nil || c.Live == nil || c.Tokens == nil || c.Access == nil ||
		c.Object == nil || c.Namespaces == nil || c.Pods == nil {
		return nil, errors.New("console/kube: all of Config but Now is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Users{config: c, reviews: make(chan struct{}, maxReviews), held: map[[sha256.Size]byte]*user{}}, nil
}

// User is for console.Config.User: the user of the bearer token.
func (u *Users) User(r *http.Request) (console.User, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	token = strings.TrimSpace(token)
	if !ok || token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return nil, identity.Errorf(identity.Unauthenticated, "A bearer token of the cluster is needed, such as that of: kubectl create token NAME -n NAMESPACE.")
	}
	hash := sha256.Sum256([]byte(token))
	if found := u.remembered(hash); found != nil {
		return found, nil
	}
	found, err := u.review(r.Context(), identity.Secret(token))
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.held) >= maxRemembered {
		clear(u.held)
	}
	u.held[hash] = found
	return found, nil
}

func (u *Users) remembered(hash [sha256.Size]byte) *user {
	u.mu.Lock()
	defer u.mu.Unlock()
	found := u.held[hash]
	if found == nil || !u.config.Now().Before(found.until) {
		delete(u.held, hash)
		return nil
	}
	return found
}

// review asks the API server who the token is of: one that it takes for itself.
func (u *Users) review(ctx context.Context, token identity.Secret) (*user, error) {
	ctx, done, err := u.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	answer, err := u.config.Tokens.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Reveal()}}, metav1.CreateOptions{})
	if err != nil {
		return nil, identity.Errorf(identity.Unavailable, "The cluster's API server cannot review the token at present.").Because(err)
	}
	if !answer.Status.Authenticated || answer.Status.User.Username == "" {
		return nil, identity.Errorf(identity.Unauthenticated, "The cluster's API server does not accept the token: it has expired, or is not for the API server.")
	}
	who := answer.Status.User
	found := &user{users: u, info: who, token: token, until: u.config.Now().Add(rememberFor), extra: map[string]authorizationv1.ExtraValue{}, answers: map[question]*answered{}}
	for key, values := range who.Extra {
		found.extra[key] = authorizationv1.ExtraValue(values)
	}
	return found, nil
}

// turn waits for a slot for a review.
func (u *Users) turn(ctx context.Context) (context.Context, func(), error) {
	select {
	case u.reviews <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, identity.Errorf(identity.Unavailable, "The request was given up.").Because(ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	return ctx, func() { cancel(); <-u.reviews }, nil
}
