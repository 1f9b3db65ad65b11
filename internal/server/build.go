package server

import (
	"context"
	"net/http"

	kubeevents "k8s.io/client-go/tools/events"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/controller"
	"github.com/podid/podid/internal/eks"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/metrics"
	"github.com/podid/podid/internal/promise"
	"github.com/podid/podid/internal/rbac"
	"github.com/podid/podid/internal/sts"
)

// recentEvents is how many audit events a replica has at hand: of about 2 KiB each.
const recentEvents = 10_000

// server is one replica, put together.
type server struct {
	config      Config
	cluster     *cluster
	store       *kube.Store
	chains      *chain.Cache
	feed        *changes.Feed
	agents      agents
	certificate *keeper
	issued      *controller.Issued
	metrics     *metrics.Set
	index       console.Index    // of associations, for the console
	page        *console.Console // nil: it is not served
	recent      *audit.Ring      // the latest events that Config.Audit has kept
	refused     *controller.Refused
	events      kubeevents.EventBroadcaster
	promises    *promise.Replica // nil: this one runs in no pod
	health      *health
	apis        http.Handler // of AWS's two APIs
	webhooks    http.Handler
}

// build puts a server together. It starts nothing.
func build(ctx context.Context, c Config) (*server, error) {
	s := &server{config: c, recent: audit.NewRing(recentEvents)}
	s.metrics = s.measure()
	s.config.Audit = audit.Then(s.metrics.Audit(c.Audit), s.recent)
	var err error
	if s.cluster, err = connect(ctx, c); err != nil {
		return nil, err
	}
	if s.store, err = kube.New(ctx, kube.Config{Cluster: c.Cluster, Cache: s.cluster.cache, Live: s.cluster.live}); err != nil {
		return nil, err
	}
	if s.certificate, err = newKeeper(c, s.cluster.live); err != nil {
		return nil, err
	}
	users, err := rbac.New(rbac.Config{Reviews: s.cluster.client.AuthorizationV1().SubjectAccessReviews(), Cluster: c.Cluster})
	if err != nil {
		return nil, err
	}
	associations, err := s.associations()
	if err != nil {
		return nil, err
	}
	if err := s.telling(); err != nil {
		return nil, err
	}
	s.issued, err = controller.NewIssued(controller.IssuedConfig{Client: s.cluster.live, Object: s.store.Object, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	if err := s.issuing(associations, users); err != nil {
		return nil, err
	}
	if err := s.promise(); err != nil {
		return nil, err
	}
	if s.webhooks, err = s.admission(users); err != nil {
		return nil, err
	}
	s.health = &health{lacks: s.lacks}
	if err := s.consolePage(); err != nil {
		return nil, err
	}
	s.apis = s.askedByReplicas(s.apis)
	return s, nil
}

// associations are the rules over the custom resources.
func (s *server) associations() (*association.Service, error) {
	checker, err := sts.NewChecker(s.config.STS)
	if err != nil {
		return nil, err
	}
	return association.New(association.Config{
		Store: s.store, Roles: checker, Clusters: []association.Cluster{s.cluster.described}, Rules: s.rules(),
		Audit: s.auditor(),
	})
}

// issuing puts the path together, and the APIs in front of it.
func (s *server) issuing(associations *association.Service, users *rbac.Users) error {
	c := s.config
	once := c.STS
	once.Once = true // the chain room counts the calls
	roles, err := sts.New(once)
	if err != nil {
		return err
	}
	if s.chains, err = chain.New(chain.Config{Roles: s.metrics.Roles(roles), Rate: c.STSRate, Waited: s.metrics.Waited}); err != nil {
		return err
	}
	if err := s.newFeed(); err != nil {
		return err
	}
	verifier, err := s.cluster.podTokens(c)
	if err != nil {
		return err
	}
	found := lookup{s.store, c.Cluster.Name}
	issuer, err := issue.New(issue.Config{
		Verifier: verifier, Associations: found, Chains: s.chains, Audit: s.config.Audit,
	})
	if err != nil {
		return err
	}
	who, err := s.cluster.callers(c, users)
	if err != nil {
		return err
	}
	eksAPI, err := eks.New(eks.Config{Associations: associations, Caller: who.ofEKS, Logger: c.Logger})
	if err != nil {
		return err
	}
	eksAuthAPI, err := eksauth.New(eksauth.Config{
		Issue: s.metrics.Issue(s.noting(issuer)), Caller: who.ofEKSAuth, Lease: c.Lease, Changes: s.feed, Lookup: found.Lookup, Streaming: s.agents.streaming, Told: s.agents.told,
		Delivered: s.metrics.Delivered,
		Cluster:   func(name string) (identity.Cluster, bool) { return c.Cluster, name == c.Cluster.Name },
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.door(metrics.EKS, eksAPI))
	const credentials = "/clusters/{name}/assume-role-for-pod-identity"
	mux.Handle("POST "+credentials, c.Tracer.Door(http.MethodPost, credentials, true, s.door(metrics.EKSAuth, eksAuthAPI)))
	mux.Handle("POST /clusters/{name}/changes", s.door(metrics.Changes, eksAuthAPI))
	mux.Handle("POST /clusters/{name}/agent", s.door(metrics.Changes, eksAuthAPI))
	mux.Handle("GET "+audit.Path, s.door(metrics.Audit, s.auditEvents(who.ofUser)))
	s.apis = mux
	return nil
}

// noting issues, and notes when.
func (s *server) noting(issuer *issue.Issuer) func(context.Context, issue.Request) (*issue.Grant, error) {
	return func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
		grant, err := issuer.Issue(ctx, r)
		if err == nil {
			s.issued.Note(grant.Association)
		}
		return grant, err
	}
}

// lookup finds the associations of the one cluster there is.
type lookup struct {
	store *kube.Store
	name  string
}

func (l lookup) Lookup(ctx context.Context, cluster, namespace, serviceAccount string) (identity.Association, error) {
	if cluster != l.name {
		return identity.Association{}, identity.Errorf(identity.NotFound, "No cluster found for name: %s.", cluster)
	}
	return l.store.Lookup(ctx, namespace, serviceAccount)
}

// lacks says what is not ready yet.
func (s *server) lacks() string {
	switch {
	case !s.cluster.synced():
		return "the associations and pods of the cluster are being read"
	case s.certificate.ends().IsZero():
		return "there is no serving certificate yet"
	}
	return ""
}
