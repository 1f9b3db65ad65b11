package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
)

// options are those of eks-pod-identity-agent where they mean the same
// (https://github.com/aws/eks-pod-identity-agent/blob/main/cmd/server.go), so
// that podid-agent can take its place in a DaemonSet.
type options struct {
	clusterName  string
	endpoint     string
	region       string
	hosts        []netip.Addr // none: defaultHosts, as far as the node has them
	port         uint
	probePort    uint
	maxCacheSize int
	verbosity    slog.Level
}

// defaultHosts are the addresses that SDKs know of
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
var defaultHosts = []netip.Addr{netip.MustParseAddr("169.254.170.23"), netip.MustParseAddr("fd00:ec2::23")}

func parseOptions(args []string, help io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("podid-agent server", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints the error, and once
	host := func(s string) error {
		address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
		if err != nil {
			return errors.New("want an IP address")
		}
		o.hosts = append(o.hosts, address)
		return nil
	}
	flags.StringVar(&o.clusterName, "cluster-name", "", "`name` of the cluster that the node belongs to (required)")
	flags.StringVar(&o.clusterName, "c", "", "short for --cluster-name")
	flags.StringVar(&o.endpoint, "endpoint", "", "`URL` of the EKS Auth API (default: AWS_ENDPOINT_URL, or else AWS's own)")
	flags.StringVar(&o.region, "region", "", "AWS `region` of the cluster (default: AWS_REGION)")
	flags.Func("bind-hosts", "IP `address` to answer pods at, loopback or link-local; repeat it for more (default: 169.254.170.23 and [fd00:ec2::23])", host)
	flags.Func("b", "short for --bind-hosts", host)
	flags.UintVar(&o.port, "port", 80, "`port` to answer pods at")
	flags.UintVar(&o.port, "p", 80, "short for --port")
	flags.UintVar(&o.probePort, "probe-port", 2703, "`port` of /healthz and /readyz on localhost")
	flags.IntVar(&o.maxCacheSize, "max-cache-size", 2000, "`number` of tokens whose credentials are kept")
	flags.TextVar(&o.verbosity, "verbosity", slog.LevelInfo, "least `level` of the log: debug, info, warn or error")
	flags.TextVar(&o.verbosity, "v", slog.LevelInfo, "short for --verbosity")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.clusterName == "":
		return nil, errors.New("--cluster-name is required")
	case o.port > 65535 || o.probePort > 65535:
		return nil, errors.New("a port is at most 65535")
	case o.maxCacheSize < 1:
		return nil, errors.New("--max-cache-size is at least 1")
	}
	return o, nil
}
