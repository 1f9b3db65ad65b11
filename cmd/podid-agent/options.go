//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// misuse is a command line that is not understood.
type misuse struct{ error }

// linkOptions say which addresses are kept on the node.
type linkOptions struct {
	hosts     []netip.Addr // none: defaultHosts
	verbosity slog.Level
}

// defaultHosts are the addresses that SDKs know of
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
var defaultHosts = []netip.Addr{netip.MustParseAddr("169.254.170.23"), netip.MustParseAddr("fd00:ec2::23")}

// addresses are those to serve at.
func (o *linkOptions) addresses() []netip.Addr {
	if len(o.hosts) == 0 {
		return defaultHosts
	}
	return o.hosts
}

// required are those of them that the node must have. Of the default ones that
// is the first: many nodes have no IPv6.
func (o *linkOptions) required() []netip.Addr {
	if len(o.hosts) == 0 {
		return defaultHosts[:1]
	}
	return o.hosts
}

func (o *linkOptions) declare(flags *flag.FlagSet) {
	host := func(s string) error {
		address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
		if err != nil {
			return errors.New("want an IP address")
		}
		o.hosts = append(o.hosts, address)
		return nil
	}
	flags.Func("bind-hosts", "IP `address` to answer pods at, loopback or link-local; repeat it for more (default: 169.254.170.23 and [fd00:ec2::23])", host)
	flags.Func("b", "short for --bind-hosts", host)
	flags.TextVar(&o.verbosity, "verbosity", slog.LevelInfo, "least `level` of the log: debug, info, warn or error")
	flags.TextVar(&o.verbosity, "v", slog.LevelInfo, "short for --verbosity")
}

// options are those of eks-pod-identity-agent where they mean the same
// (https://github.com/aws/eks-pod-identity-agent/blob/main/cmd/server.go), so
// that podid-agent can take its place in a DaemonSet.
type options struct {
	linkOptions
	link              string
	clusterName       string
	endpoints         []string
	region            string
	callers           []netip.Prefix
	rotateCredentials bool
	tokenFile         string
	caFile            string
	port              uint
	probePort         uint
	metricsAddress    string
	metricsPort       uint
	maxCacheSize      int
	renewAfter        time.Duration
	revalidateAfter   time.Duration
	whenUnheard       string
}

// What --link may say.
const (
	linkCreate = "create"
	linkUse    = "use"
	linkNone   = "none"
)

// What --when-unheard may say.
const (
	unheardServe  = "serve"
	unheardRefuse = "refuse"
)

func parseOptions(args []string, help io.Writer) (*options, error) {
	o := &options{}
	flags := newFlags("server")
	o.declare(flags)
	flags.StringVar(&o.link, "link", linkUse, "`what` to do about the addresses that pods ask at: create them and keep them there (needs CAP_NET_ADMIN), use what is there, or none")
	flags.StringVar(&o.clusterName, "cluster-name", "", "`name` of the cluster that the node belongs to (required)")
	flags.StringVar(&o.clusterName, "c", "", "short for --cluster-name")
	flags.Func("endpoint", "`URL` of the EKS Auth API; repeat it for more replicas (default: AWS_ENDPOINT_URL, or else AWS's own)", func(s string) error {
		o.endpoints = append(o.endpoints, s)
		return nil
	})
	flags.Func("pod-cidr", "`network` that pods ask from; repeat it for more. Connections from elsewhere are closed, but for the node's own (default: whoever can connect may)", func(s string) error {
		network, err := netip.ParsePrefix(s)
		o.callers = append(o.callers, network)
		return err
	})
	flags.StringVar(&o.region, "region", "", "AWS `region` of the cluster (default: AWS_REGION); not needed with --token-file")
	flags.BoolVar(&o.rotateCredentials, "rotate-credentials", false, "sign with what the shared credentials file holds, and read it every minute")
	flags.StringVar(&o.tokenFile, "token-file", "", "`file` with the agent's own service account token, sent to podid's server in the place of a signature")
	flags.StringVar(&o.caFile, "ca-file", "", "`file` with the certificates that vouch for the endpoints (default: the system's)")
	flags.UintVar(&o.port, "port", 80, "`port` to answer pods at")
	flags.UintVar(&o.port, "p", 80, "short for --port")
	flags.UintVar(&o.probePort, "probe-port", 2703, "`port` of /healthz and /readyz on localhost")
	flags.StringVar(&o.metricsAddress, "metrics-address", "0.0.0.0", "`address` of /metrics")
	flags.UintVar(&o.metricsPort, "metrics-port", 2705, "`port` of /metrics")
	flags.IntVar(&o.maxCacheSize, "max-cache-size", 2000, "`number` of tokens whose credentials are kept; a pod has one, and two for a while after each rotation")
	flags.DurationVar(&o.renewAfter, "max-credential-retention-before-renewal", 3*time.Hour, "longest `time` until credentials are renewed; those that live for less than four and a half hours are renewed earlier")
	flags.DurationVar(&o.revalidateAfter, "revalidate-after", 30*time.Second, "`time` after which, if nothing was heard of changes from podid's server, credentials are asked for anew before a pod gets them")
	flags.StringVar(&o.whenUnheard, "when-unheard", unheardServe, "`what` pods get when nobody answers then: serve gives them what there is, until it expires; refuse gives them nothing")
	if err := parse(flags, args, help); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains([]string{unheardServe, unheardRefuse}, o.whenUnheard):
		return nil, misuse{fmt.Errorf("--when-unheard %s: want serve or refuse", o.whenUnheard)}
	case o.revalidateAfter < time.Second:
		return nil, misuse{errors.New("--revalidate-after is at least 1s")}
	case o.clusterName == "":
		return nil, misuse{errors.New("--cluster-name is required")}
	case !slices.Contains([]string{linkCreate, linkUse, linkNone}, o.link):
		return nil, misuse{fmt.Errorf("--link %s: want create, use or none", o.link)}
	case o.port > 65535 || o.probePort > 65535 || o.metricsPort > 65535:
		return nil, misuse{errors.New("a port is at most 65535")}
	case o.maxCacheSize < 1:
		return nil, misuse{errors.New("--max-cache-size is at least 1")}
	case o.renewAfter < time.Minute:
		return nil, misuse{errors.New("--max-credential-retention-before-renewal is at least 1m")}
	case o.tokenFile != "" && len(o.endpoints) == 0:
		return nil, misuse{errors.New("--token-file is for podid's server: say with --endpoint where that is")}
	}
	return o, nil
}

func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet("podid-agent "+command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints the error, and once
	return flags
}

// parse reads args, or prints what there is to say to help.
func parse(flags *flag.FlagSet, args []string, help io.Writer) error {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(help)
		flags.PrintDefaults()
		return err
	case err != nil:
		return misuse{err}
	case flags.NArg() > 0:
		return misuse{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	}
	return nil
}
