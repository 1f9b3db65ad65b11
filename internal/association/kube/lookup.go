package kube

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// Lookup returns the association of a service account. What the informer has not
// is asked for live, so that an association is found by every replica from the
// moment its creation was acknowledged. Its error is an *identity.Error:
// NotFound, or Unavailable if the API server did not say in time.
func (s *Store) Lookup(ctx context.Context, namespace, serviceAccount string) (identity.Association, error) {
	if o := s.known(namespace, serviceAccount); o != nil {
		return Association(s.cluster, o), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	o, err := s.get(ctx, namespace, serviceAccount)
	if err != nil {
		return identity.Association{}, err
	}
	if o == nil {
		return identity.Association{}, identity.Errorf(identity.NotFound,
			"No pod identity association found for service account %s in namespace %s of cluster %s.", serviceAccount, namespace, s.cluster.Name)
	}
	s.saw(o)
	return Association(s.cluster, o), nil
}

// Known returns the association of a service account if the informer has it.
func (s *Store) Known(namespace, serviceAccount string) (identity.Association, bool) {
	o := s.known(namespace, serviceAccount)
	if o == nil {
		return identity.Association{}, false
	}
	return Association(s.cluster, o), true
}

// Object returns the informer's object of a service account, which nobody may
// change, or nil.
func (s *Store) Object(namespace, serviceAccount string) *v1alpha1.PodIdentityAssociation {
	return s.known(namespace, serviceAccount)
}

// Count returns how many associations the informer has told of in a namespace.
func (s *Store) Count(namespace string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.counts[namespace]
}

func (s *Store) known(namespace, serviceAccount string) *v1alpha1.PodIdentityAssociation {
	o, found, err := s.informer.GetStore().GetByKey(namespace + "/" + serviceAccount)
	if err != nil || !found {
		return nil
	}
	a := object(o)
	s.saw(a)
	if gone(a) {
		return nil
	}
	return a
}

// gone says of an object that is still there, for a finalizer, that somebody
// deleted it: what was taken back is given out no longer.
func gone(o *v1alpha1.PodIdentityAssociation) bool { return !o.DeletionTimestamp.IsZero() }

// get reads an object from the API server; nil if there is none.
func (s *Store) get(ctx context.Context, namespace, name string) (*v1alpha1.PodIdentityAssociation, error) {
	// What cannot be part of a path is no object's name, and the client would refuse it.
	if namespace == "" || name == "" || len(path.IsValidPathSegmentName(namespace))+len(path.IsValidPathSegmentName(name)) > 0 {
		return nil, nil
	}
	o := &v1alpha1.PodIdentityAssociation{}
	err := s.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, o)
	if apierrors.IsNotFound(err) || err == nil && gone(o) {
		return nil, nil
	}
	if err != nil {
		return nil, failure(err)
	}
	return o, nil
}

// Broken tells why the chain of an association is known not to work.
func (s *Store) Broken(a identity.Association) (reason string, broken bool) {
	o := s.known(a.Namespace, a.ServiceAccount)
	if o == nil || ID(o.UID) != a.ID {
		return "", false
	}
	for _, c := range o.Status.Conditions {
		if c.Type == v1alpha1.ConditionChainVerified && c.Status == metav1.ConditionFalse && c.ObservedGeneration == o.Generation {
			return c.Message, true
		}
	}
	return "", false
}
