package devenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Exec runs a program as a pod.
type Exec struct {
	Client  *Client
	Pod     Pod
	Command []string
	Environ []string // what the program's environment starts from
	Stdin   *os.File
	Stdout  *os.File
	Stderr  *os.File
}

// Run runs the program with the container variables, the region and the
// endpoint as its only AWS configuration, and keeps its token file fresh while
// it runs. It returns the program's exit code; 128 plus the signal's number if
// a signal ended it, as a shell does.
func (e *Exec) Run(ctx context.Context) (int, error) {
	dir, err := os.MkdirTemp("", "podid-exec-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	tokenFile := filepath.Join(dir, "eks-pod-identity-token")
	token, err := e.writeToken(ctx, tokenFile)
	if err != nil {
		return 0, err
	}
	e.Pod.Name, e.Pod.UID, e.Pod.Node = token.PodName, token.PodUID, token.NodeName

	cmd := exec.Command(e.Command[0], e.Command[1:]...)
	cmd.Env = podEnviron(e.Environ, e.Client, tokenFile)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%s: %w", e.Command[0], err)
	}
	// The terminal sends SIGINT to the program too; it decides what that means.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	renew := time.NewTimer(renewAfter(token))
	defer renew.Stop()
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGINT {
				_ = cmd.Process.Signal(s)
			}
		case <-renew.C:
			if fresh, err := e.writeToken(ctx, tokenFile); err == nil {
				token = fresh
			}
			renew.Reset(renewAfter(token))
		case err := <-done:
			return exitCode(err)
		}
	}
}

// renewAfter is 80 % of the token's remaining life, when the kubelet renews
// (https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/),
// and not sooner than ten seconds from now.
func renewAfter(t TokenReply) time.Duration {
	return max(time.Until(t.Expires)*4/5, 10*time.Second)
}

// writeToken replaces the token file in one step, so that a reader never sees half a token.
func (e *Exec) writeToken(ctx context.Context, path string) (TokenReply, error) {
	token, err := e.Client.Token(ctx, e.Pod)
	if err != nil {
		return TokenReply{}, err
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(token.Token), 0o600); err != nil {
		return TokenReply{}, err
	}
	return token, os.Rename(next, path)
}

// podEnviron removes every AWS and podid setting from environ, and adds a
// pod's. The shared files are pointed away: they come before the container
// credentials in the SDKs' default chain.
func podEnviron(environ []string, c *Client, tokenFile string) []string {
	var env []string
	for _, v := range environ {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "PODID_") {
			env = append(env, v)
		}
	}
	return append(env,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI="+c.AgentURL,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+tokenFile,
		envRegion+"="+c.Region,
		"AWS_DEFAULT_REGION="+c.Region,
		envEndpoint+"="+c.Endpoint,
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
}

func exitCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	e, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0, err
	}
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return e.ExitCode(), nil
}
