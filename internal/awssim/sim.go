// Package awssim is the small AWS: STS, IAM and S3 over AWS's own protocols,
// for any number of accounts. Every call is authenticated by its signature and
// judged by policies. Only composition roots and tests import it.
package awssim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
	"github.com/podid/podid/internal/sigv4"
)

// Config configures a small AWS.
type Config struct {
	// World is what a new Storage is filled with. A storage that holds anything
	// is left as it is.
	World World
	// Storage keeps the state. Nil: memory.
	Storage Storage
	// S3Dir keeps the objects of buckets. "": memory.
	S3Dir string
	// Region is the region of requests that name none, and of buckets of the
	// world that name none. "": us-west-2.
	Region string
	// ServiceKeys stand for AWS services.
	ServiceKeys []ServiceKey
	// Handlers serve further services by the service name of the SigV4 scope,
	// such as "eks" and "eks-auth". They find the caller with CallerFrom, and
	// signature and body verified.
	Handlers map[string]http.Handler
	// FetchKeys returns the signing keys of an OIDC issuer, for
	// AssumeRoleWithWebIdentity. Nil: no web identity is accepted.
	FetchKeys func(ctx context.Context, issuerURL string) (jose.JSONWebKeySet, error)
	// Decisions is how many decisions the log keeps. 0: 1,000.
	Decisions int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger takes one event for each request. Nil: none.
	Logger *slog.Logger
}

// ServiceKey is a key that stands for an AWS service, as pure configuration.
// The service says on whose behalf it acts in the signed headers
// X-Amz-Source-Arn and X-Amz-Source-Account.
type ServiceKey struct {
	AccessKeyID string
	Secret      identity.Secret
	Service     string // "pods.eks.amazonaws.com"
	// Policy is what every account lets the service do beyond assuming roles,
	// which their trust policies decide: a resource-based policy whose principal
	// is the service. "": nothing.
	Policy string

	permissions *policy.Document
}

const denyAllDocument = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`

// Sim is a small AWS. It is an http.Handler.
type Sim struct {
	config    Config
	state     *state
	decisions *decisionLog
	services  map[string]service // by service name of the SigV4 scope
	denyAll   *policy.Document
	sealer    *sealer

	serviceKeys map[string]*ServiceKey // by access key id
	verifier    *sigv4.Verifier
}

// service answers the requests to one AWS service. The caller is
// authenticated, the body is verified.
type service func(w http.ResponseWriter, r *http.Request, c *Caller)

// New makes a small AWS. It starts nothing.
func New(config Config) (*Sim, error) {
	if config.Storage == nil {
		config.Storage = noStorage{}
	}
	if config.Region == "" {
		config.Region = "us-west-2"
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Decisions <= 0 {
		config.Decisions = 1_000
	}
	s := &Sim{
		config: config, state: newState(config.Storage), decisions: &decisionLog{size: config.Decisions},
		serviceKeys: map[string]*ServiceKey{},
	}
	// Each service of this package has its line here.
	s.services = map[string]service{
		"sts": s.serveSTS, "iam": s.serveIAM(iamOperations()), "organizations": s.serveOrganizations,
	}
	var err error
	if s.denyAll, err = policy.Parse(policy.Identity, denyAllDocument); err != nil {
		return nil, fmt.Errorf("the policy that denies everything: %w", err)
	}
	if s.state.aws, err = parseAWSManaged(); err != nil {
		return nil, err
	}
	if s.verifier, err = sigv4.New(sigv4.Config{Secret: s.identify, Now: config.Now}); err != nil {
		return nil, err
	}
	if err := s.addServiceKeys(config.ServiceKeys); err != nil {
		return nil, err
	}
	stored, err := s.state.load()
	if err != nil {
		return nil, fmt.Errorf("loading the small AWS: %w", err)
	}
	if !stored {
		if err := seedObjects(config); err != nil {
			return nil, fmt.Errorf("objects of the world: %w", err)
		}
		if err := s.seed(config.World); err != nil {
			return nil, fmt.Errorf("world: %w", err)
		}
	}
	if s.services["s3"], err = newS3(s); err != nil {
		return nil, err
	}
	if s.sealer, err = newSealer(s.state.masterKey()); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sim) addServiceKeys(keys []ServiceKey) (err error) {
	for _, k := range keys {
		if k.AccessKeyID == "" || k.Secret == "" || k.Service == "" || s.serviceKeys[k.AccessKeyID] != nil ||
			strings.HasPrefix(k.AccessKeyID, prefixTemporary) {
			return fmt.Errorf("the key of service %q needs an id of its own, a secret and a service", k.Service)
		}
		if k.Policy != "" {
			if k.permissions, err = policy.Parse(policy.Resource, k.Policy); err != nil {
				return fmt.Errorf("policy of service %s: %w", k.Service, err)
			}
		}
		s.serviceKeys[k.AccessKeyID] = &k
	}
	return nil
}
