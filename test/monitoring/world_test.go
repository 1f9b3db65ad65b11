//go:build linux

package monitoring_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/metrics"
	"github.com/podid/podid/internal/token/issuer"
)

// development runs development mode until the test ends.
func development(t *testing.T) *devenv.Info {
	t.Helper()
	return developmentWith(t, devenv.Config{Version: "v0.0.0-test"})
}

func developmentWith(t *testing.T, c devenv.Config) *devenv.Info {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan *devenv.Info, 1), make(chan error, 1)
	c.Ready = func(i *devenv.Info) error { ready <- i; return nil }
	go func() { done <- devenv.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("development mode: %v", err)
		}
	})
	select {
	case info := <-ready:
		return info
	case err := <-done:
		done <- err
		t.Fatalf("development mode did not start: %v", err)
		return nil
	}
}

// token mints the token of a pod.
func token(t *testing.T, info *devenv.Info, serviceAccount, pod string) string {
	t.Helper()
	raw, err := info.Issuers[info.Cluster.Name].Mint(issuer.Request{
		Namespace: "default", ServiceAccount: serviceAccount, PodName: pod, PodUID: pod + "-uid", NodeName: "node-1", Lifetime: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// node is podid-agent as a process.
type node struct{ pods, metrics string } // URLs

// agent runs podid-agent before development mode's server until the test ends.
func agent(t *testing.T, info *devenv.Info, env ...string) node {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "podid-agent")
	build := exec.Command("go", "build", "-o", binary, "-ldflags", "-X main.version=v0.0.0-test", "github.com/podid/podid/cmd/podid-agent")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building podid-agent: %v\n%s", err, out)
	}
	command := exec.Command(binary, "server", "--cluster-name", info.Cluster.Name, "--endpoint", info.URL, "--region", info.Cluster.Region, "--link", "none",
		"--bind-hosts", "127.0.0.1", "--port", "0", "--probe-port", "0", "--metrics-address", "127.0.0.1", "--metrics-port", "0")
	own := info.Administrator(info.Cluster.AccountID)
	command.Env = append(env, "AWS_ACCESS_KEY_ID="+own.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+own.SecretAccessKey.Reveal())
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(command.Process.Signal(syscall.SIGTERM), command.Wait()); err != nil {
			t.Errorf("podid-agent: %v", err)
		}
	})
	lines := bufio.NewScanner(log)
	pods, own2 := address(t, lines, "serving pods"), address(t, lines, "serving metrics")
	go io.Copy(io.Discard, log)
	return node{"http://" + pods + "/v1/credentials", "http://" + own2 + "/metrics"}
}

func address(t *testing.T, lines *bufio.Scanner, message string) string {
	t.Helper()
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == message {
			return line.Address
		}
	}
	t.Fatalf("podid-agent did not say %q", message)
	return ""
}

// ask asks the agent as a pod and returns the status.
func ask(t *testing.T, n node, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.pods, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", token)
	// A pod has no say in what is traced, and in which trace.
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// cluster is what a server in a cluster has of its own: the webhook's doors,
// beside all that can be counted.
func cluster(t *testing.T) (scraped, hooks *httptest.Server) {
	t.Helper()
	set := metrics.New(everything())
	webhook, err := admission.New(admission.Config{
		Associations: none{},
		Validate: func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
			return &admissionv1.AdmissionResponse{Allowed: true}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	set.Add(webhook.Metrics()...)
	mux := http.NewServeMux()
	mux.Handle(admission.MutatePath, set.Door(metrics.Pods, webhook.Handler()))
	mux.Handle(admission.ValidatePath, set.Door(metrics.Validate, webhook.Handler()))
	scraped, hooks = httptest.NewServer(set.Handler()), httptest.NewServer(mux)
	t.Cleanup(scraped.Close)
	t.Cleanup(hooks.Close)
	return scraped, hooks
}

// none has no associations.
type none struct{}

func (none) Known(string, string) (identity.Association, bool) { return identity.Association{}, false }

func (none) Lookup(context.Context, string, string) (identity.Association, error) {
	return identity.Association{}, identity.Errorf(identity.NotFound, "There is none.")
}
