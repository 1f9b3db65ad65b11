package kube

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

// Create implements association.Store. The id of the association is that of the
// object, whatever a says. Requests that come at the same time may each find room
// below limit: it is counted before the object is made.
func (s *Store) Create(ctx context.Context, a identity.Association, once association.Once, limit int) (identity.Association, error) {
	var none identity.Association
	if a.Cluster != s.cluster {
		return none, identity.Errorf(identity.NotFound, "No cluster found for name: %.100s.", a.Cluster.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.reused(once, a); err != nil {
		return none, err
	}
	for {
		found, err := s.get(ctx, a.Namespace, a.ServiceAccount)
		if err != nil {
			return none, err
		}
		if found != nil {
			return s.existing(found, once)
		}
		n, err := s.count(ctx)
		if err != nil {
			return none, err
		}
		if n >= limit {
			return none, association.LimitReached(limit)
		}
		o := &v1alpha1.PodIdentityAssociation{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: a.ServiceAccount}}
		Put(o, a)
		remember(o, once)
		switch err := s.live.Create(ctx, o, owner); {
		case err == nil:
			s.saw(o)
			return Association(s.cluster, o), nil
		// Another request was quicker: it shows at the next read, unless it is
		// gone again or an object of that name waits for its finalizers.
		case apierrors.IsAlreadyExists(err):
			if found, err := s.get(ctx, a.Namespace, a.ServiceAccount); err != nil || found == nil {
				return none, identity.Errorf(identity.Throttled, "The association of that service account is being deleted. Try again.").Because(err)
			}
		case apierrors.IsNotFound(err) && aboutNamespace(err):
			return none, identity.Errorf(identity.InvalidRequest,
				"There is no namespace %s in the cluster. An association is an object of its service account's namespace: create that first.", a.Namespace).Because(err)
		default:
			return none, failure(err)
		}
	}
}

// aboutNamespace tells a namespace that is not there from a kind that is not.
func aboutNamespace(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && status.ErrStatus.Details != nil && status.ErrStatus.Details.Kind == "namespaces"
}

// existing answers a request to create what exists: the same request as made it
// gets it.
func (s *Store) existing(o *v1alpha1.PodIdentityAssociation, once association.Once) (identity.Association, error) {
	known, err := tokensOf(o).recall(once)
	if err != nil {
		return identity.Association{}, err
	}
	if !known {
		return identity.Association{}, association.AlreadyExists(ID(o.UID))
	}
	return Association(s.cluster, o), nil
}

// reused refuses a token that came with a request about another service account,
// as far as the informer knows.
func (s *Store) reused(once association.Once, a identity.Association) error {
	if once.Token == "" {
		return nil
	}
	found, err := s.informer.GetIndexer().ByIndex(byToken, hash(once.Token))
	if err != nil {
		return identity.Errorf(identity.Internal, "").Because(err)
	}
	for _, o := range found {
		o := object(o)
		if known, _ := tokensOf(o).recall(once); known && (o.Namespace != a.Namespace || o.Name != a.ServiceAccount) {
			return association.TokenReused()
		}
	}
	return nil
}

// count asks the API server how many associations there are: a list that is cut
// off after the first says how many more there would be.
func (s *Store) count(ctx context.Context) (int, error) {
	list := metadataList()
	if err := s.live.List(ctx, list, client.Limit(1)); err != nil {
		return 0, failure(err)
	}
	n := len(list.Items)
	if list.RemainingItemCount != nil {
		n += int(*list.RemainingItemCount)
	}
	return n, nil
}

// Update implements association.Store. What is written is what differs, and only
// while the object is as it was read.
func (s *Store) Update(ctx context.Context, cluster identity.Cluster, id string, once association.Once, edit func(*identity.Association) error) (identity.Association, error) {
	var none identity.Association
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		o, err := s.find(ctx, cluster, id)
		if err != nil {
			return none, err
		}
		if known, err := tokensOf(o).recall(once); err != nil || known {
			return Association(s.cluster, o), err
		}
		a := Association(s.cluster, o)
		if err := edit(&a); err != nil {
			return none, err
		}
		before := o.DeepCopy()
		Put(o, a)
		remember(o, once)
		err = s.live.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), owner)
		if err == nil {
			s.saw(o)
			return Association(s.cluster, o), nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) || ctx.Err() != nil {
			return none, failure(err)
		}
	}
}

// Delete implements association.Store.
func (s *Store) Delete(ctx context.Context, cluster identity.Cluster, id string, check func(identity.Association) error) (identity.Association, error) {
	var none identity.Association
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		o, err := s.find(ctx, cluster, id)
		if err != nil {
			return none, err
		}
		a := Association(s.cluster, o)
		if err := check(a); err != nil {
			return none, err
		}
		err = s.live.Delete(ctx, o, client.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion})
		if err == nil {
			return a, nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) || ctx.Err() != nil {
			return none, failure(err)
		}
	}
}

func metadataList() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.Kind + "List"))
	return list
}
