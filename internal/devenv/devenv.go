// Package devenv is development mode: the whole of podid on loopback, against
// the small AWS. It composes rooms; the path through them is the same as anywhere.
package devenv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/issuer"
	"github.com/podid/podid/internal/trace"
)

// Config says what to run. The zero value is the built-in example on free
// ports, in memory.
type Config struct {
	// World is what there is at the start. Nil: what DataDir keeps, or else the
	// built-in example.
	World *World
	// DataDir keeps everything over restarts. "": memory.
	DataDir string
	// Listen is the address of the AWS APIs, AgentListen the agent's. "": a free port of 127.0.0.1.
	Listen, AgentListen string
	// EnvFile is written, for a shell to source, once everything is ready, and
	// beside it EnvFile.profiles with a profile for each account. "": neither.
	EnvFile string
	// AWS has roles assumed at AWS itself, with the default credentials of the
	// process, in place of the small AWS.
	AWS bool
	// Lease is how long pods may hold credentials before they ask again. 0: until
	// these expire.
	Lease time.Duration
	// ConsoleReadOnly has the console refuse changes.
	ConsoleReadOnly bool
	// Version is that of podid, for the console and the metrics to tell.
	Version string
	// Tracer follows requests for credentials. Nil: they are not followed.
	Tracer *trace.Tracer
	// Audit keeps audit events, besides DataDir. Nil: nothing else.
	Audit audit.Sink
	// Logger takes what the components have to say. Nil: nothing.
	Logger *slog.Logger
	// Ready is called once everything is ready; its error ends Run. Nil: nothing to call.
	Ready func(*Info) error
}

// Info tells how to use a running development mode.
type Info struct {
	URL            string // of the AWS APIs
	AgentURL       string // full URI of the credentials
	Cluster        identity.Cluster
	Namespace      string // of a service account to try
	ServiceAccount string
	Notice         string // something the user should know, or ""

	Issuers        map[string]*issuer.Issuer       // by cluster name
	Audit          *audit.Ring                     // the newest events
	administrators map[string]identity.Credentials // by account id
}

// Administrator returns the key of an account's administrator.
func (i *Info) Administrator(account string) identity.Credentials { return i.administrators[account] }

// Env returns the variables of the env file.
func (i *Info) Env() []string {
	own := i.administrators[i.Cluster.AccountID]
	env := []string{
		envEndpoint + "=" + i.URL,
		envRegion + "=" + i.Cluster.Region,
		"AWS_DEFAULT_REGION=" + i.Cluster.Region,
		envKeyID + "=" + own.AccessKeyID,
		envSecret + "=" + own.SecretAccessKey.Reveal(),
		envCluster + "=" + i.Cluster.Name,
		EnvAgentURL + "=" + i.AgentURL,
	}
	for _, id := range slices.Sorted(maps.Keys(i.administrators)) {
		if id != i.Cluster.AccountID {
			env = append(env, "PODID_ACCOUNT_"+id+"_ACCESS_KEY_ID="+i.administrators[id].AccessKeyID,
				"PODID_ACCOUNT_"+id+"_SECRET_ACCESS_KEY="+i.administrators[id].SecretAccessKey.Reveal())
		}
	}
	return env
}

// Run runs everything until ctx ends. It returns nil after a clean stop.
func Run(ctx context.Context, c Config) (err error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.EnvFile != "" {
		// Whoever waits for the file must not find the one of an earlier run.
		if err := os.Remove(c.EnvFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("--env-file: %w", err)
		}
	}
	folder, err := openFolder(c.DataDir)
	if err != nil {
		return err
	}
	defer folder.close()
	world, notice, err := folder.world(c.World)
	if err != nil {
		return err
	}
	listener, err := listen("--listen", c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	agentListener, err := listen("--agent-listen", c.AgentListen)
	if err != nil {
		return err
	}
	defer agentListener.Close()

	e := &environment{
		config: c, folder: folder, world: world, url: "http://" + listener.Addr().String(),
		info: &Info{AgentURL: "http://" + agentListener.Addr().String() + "/v1/credentials", Notice: notice},
	}
	defer e.close()
	handler, err := e.build(ctx)
	if err != nil {
		return err
	}
	agent, err := e.agent(agentListener)
	if err != nil {
		return err
	}
	server, err := httpd.New(httpd.Config{
		Handler: handler, Logger: c.Logger, MaxConnections: 4096, ShutdownTimeout: 3 * time.Second,
		// Large objects of S3 take their time, and a reader of them too.
		ReadTimeout: 15 * time.Minute, WriteTimeout: 15 * time.Minute,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx, listener) })
	group.Go(func() error { return e.chains.Run(ctx) })
	group.Go(func() error { return e.feed.Run(ctx) })
	group.Go(func() error { return e.page.Run(ctx) })
	group.Go(func() error { return agent.Run(ctx) })
	group.Go(func() error { return e.start(ctx) })
	return group.Wait()
}

// listen opens a listener on loopback: whoever reaches development mode can
// mint tokens with keys that lie on this machine, and that is far enough.
func listen(flag, address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w (port 0 takes a free one)", flag, address, err)
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		l.Close()
		return nil, fmt.Errorf("%s %s: development mode listens on loopback alone, such as 127.0.0.1:7300", flag, address)
	}
	return l, nil
}

// start waits until the APIs answer, puts the world's associations in place,
// and says that everything is ready.
func (e *environment) start(ctx context.Context) error {
	if err := e.answering(ctx, e.url+"/_podid/healthz", http.StatusOK); err != nil {
		return err
	}
	// Without a token the agent answers 400: it is there.
	if err := e.answering(ctx, e.info.AgentURL, http.StatusBadRequest); err != nil {
		return err
	}
	if err := e.seed(ctx); err != nil {
		return err
	}
	if e.config.EnvFile != "" {
		if err := e.info.writeEnvFile(e.config.EnvFile); err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
	}
	if e.config.Ready != nil {
		return e.config.Ready(e.info)
	}
	return nil
}

// answering asks until url answers with status; the listener is open already,
// so it takes no more than the server's start.
func (e *environment) answering(ctx context.Context, url string, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", url, err)
	}
	res.Body.Close()
	if res.StatusCode != status {
		return fmt.Errorf("waiting for %s: it answers %s", url, res.Status)
	}
	return nil
}

// shellExports quotes for POSIX shells.
func shellExports(env []string) string {
	var b strings.Builder
	b.WriteString("# written by podid dev; source it: the AWS CLI, SDKs, Terraform and podid then use the small AWS\n")
	b.WriteString("unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN\n") // of another AWS
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String()
}
