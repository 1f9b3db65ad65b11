package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/accesskey"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/rbac"
	"github.com/podid/podid/internal/token"
	"github.com/podid/podid/internal/token/review"
)

// cluster is what the server has of its cluster.
type cluster struct {
	api       *rest.Config
	scheme    *runtime.Scheme
	client    kubernetes.Interface
	live      client.Client // neither reads nor writes through the cache
	cache     cache.Cache
	described association.Cluster
	issuer    string
	isSynced  chan struct{} // closed when the cache is
}

// connectTimeout bounds what is asked of the API server at the start.
const connectTimeout = 30 * time.Second

// connect makes the clients, and asks the API server who it is.
func connect(ctx context.Context, c Config) (*cluster, error) {
	api := rest.CopyConfig(c.API)
	// The API server limits its clients fairly; a limit here would only delay pods.
	api.QPS, api.Burst = -1, 0
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	k := &cluster{api: api, scheme: scheme, isSynced: make(chan struct{})}
	var err error
	if k.client, err = kubernetes.NewForConfig(api); err != nil {
		return nil, err
	}
	if k.live, err = client.New(api, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	k.cache, err = cache.New(api, cache.Options{
		Scheme:   scheme,
		ByObject: map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: slim}},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := k.describe(ctx, c); err != nil {
		return nil, fmt.Errorf("asking the API server at %s: %w", api.Host, err)
	}
	return k, nil
}

// describe finds out what DescribeCluster tells.
func (k *cluster) describe(ctx context.Context, c Config) error {
	version, err := k.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	text, err := k.client.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("the issuer of service account tokens: %w", err)
	}
	// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
	var provider struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(text, &provider); err != nil || provider.Issuer == "" {
		return errors.Join(errors.New("the configuration of its token issuer names none"), err)
	}
	k.issuer = provider.Issuer
	authority := k.api.CAData
	if len(authority) == 0 && k.api.CAFile != "" {
		if authority, err = os.ReadFile(k.api.CAFile); err != nil {
			return err
		}
	}
	k.described = association.Cluster{
		Cluster: c.Cluster, Version: version.Major + "." + version.Minor, PlatformVersion: "podid", Endpoint: c.Endpoint, Issuer: k.issuer,
		CertificateAuthority: base64.StdEncoding.EncodeToString(authority),
	}
	return nil
}

// podTokens verifies the tokens of pods.
func (k *cluster) podTokens(c Config) (*review.Existing, error) {
	var verifier review.Subjects
	var err error
	if c.Verification == JWKS {
		transport, err2 := rest.HTTPClientFor(k.api)
		if err2 != nil {
			return nil, err2
		}
		verifier, err = token.New(token.Config{HTTPClient: transport, Clusters: map[string]token.Issuer{
			c.Cluster.Name: {URL: k.issuer, JWKSURL: k.api.Host + "/openid/v1/jwks"},
		}})
	} else {
		verifier, err = review.New(review.Config{Cluster: c.Cluster.Name, Reviews: k.client.AuthenticationV1().TokenReviews()})
	}
	if err != nil {
		return nil, err
	}
	return &review.Existing{Tokens: verifier, Known: podsIn(k.cache), Read: podsIn(k.live)}, nil
}

// callers finds out who sends requests.
func (k *cluster) callers(c Config, users *rbac.Users) (*callers, error) {
	agents, err := review.New(review.Config{
		Cluster: c.Cluster.Name, Reviews: k.client.AuthenticationV1().TokenReviews(), Audience: c.AgentAudience,
	})
	if err != nil {
		return nil, err
	}
	keys, err := accesskey.NewVerifier(accesskey.Config{
		Secrets: k.client.CoreV1().Secrets(c.KeyNamespace), Region: c.Cluster.Region, Logger: c.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &callers{cluster: c.Cluster, users: users, keys: keys, agents: agents, account: c.AgentServiceAccount, reviews: k.client.AuthenticationV1().TokenReviews()}, nil
}

// synced tells whether the cache has been filled.
func (k *cluster) synced() bool {
	select {
	case <-k.isSynced:
		return true
	default:
		return false
	}
}

// run keeps the cache until ctx ends.
func (k *cluster) run(ctx context.Context) error {
	go func() {
		if k.cache.WaitForCacheSync(ctx) {
			close(k.isSynced)
		}
	}()
	return k.cache.Start(ctx)
}
