// Package server is podid in a cluster: the EKS Auth API, the association API,
// the webhooks and the controller, composed from the rooms.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sts"
	"github.com/podid/podid/internal/trace"
)

// DefaultAgentAudience is the audience of the token by which an agent proves
// what it is. It is none that the API server or AWS would accept.
const DefaultAgentAudience = "podid.dev"

// Verification says how the tokens of pods are verified.
type Verification string

const (
	// TokenReview asks the API server about each token.
	TokenReview Verification = "tokenreview"
	// JWKS verifies them by the cluster's public keys, without a call.
	JWKS Verification = "jwks"
)

// Config says what to run. Cluster, API, Namespace, ServiceAccount,
// AgentServiceAccount and STS.AWS are required.
type Config struct {
	// Cluster is this cluster as AWS would name it.
	Cluster identity.Cluster
	// API is the cluster's API server.
	API *rest.Config
	// Endpoint is the URL of the API server that DescribeCluster tells. "": API.Host.
	Endpoint string

	// Namespace is the server's own, with its Secrets and its lease.
	Namespace string
	// KeyNamespace has the Secrets of access keys. "": Namespace.
	KeyNamespace string
	// ServiceAccount is the server's own.
	ServiceAccount types.NamespacedName
	// Pod is the uid of the pod that this replica runs in, by which replicas know each
	// other: their pods are those of ServiceAccount. "": it runs in none; then every
	// pod whose service account has no association costs a read at the API server.
	Pod string
	// Settle is as in promise.Config.
	Settle time.Duration
	// AgentServiceAccount is the one of the agents, AgentAudience what their
	// tokens are for. "": DefaultAgentAudience.
	AgentServiceAccount types.NamespacedName
	AgentAudience       string

	// Verification says how the tokens of pods are verified. "": TokenReview.
	// That their pods exist is checked in either case.
	Verification Verification
	// STS is where roles are assumed, and as whom.
	STS sts.Config
	// STSRate is the number of role assumptions a second that is never
	// exceeded. 0: that of the chain room.
	STSRate float64
	// Lease is how long pods may hold credentials before their agents ask
	// again. 0: until they expire.
	Lease time.Duration
	// Prewarm says of which namespaces' pods the credentials are made ready
	// before they ask. Zero: none.
	Prewarm Prewarm
	// RemoveTaint has the taint podid.dev/agent-not-ready removed from nodes whose
	// agent is ready.
	RemoveTaint bool
	// SkipChainVerification leaves out trying the chains of associations.
	SkipChainVerification bool
	// ACK takes associations also from the objects of ACK's EKS controller. The
	// validating webhook has to be asked about these too.
	ACK bool
	// PassAnyTargetRole leaves out asking for the verb pass on target roles.
	PassAnyTargetRole bool

	// Pods says what pods are given.
	Pods admission.Settings
	// The addresses to serve at. "": a free port of loopback.
	APIAddress, WebhookAddress, ProbeAddress, MetricsAddress string
	// Certificate says where the serving certificate is kept.
	Certificate Certificate
	// Console says how the web console is served.
	Console Console
	// DrainDelay is how long requests are still taken once ctx has ended, while
	// the cluster stops sending them. 0: not at all.
	DrainDelay time.Duration

	// Tracer follows requests for credentials. Nil: they are not followed.
	Tracer *trace.Tracer
	// Version is podid's own, for the metrics. "": unknown.
	Version string
	// Audit keeps the audit events. Required.
	Audit audit.Sink
	// AuditWebhook tells of events that wait for a webhook, and of those lost to it,
	// for the metrics. Nil: Audit has none.
	AuditWebhook func() (waiting int, lost uint64)
	// Logger takes everything else. Nil: nothing.
	Logger *slog.Logger
	// Ready is called once everything is ready. Nil: nothing to call.
	Ready func(Info)
}

// Info tells where a server serves.
type Info struct {
	API, Webhook, Probe, Metrics net.Addr
	Console                      net.Addr // nil: it is not served
}

// withDefaults returns c with its defaults filled in, or what it lacks.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Cluster.Name == "" || c.Cluster.Region == "" || !identity.IsAccountID(c.Cluster.AccountID):
		return c, errors.New("server: the cluster needs a name, a region, and an account of 12 digits")
	case c.API == nil, c.Namespace == "", c.ServiceAccount.Name == "", c.AgentServiceAccount.Namespace == "", c.AgentServiceAccount.Name == "", c.Audit == nil:
		return c, errors.New("server: API, Namespace, ServiceAccount, AgentServiceAccount and Audit are required")
	case c.Verification != "" && c.Verification != TokenReview && c.Verification != JWKS:
		return c, fmt.Errorf("server: tokens are verified by %s or %s, not %q", TokenReview, JWKS, c.Verification)
	case c.Lease < 0 || c.DrainDelay < 0:
		return c, errors.New("server: a negative time")
	}
	for _, d := range []struct {
		value     *string
		byDefault string
	}{
		{&c.Endpoint, c.API.Host}, {&c.KeyNamespace, c.Namespace}, {&c.AgentAudience, DefaultAgentAudience},
		{&c.APIAddress, "127.0.0.1:0"}, {&c.WebhookAddress, "127.0.0.1:0"}, {&c.ProbeAddress, "127.0.0.1:0"}, {&c.MetricsAddress, "127.0.0.1:0"},
	} {
		if *d.value == "" {
			*d.value = d.byDefault
		}
	}
	if c.Verification == "" {
		c.Verification = TokenReview
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Run runs the server until ctx ends, and DrainDelay longer. It returns nil
// after a clean stop.
func Run(ctx context.Context, c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	doors, err := openDoors(c)
	if err != nil {
		return err
	}
	defer doors.close()
	c.APIAddress = doors.api.Addr().String() // with the port, if any was taken
	s, err := build(ctx, c)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(serving)
	group.Go(func() error {
		select {
		case <-serving.Done():
			return nil
		case <-ctx.Done():
		}
		s.health.drain()
		select {
		case <-serving.Done():
		case <-time.After(c.DrainDelay):
		}
		stop()
		return nil
	})
	if err := s.serve(serving, group, doors); err != nil {
		return err
	}
	group.Go(func() error { return s.runRooms(serving) })
	group.Go(func() error { return s.announce(serving, doors) })
	return group.Wait()
}
