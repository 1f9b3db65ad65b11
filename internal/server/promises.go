package server

import (
	"context"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/certificate"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/metrics"
	"github.com/podid/podid/internal/promise"
)

// replicas tells who is one.
func (s *server) replicas() certificate.Peers {
	return certificate.Peers{Current: s.certificate.current}
}

// promise has the replicas promise each other what the webhook relies on.
func (s *server) promise() (err error) {
	if s.config.Pod == "" {
		return nil
	}
	// HTTP/1.1: what gets no answer in time is given up with its connection.
	others := &http.Client{Transport: &http.Transport{TLSClientConfig: s.replicas().Client(), IdleConnTimeout: time.Minute}}
	s.promises, err = promise.New(promise.Config{
		Self: s.config.Pod, Settle: s.config.Settle, Members: s.members, Version: s.store.Version, Reached: s.store.Reached, Logger: s.config.Logger,
		Poll: func(ctx context.Context, to promise.Member, q promise.Poll) (promise.Answer, error) {
			return promise.Ask(ctx, others, to, q)
		},
	})
	return err
}

// members are the pods of the server that may run, by the API server's own word.
func (s *server) members(ctx context.Context) ([]promise.Member, error) {
	_, port, err := net.SplitHostPort(s.config.APIAddress)
	if err != nil {
		return nil, err
	}
	own := s.config.ServiceAccount
	list := &corev1.PodList{}
	if err := s.cluster.live.List(ctx, list, client.InNamespace(own.Namespace), client.MatchingFields{"spec.serviceAccountName": own.Name}); err != nil {
		return nil, err
	}
	var members []promise.Member
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Spec.NodeName == "" || ended(pod) {
			continue
		}
		m := promise.Member{ID: string(pod.UID)}
		if pod.Status.PodIP != "" {
			m.Address = net.JoinHostPort(pod.Status.PodIP, port)
		}
		members = append(members, m)
	}
	return members, nil
}

// askedByReplicas adds what replicas ask each other to the door of the APIs.
func (s *server) askedByReplicas(apis http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", apis)
	if s.page != nil { // with the token of a user
		mux.Handle(console.LocalPrefix+"/", s.door(metrics.Console, s.page.Local()))
	}
	if s.promises != nil {
		mux.Handle("POST "+promise.Path, s.replicas().Only(s.promises.Handler()))
	}
	return mux
}
