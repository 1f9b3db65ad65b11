// Package controller keeps the status of PodIdentityAssociations: what their ids
// are, whether a pod made now gets them, and whether AWS lets podid assume their roles.
package controller

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/ack"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

// Config says what the controller works with. Cluster is required.
type Config struct {
	// Cluster is the cluster as AWS would name it.
	Cluster identity.Cluster
	// Rules are those of the association API.
	Rules association.Rules
	// Verify assumes the roles of an association and throws the credentials away.
	// It returns the hop that AWS refused, from 1, and the error. Nil: chains are
	// not verified, and the status says nothing of them.
	Verify func(ctx context.Context, a identity.Association) (hop int, err error)
	// VerifyEvery is how often a chain that works is verified again. 0: 1 hour.
	VerifyEvery time.Duration
	// ACK makes associations of the objects of ACK's EKS controller, if the
	// cluster knows such when the controller starts.
	ACK bool
	// VerifyRate bounds how many verifications begin in a second. 0: 2.
	VerifyRate rate.Limit
}

const (
	defaultVerifyEvery = time.Hour
	defaultVerifyRate  = rate.Limit(2)
	// workers judge at the same time, and as many verify.
	workers = 4
	// verifyBurst is how many verifications may begin at once.
	verifyBurst = 5
)

// Add adds the controller to a manager. It runs while the manager leads; one
// replica is enough, as issuing does not need it.
func Add(m manager.Manager, c Config) error {
	if c.Cluster == (identity.Cluster{}) || c.VerifyEvery < 0 || c.VerifyRate < 0 {
		return errors.New("controller: Cluster is required, and times and rates are not negative")
	}
	if c.VerifyEvery == 0 {
		c.VerifyEvery = defaultVerifyEvery
	}
	if c.VerifyRate == 0 {
		c.VerifyRate = defaultVerifyRate
	}
	w := writer{live: m.GetAPIReader(), client: m.GetClient(), events: m.GetEventRecorder("podid")}
	err := builder.ControllerManagedBy(m).Named("association").For(&v1alpha1.PodIdentityAssociation{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(&readiness{cached: m.GetClient(), config: c, status: w})
	if err != nil {
		return err
	}
	if err := addMirror(m, c); err != nil || c.Verify == nil {
		return err
	}
	return builder.ControllerManagedBy(m).Named("chain").For(&v1alpha1.PodIdentityAssociation{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(newVerification(m.GetClient(), w, c))
}

func addMirror(m manager.Manager, c Config) error {
	if !c.ACK {
		return nil
	}
	kind := ack.Kind()
	if _, err := m.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
		m.GetLogger().Info("the cluster has no resource " + kind.GroupKind().String() + ": ACK's objects are not looked for until the server starts again")
		return nil
	} else if err != nil {
		return err
	}
	from := &unstructured.Unstructured{}
	from.SetGroupVersionKind(kind)
	return builder.ControllerManagedBy(m).Named("ack").For(from).Owns(&v1alpha1.PodIdentityAssociation{}).
		Complete(&mirror{cached: m.GetCache(), live: m.GetAPIReader(), client: m.GetClient(), config: c})
}
