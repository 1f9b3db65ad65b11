package server

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
)

// runRooms runs what the doors lead to until ctx ends.
func (s *server) runRooms(ctx context.Context) error {
	if err := s.watchPods(ctx); err != nil {
		return err
	}
	if err := s.watchAssociations(ctx); err != nil {
		return err
	}
	if _, err := s.cluster.cache.GetInformer(ctx, accounts()); err != nil {
		return fmt.Errorf("watching service accounts: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.cluster.run(ctx) })
	group.Go(func() error { return s.certificate.run(ctx) })
	group.Go(func() error { return s.chains.Run(ctx) })
	group.Go(func() error { return s.issued.Run(ctx) })
	group.Go(func() error { return s.runController(ctx) })
	group.Go(func() error { return s.feed.Run(ctx) })
	group.Go(func() error { return s.advance(ctx) })
	group.Go(func() error { return s.runEvents(ctx) })
	if s.promises != nil {
		group.Go(func() error { return s.promises.Run(ctx) })
	}
	return group.Wait()
}

// watchPods keeps pods in memory, for verifying their tokens, and their chains ready.
func (s *server) watchPods(ctx context.Context) error {
	informer, err := s.cluster.cache.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return fmt.Errorf("watching pods: %w", err)
	}
	w := &warmer{prewarm: s.config.Prewarm, listens: s.agents.listens, known: s.store.Known, chains: s.chains}
	_, err = informer.AddEventHandler(w.handler())
	return err
}

// announce calls Ready once everything is.
func (s *server) announce(ctx context.Context, d *doors) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.health.ready() != "" {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	info, page := Info{API: d.api.Addr(), Webhook: d.webhook.Addr(), Probe: d.probe.Addr(), Metrics: d.metrics.Addr()}, ""
	if d.console != nil {
		info.Console = d.console.Addr()
		page = info.Console.String()
	}
	s.config.Logger.InfoContext(ctx, "ready", "cluster", s.config.Cluster.ARN(), "apis", info.API.String(), "webhooks", info.Webhook.String(), "metrics", info.Metrics.String(), "console", page)
	if s.config.Ready != nil {
		s.config.Ready(info)
	}
	return nil
}
