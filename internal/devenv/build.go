package devenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-jose/go-jose/v4"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/eks"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/metrics"
	"github.com/podid/podid/internal/sts"
	"github.com/podid/podid/internal/token"
	"github.com/podid/podid/internal/token/issuer"
)

// environment is one development mode while it is put together and runs.
type environment struct {
	config Config
	folder *folder
	world  *World
	url    string // of the AWS APIs
	info   *Info

	keys    *keyring
	store   *sqlite.Store
	feed    *changes.Feed
	indexer indexer
	page    *console.Console
	chains  *chain.Cache
	metrics *metrics.Set
	node    atomic.Pointer[agent.Agent] // whose metrics are told; nil: not yet
	closers []io.Closer
}

func (e *environment) close() {
	for _, c := range e.closers {
		if err := c.Close(); err != nil {
			e.config.Logger.Error("closing", "error", err)
		}
	}
}

func (e *environment) issuerURL(cluster string) string { return e.url + "/_podid/clusters/" + cluster }

// build puts the server together: the small AWS, and behind its door EKS, EKS
// Auth and the development cluster's own token door.
func (e *environment) build(ctx context.Context) (http.Handler, error) {
	var err error
	if e.keys, err = loadKeys(e.folder.dir, e.world); err != nil {
		return nil, err
	}
	if e.store, err = sqlite.New(sqlite.Config{Path: e.folder.path("associations.db")}); err != nil {
		return nil, err
	}
	e.closers = append(e.closers, e.store)
	e.indexer.store = e.store
	e.metrics = e.measure()
	if err := e.makeIssuers(); err != nil {
		return nil, err
	}
	assumer, checker, err := e.roles(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.makeChains(assumer); err != nil {
		return nil, err
	}
	sink, err := e.audit()
	if err != nil {
		return nil, err
	}
	associations, err := e.associations(checker, sink)
	if err != nil {
		return nil, err
	}
	find := lookup{associations, e.world}
	issuing, err := e.issuing(find, sink)
	if err != nil {
		return nil, err
	}
	eksAPI, err := eks.New(eks.Config{Associations: associations, Caller: caller})
	if err != nil {
		return nil, err
	}
	eksAuthAPI, err := eksauth.New(eksauth.Config{
		Issue: e.metrics.Issue(e.indexer.noting(issuing.Issue)), Cluster: e.world.cluster, Caller: caller, Lease: e.config.Lease, Changes: e.feed, Lookup: find.Lookup,
		Delivered: e.metrics.Delivered,
	})
	if err != nil {
		return nil, err
	}
	sim, err := e.smallAWS(map[string]http.Handler{
		"eks": e.metrics.Door(metrics.EKS, eksAPI), eksauth.Service: e.ofEKSAuth(eksAuthAPI), tokenService: (&tokenDoor{clusters: e.world.cluster, issuers: e.info.Issuers}).handler(),
	})
	if err != nil {
		return nil, err
	}
	e.describe()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_podid/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.Handle("GET /_podid/decisions", sim.Decisions())
	mux.Handle("GET /_podid"+audit.Path, loopbackOnly(e.auditDoor()))
	mux.Handle("GET /_podid/metrics", loopbackOnly(e.metrics.Handler()))
	mux.Handle("GET /_podid/agent/metrics", loopbackOnly(http.HandlerFunc(e.agentMetrics)))
	for name, i := range e.info.Issuers {
		mux.Handle("/_podid/clusters/"+name+"/", http.StripPrefix("/_podid/clusters/"+name, i.Handler()))
	}
	page, err := e.console(ctx, sink)
	if err != nil {
		return nil, err
	}
	return &front{own: mux, console: e.metrics.Door(metrics.Console, page), aws: sim}, nil
}

// caller hands the API handlers who signed the request, as the small AWS found.
func caller(r *http.Request) (identity.Caller, error) {
	c, ok := awssim.CallerFrom(r.Context())
	if !ok {
		return nil, errors.New("a request that did not pass the small AWS's door")
	}
	return c, nil
}

func (e *environment) makeIssuers() error {
	e.info.Issuers = map[string]*issuer.Issuer{}
	for _, c := range e.world.Clusters {
		i, err := issuer.New(issuer.Config{URL: e.issuerURL(c.Name), KeyFile: e.folder.path("issuer-" + c.Name + ".pem")})
		if err != nil {
			return fmt.Errorf("token issuer of cluster %s: %w", c.Name, err)
		}
		e.info.Issuers[c.Name] = i
	}
	return nil
}

// roles says at which AWS roles are assumed, and as whom.
func (e *environment) roles(ctx context.Context) (*sts.Assumer, *sts.Checker, error) {
	config := sts.Config{
		FirstHop: sts.Service,
		AWS: aws.Config{
			BaseEndpoint: &e.url,
			Credentials:  credentials.NewStaticCredentialsProvider(e.keys.Service.ID, e.keys.Service.Secret, ""),
		},
	}
	if e.config.AWS {
		own, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, nil, err
		}
		config = sts.Config{FirstHop: sts.Identity, AWS: own}
	}
	checker, err := sts.NewChecker(config)
	if err != nil {
		return nil, nil, err
	}
	config.Once = true // the chain room tries again
	assumer, err := sts.New(config)
	return assumer, checker, err
}

func (e *environment) associations(roles association.Roles, sink audit.Sink) (*association.Service, error) {
	return association.New(association.Config{
		Store: e.store, Roles: roles, Clusters: e.world.clusters(e.issuerURL, time.Now()), Changed: e.changed,
		Audit: association.Auditor{Sink: sink, Logger: e.config.Logger},
	})
}

// makeChains makes what makes chains, and what tells it and the agent of
// changes. Chains are not kept: whoever has just changed a policy wants to see
// what comes of it.
func (e *environment) makeChains(roles issue.RoleAssumer) (err error) {
	if e.chains, err = chain.New(chain.Config{Roles: e.metrics.Roles(roles), Fresh: true, Waited: e.metrics.Waited}); err != nil {
		return err
	}
	e.feed, err = changes.New(changes.Config{
		First: func(c changes.Change) { e.chains.Changed(c.AssociationID, c.Version) },
		// One process has the store to itself, and counts on from an earlier one's time.
		Alone: true, Begin: uint64(time.Now().UnixMicro()),
	})
	return err
}

func (e *environment) changed(a identity.Association, deleted bool) {
	if err := e.indexer.changed(context.Background(), a); err != nil {
		e.config.Logger.Error("the console shows an association as it was", "id", a.ID, "error", err)
	}
	if deleted {
		e.feed.Announce(changes.Deleted(a))
		return
	}
	e.feed.Announce(changes.Of(a))
}

func (e *environment) issuing(find issue.Associations, sink audit.Sink) (*issue.Issuer, error) {
	issuers := map[string]token.Issuer{}
	for name := range e.info.Issuers {
		issuers[name] = token.Issuer{URL: e.issuerURL(name), JWKSURL: e.issuerURL(name) + "/openid/v1/jwks"}
	}
	verifier, err := token.New(token.Config{Clusters: issuers})
	if err != nil {
		return nil, err
	}
	return issue.New(issue.Config{
		Verifier: verifier, Associations: find, Chains: e.chains, Audit: e.metrics.Audit(sink),
	})
}

// lookup finds associations by the name of the cluster, which is unique in a world.
type lookup struct {
	associations *association.Service
	world        *World
}

func (l lookup) Lookup(ctx context.Context, clusterName, namespace, serviceAccount string) (identity.Association, error) {
	cluster, ok := l.world.cluster(clusterName)
	if !ok {
		return identity.Association{}, identity.Errorf(identity.NotFound, "No cluster found for name: %s.", clusterName)
	}
	return l.associations.Lookup(ctx, cluster, namespace, serviceAccount)
}

// audit keeps the newest events in memory for podid audit, once all else has them:
// the data folder, and what Config says.
func (e *environment) audit() (audit.Sink, error) {
	e.info.Audit = audit.NewRing(10_000)
	var sinks []audit.Sink
	if path := e.folder.path("audit.jsonl"); path != "" {
		file, err := audit.NewFile(audit.FileConfig{Path: path, Logger: e.config.Logger})
		if err != nil {
			return nil, err
		}
		e.closers = append(e.closers, file)
		sinks = append(sinks, file)
	}
	if e.config.Audit != nil {
		sinks = append(sinks, e.config.Audit)
	}
	return audit.Then(audit.Multi(sinks...), e.info.Audit), nil
}

func (e *environment) auditDoor() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := audit.ParseQuery(r.URL.Query())
		var reply audit.Reply
		if err == nil {
			reply, err = e.info.Audit.Answer(q)
		}
		if err != nil {
			awswire.RESTJSON{}.WriteError(w, r, wireError(identity.Errorf(identity.InvalidParameter, "%v", err)))
			return
		}
		awswire.WriteJSON(w, r, http.StatusOK, reply)
	})
}

// servicePolicy lets the service see whether a role exists, in the account of
// the cluster it acts for.
const servicePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"iam:GetRole","Resource":"arn:aws:iam::${aws:SourceAccount}:role/*"}]}`

func (e *environment) smallAWS(handlers map[string]http.Handler) (*awssim.Sim, error) {
	config := awssim.Config{
		World: e.world.simulated(e.keys, e.issuerURL), S3Dir: e.folder.path("s3"), Region: e.world.Clusters[0].Region,
		Handlers: handlers, FetchKeys: e.fetchKeys, Logger: e.config.Logger,
		ServiceKeys: []awssim.ServiceKey{{
			AccessKeyID: e.keys.Service.ID, Secret: identity.Secret(e.keys.Service.Secret),
			Service: identity.ServicePrincipal, Policy: servicePolicy,
		}},
	}
	if path := e.folder.path("aws.db"); path != "" {
		storage, err := awssim.OpenSQLite(path)
		if err != nil {
			return nil, err
		}
		e.closers = append(e.closers, storage)
		config.Storage = storage
	}
	return awssim.New(config)
}

// fetchKeys serves AssumeRoleWithWebIdentity: the issuers of a world's OIDC
// providers are its own clusters.
func (e *environment) fetchKeys(_ context.Context, issuerURL string) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	for name, i := range e.info.Issuers {
		if e.issuerURL(name) == issuerURL {
			return set, json.Unmarshal(i.JWKS(), &set)
		}
	}
	return set, fmt.Errorf("%s is not the issuer of a cluster of this world", issuerURL)
}

func (e *environment) describe() {
	first := e.world.Clusters[0]
	e.info.URL, e.info.Cluster = e.url, first.identity()
	e.info.Namespace, e.info.ServiceAccount = "default", "demo-app-sa"
	if len(first.ServiceAccounts) > 0 {
		e.info.Namespace, e.info.ServiceAccount = first.ServiceAccounts[0].Namespace, first.ServiceAccounts[0].Name
	}
	e.info.administrators = map[string]identity.Credentials{}
	for id, k := range e.keys.Administrators {
		e.info.administrators[id] = identity.Credentials{AccessKeyID: k.ID, SecretAccessKey: identity.Secret(k.Secret)}
	}
}

// agent puts the agent together. It serves the pods of all clusters: whose a
// token is says its issuer, which the server then verifies.
func (e *environment) agent(listener net.Listener) (*agent.Agent, error) {
	clients, tell := map[string]*eksauth.Client{}, map[string]agent.Changes{}
	for _, c := range e.world.Clusters {
		node := e.keys.Nodes[c.Account]
		client, err := eksauth.NewClient(eksauth.ClientConfig{
			Cluster: c.Name, Region: c.Region, Endpoint: e.url,
			Credentials: credentials.NewStaticCredentialsProvider(node.ID, node.Secret, ""),
		})
		if err != nil {
			return nil, err
		}
		clients[e.issuerURL(c.Name)], tell[c.Name] = client, client
	}
	a, err := agent.New(agent.Config{
		Listeners: []net.Listener{listener}, Logger: e.config.Logger, Tracer: e.config.Tracer, Changes: tell,
		Upstream: &upstreams{byIssuer: clients, first: clients[e.issuerURL(e.world.Clusters[0].Name)]},
	})
	e.node.Store(a)
	return a, err
}

// seed puts the world's associations in place as they stand, once.
func (e *environment) seed(ctx context.Context) error {
	if kept := e.folder.path("world.yaml"); kept != "" && fileExists(kept) {
		return nil
	}
	unchecked, err := e.associations(anyRole{}, nil)
	if err != nil {
		return err
	}
	for i, a := range e.world.Associations {
		cluster, _ := e.world.cluster(a.Cluster)
		_, err := unchecked.Create(ctx, owner{cluster}, association.CreateInput{
			Cluster: a.Cluster, Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, RoleARN: a.RoleARN, TargetRoleARN: a.TargetRoleARN,
			DisableSessionTags: a.DisableSessionTags, Policy: string(a.Policy), Tags: a.Tags,
		})
		// A start that was cut short may have made it already.
		if err != nil && identity.KindOf(err) != identity.InUse {
			return fmt.Errorf("associations[%d]: %w", i, err)
		}
	}
	return e.folder.keep(e.world)
}

// anyRole is for associations of a world, which may begin broken.
type anyRole struct{}

func (anyRole) Check(context.Context, identity.Association) error { return nil }

// owner is the world itself, which may do everything in a cluster's account.
type owner struct{ cluster identity.Cluster }

func (o owner) ARN() string                                    { return "arn:aws:iam::" + o.cluster.AccountID + ":root" }
func (o owner) AccountID() string                              { return o.cluster.AccountID }
func (owner) Authorize(context.Context, identity.Access) error { return nil }
