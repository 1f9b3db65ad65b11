package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/request"
)

// podToken has a token of a pod made: by podid dev if its env file was sourced,
// and otherwise by the cluster that kubectl talks to.
func podToken(ctx context.Context, pod request.Pod, cluster string) (request.Token, error) {
	dev, err := devenv.ClientFromEnv(os.Getenv)
	if errors.Is(err, devenv.ErrNotRunning) {
		return kubernetesToken(ctx, pod)
	}
	if err != nil {
		return request.Token{}, err
	}
	minted, err := dev.Token(ctx, devenv.Pod{Cluster: cluster, Namespace: pod.Namespace, ServiceAccount: pod.ServiceAccount, Name: pod.Name})
	return request.Token{Raw: identity.Secret(minted.Token), PodName: minted.PodName, PodUID: minted.PodUID}, err
}

func kubernetesToken(ctx context.Context, pod request.Pod) (request.Token, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, new(clientcmd.ConfigOverrides)).ClientConfig()
	if err != nil {
		return request.Token{}, fmt.Errorf("neither a running podid dev nor a cluster: source podid.env or set KUBECONFIG: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return request.Token{}, err
	}
	return request.For(ctx, client, pod)
}
