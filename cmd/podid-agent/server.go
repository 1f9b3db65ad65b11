package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/httpd"
)

// serve puts the agent together and runs it until ctx ends.
func serve(ctx context.Context, o *options, stderr io.Writer) error {
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.verbosity}))
	upstream, err := upstreamOf(ctx, o)
	if err != nil {
		return err
	}
	listeners, err := listen(o, logger)
	if err != nil {
		return err
	}
	probeListener, err := net.Listen("tcp", net.JoinHostPort("localhost", strconv.FormatUint(uint64(o.probePort), 10)))
	if err != nil {
		closeAll(listeners)
		return fmt.Errorf("probes: %w", err)
	}
	listening := append(slices.Clone(listeners), probeListener)
	a, err := agent.New(agent.Config{Listeners: listeners, Upstream: upstream, MaxEntries: o.maxCacheSize, Logger: logger})
	if err != nil {
		closeAll(listening)
		return err
	}
	probes, err := httpd.New(httpd.Config{Handler: probeHandler(a), Logger: logger, MaxConnections: 100})
	if err != nil {
		closeAll(listening)
		return err
	}
	for _, l := range listeners {
		logger.Info("serving pods", "address", l.Addr().String(), "cluster", o.clusterName)
	}
	logger.Info("serving probes", "address", probeListener.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return probes.Run(ctx, probeListener) })
	return group.Wait()
}

// upstreamOf makes the client of the EKS Auth API. It signs with what the
// default chain finds: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html.
func upstreamOf(ctx context.Context, o *options) (*eksauth.Client, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.region))
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		return nil, errors.New("no region: set --region or AWS_REGION")
	}
	if o.endpoint == "" && c.BaseEndpoint != nil {
		o.endpoint = *c.BaseEndpoint
	}
	return eksauth.NewClient(eksauth.ClientConfig{Cluster: o.clusterName, Region: c.Region, Endpoint: o.endpoint, Credentials: c.Credentials})
}

// listen opens a listener for each host. Of the default hosts, those that the
// node lacks are left out: many nodes have no IPv6.
func listen(o *options, logger *slog.Logger) ([]net.Listener, error) {
	hosts := o.hosts
	if len(hosts) == 0 {
		hosts = defaultHosts
	}
	var listeners []net.Listener
	var missing error
	for _, host := range hosts {
		l, err := net.Listen("tcp", netip.AddrPortFrom(host, uint16(o.port)).String())
		switch {
		case err == nil:
			listeners = append(listeners, l)
		case len(o.hosts) == 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)):
			logger.Warn("an address that pods are told of is not on this node", "address", host.String())
			missing = errors.Join(missing, err)
		default:
			closeAll(listeners)
			return nil, err
		}
	}
	if len(listeners) == 0 {
		return nil, fmt.Errorf("%w; try: ip address add %s/32 dev lo", missing, hosts[0])
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func probeHandler(a *agent.Agent) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.Ready() {
			http.Error(w, "not serving yet", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	return mux
}
