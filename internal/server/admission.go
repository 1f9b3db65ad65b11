package server

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/metrics"
	"github.com/podid/podid/internal/rbac"
)

// rules are those of associations that depend on where podid runs.
func (s *server) rules() association.Rules {
	return association.Rules{PassTargetRole: !s.config.PassAnyTargetRole}
}

func (s *server) auditor() association.Auditor {
	return association.Auditor{Sink: s.config.Audit, Logger: s.config.Logger}
}

// admission puts the webhooks together.
func (s *server) admission(users *rbac.Users) (http.Handler, error) {
	judge := admission.Judge{
		Cluster: s.config.Cluster, Rules: s.rules(), Caller: users.Caller, Audit: s.auditor(),
		Self: "system:serviceaccount:" + s.config.ServiceAccount.Namespace + ":" + s.config.ServiceAccount.Name,
	}
	config := admission.Config{
		Associations: s.store, Settings: s.config.Pods, Annotations: s.annotations, Count: s.store.Count, Broken: s.store.Broken, Logger: s.config.Logger,
	}
	if s.promises != nil {
		judge.Announce, config.Current = s.promises.Announce, s.promises.Current
	}
	config.Validate = judge.Validate
	webhook, err := admission.New(config)
	if err != nil {
		return nil, err
	}
	s.metrics.Add(webhook.Metrics()...)
	mux := http.NewServeMux()
	mux.Handle(admission.MutatePath, s.metrics.Door(metrics.Pods, webhook.Handler()))
	mux.Handle(admission.ValidatePath, s.metrics.Door(metrics.Validate, webhook.Handler()))
	return mux, nil
}

// accounts are service accounts, of which no more than the metadata is kept.
func accounts() *metav1.PartialObjectMetadata {
	account := &metav1.PartialObjectMetadata{}
	account.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccount"))
	return account
}

// annotations returns those of a service account, from memory.
func (s *server) annotations(namespace, name string) map[string]string {
	if !s.cluster.synced() {
		return nil // no pod waits for that
	}
	account := accounts()
	// One that is not there yet has none.
	_ = s.cluster.cache.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, account)
	return account.Annotations
}
