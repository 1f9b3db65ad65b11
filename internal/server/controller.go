package server

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/podid/podid/internal/controller"
	"github.com/podid/podid/internal/identity"
)

// leaseName is that of the lease which the controller's leader holds.
const leaseName = "podid-controller"

// newManager makes a manager that runs the controller while this replica leads.
// It reads through the cache that the server keeps anyway.
func (s *server) newManager() (manager.Manager, error) {
	again := true // a manager that lost the lease is followed by another
	m, err := manager.New(s.cluster.api, manager.Options{
		Scheme:                        s.cluster.scheme,
		NewCache:                      func(*rest.Config, cache.Options) (cache.Cache, error) { return &borrowed{Cache: s.cluster.cache}, nil },
		Logger:                        logr.FromSlogHandler(s.config.Logger.Handler()),
		LeaderElection:                true,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       s.config.Namespace,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        "0",
		Controller:                    config.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		return nil, err
	}
	c := controller.Config{Cluster: s.config.Cluster, Rules: s.rules(), ACK: s.config.ACK}
	if !s.config.SkipChainVerification {
		c.Verify = s.verify
	}
	if s.config.RemoveTaint {
		if err := controller.AddTaints(m, s.config.AgentServiceAccount); err != nil {
			return nil, err
		}
	}
	return m, controller.Add(m, c)
}

// verify tries the chain of an association, and returns the hop that failed.
func (s *server) verify(ctx context.Context, a identity.Association) (hop int, err error) {
	steps, err := s.chains.Try(ctx, a, madeUp(a))
	return len(steps), err
}

// madeUp is a pod of an association's service account that does not exist, for
// trying its chain. A policy that demands a particular pod refuses it.
func madeUp(a identity.Association) identity.Subject {
	return identity.Subject{Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, PodName: a.ServiceAccount + "-0", PodUID: uuid.NewString()}
}

// againAfter is how soon a replica that lost the lease asks for it again.
const againAfter = 2 * time.Second

// runController runs the controller whenever this replica leads, until ctx
// ends. Losing the lease, as when the API server is away, stops nothing else.
func (s *server) runController(ctx context.Context) error {
	for {
		m, err := s.newManager()
		if err == nil {
			err = m.Start(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		s.config.Logger.WarnContext(ctx, "the controller is off on this replica", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(againAfter):
		}
	}
}
