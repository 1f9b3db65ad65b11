package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/podexec"
	"github.com/podid/podid/internal/token/request"
)

// Exec runs a program as a pod of the cluster, on this machine: with tokens of
// the pod, which the API server makes for whoever may have them made, and with
// the pod's AWS credentials, which podid's server gives to whoever holds an
// access key for that. program says what to run, and where its input and output
// are. It returns the program's exit code.
func (k *Cluster) Exec(ctx context.Context, pod request.Pod, keys aws.CredentialsProvider, program podexec.Config) (code int, err error) {
	info, err := k.Info(ctx)
	if err != nil {
		return 0, err
	}
	// First what refuses at once: the rest takes a while.
	token, err := k.Token(ctx, pod)
	if err != nil {
		return 0, err
	}
	pod.Name = token.PodName
	err = k.WithServer(ctx, keys, func(ctx context.Context, server *eksauth.Client) error {
		if _, err := server.AssumeRoleForPodIdentity(ctx, token.Raw); err != nil {
			return fmt.Errorf("podid gives no credentials of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		program.Region = info.Cluster.Region
		program.Token = func(ctx context.Context) (podexec.Token, error) {
			token, err := k.Token(ctx, pod)
			return podexec.Token{Raw: token.Raw, Expires: token.Expires}, err
		}
		code, err = runBesideAgent(ctx, server, program)
		return err
	})
	return code, err
}

// Token has a token of a pod made.
func (k *Cluster) Token(ctx context.Context, pod request.Pod) (request.Token, error) {
	return request.For(ctx, k.client, pod)
}

// runBesideAgent runs a program beside an agent on loopback, which gives whoever
// shows a pod's token the pod's credentials.
func runBesideAgent(ctx context.Context, server agent.Upstream, program podexec.Config) (code int, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	local, err := agent.New(agent.Config{Listeners: []net.Listener{listener}, Upstream: server})
	if err != nil {
		return 0, err
	}
	program.Credentials = "http://" + listener.Addr().String() + "/v1/credentials"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return local.Run(ctx) })
	group.Go(func() error {
		defer cancel()
		code, err = podexec.Run(ctx, program)
		return err
	})
	if failed := group.Wait(); failed != nil && !errors.Is(failed, context.Canceled) {
		return 0, failed
	}
	return code, err
}
