//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/agent/link"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/trace"
)

// serve puts the agent together and runs it until ctx ends.
func serve(ctx context.Context, args []string, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	logger := newLogger(stderr, o.verbosity)
	keepSecrets(logger)
	upstream, tell, err := upstreamOf(ctx, o)
	if err != nil {
		return err
	}
	var keeper *link.Keeper
	if o.link == linkCreate {
		if keeper, err = link.New(link.Config{Addresses: o.addresses(), Logger: logger}); err != nil {
			return err
		}
		defer func() {
			if err := keeper.Remove(); err != nil {
				logger.Warn("the link stays", "error", err)
			}
		}()
		if err := keeper.Ensure(); err != nil {
			return err
		}
	}
	if o.whenUnheard == unheardRefuse && tell == nil {
		return misuse{errors.New("--when-unheard refuse is for podid's server: AWS's own tells of no changes")}
	}
	tracer, err := tracing(ctx, logger)
	if err != nil {
		return err
	}
	defer tracer.Close()
	doors, err := openDoors(ctx, o, logger)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if err := serveAt(ctx, group, doors, upstream, tell, tracer, o, logger); err != nil {
		doors.close()
		return err
	}
	if keeper != nil {
		group.Go(func() error { return keeper.Run(ctx) })
	}
	releaseCode(logger)
	group.Go(func() error { return giveBack(ctx) })
	return group.Wait()
}

// serveAt starts the agent and its other servers in group.
func serveAt(ctx context.Context, group *errgroup.Group, at *doors, upstream *eksauth.Client, tell map[string]agent.Changes, tracer *trace.Tracer, o *options, logger *slog.Logger) error {
	a, err := agent.New(agent.Config{
		Listeners: at.pods, Upstream: upstream, Reach: upstream.Reach, Callers: o.callers,
		MaxEntries: o.maxCacheSize, RenewAfter: o.renewAfter, Tracer: tracer, Logger: logger,
		Tell: upstream.Tell, Version: versionOrModule(),
		Changes: tell, RevalidateAfter: o.revalidateAfter, RefuseUnheard: o.whenUnheard == unheardRefuse,
	})
	if err != nil {
		return err
	}
	state := &state{agent: a, options: o}
	probes, err := httpd.New(httpd.Config{Handler: state.probes(), Logger: logger, MaxConnections: 100})
	if err != nil {
		return err
	}
	metrics, err := httpd.New(httpd.Config{Handler: state.metrics(), Logger: logger, MaxConnections: 100})
	if err != nil {
		return err
	}
	for _, l := range at.pods {
		logger.Info("serving pods", "address", l.Addr().String(), "cluster", o.clusterName)
	}
	logger.Info("serving probes", "address", at.probes.Addr().String())
	logger.Info("serving metrics", "address", at.metrics.Addr().String())
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return probes.Run(ctx, at.probes) })
	group.Go(func() error { return metrics.Run(ctx, at.metrics) })
	return nil
}
