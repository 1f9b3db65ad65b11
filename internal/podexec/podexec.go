// Package podexec runs local programs as pods: with a pod's service account
// token, an endpoint for its credentials, and no other AWS credentials.
package podexec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/podid/podid/internal/identity"
)

// Token is a service account token.
type Token struct {
	Raw     identity.Secret
	Expires time.Time
}

// Config says what to run, and as which pod. Token, Credentials, Region and
// Command are required.
type Config struct {
	// Token has a token of the pod made, of the same pod each time.
	Token func(context.Context) (Token, error)
	// Credentials is the URL at which the pod's credentials are.
	Credentials string
	// Region is the cluster's.
	Region string
	// Endpoint is that of the AWS APIs. Empty: AWS's own.
	Endpoint string
	// Command is the program and its arguments.
	Command []string
	// Environ is what the program's environment starts from.
	Environ               []string
	Stdin, Stdout, Stderr *os.File
}

// Run runs the program with the container variables, the region and the
// endpoint as its only AWS configuration, and keeps its token file fresh while
// it runs. It returns the program's exit code; 128 plus the signal's number if
// a signal ended it, as a shell does.
func Run(ctx context.Context, c Config) (int, error) {
	if c.Token == nil || c.Credentials == "" || c.Region == "" || len(c.Command) == 0 {
		return 0, errors.New("podexec: Token, Credentials, Region and Command are required")
	}
	dir, err := os.MkdirTemp("", "podid-exec-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	tokenFile := filepath.Join(dir, "eks-pod-identity-token")
	token, err := c.writeToken(ctx, tokenFile)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	cmd.Env = c.environ(tokenFile)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%s: %w", c.Command[0], err)
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
			if fresh, err := c.writeToken(ctx, tokenFile); err == nil {
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
func renewAfter(t Token) time.Duration {
	return max(time.Until(t.Expires)*4/5, 10*time.Second)
}

// writeToken replaces the token file in one step, so that a reader never sees half a token.
func (c Config) writeToken(ctx context.Context, path string) (Token, error) {
	token, err := c.Token(ctx)
	if err != nil {
		return Token{}, err
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(token.Raw.Reveal()), 0o600); err != nil {
		return Token{}, err
	}
	return token, os.Rename(next, path)
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
