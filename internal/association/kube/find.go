package kube

import (
	"context"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
)

// Find implements association.Store.
func (s *Store) Find(ctx context.Context, q association.Query) ([]identity.Association, error) {
	if q.Cluster != s.cluster {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	objects, err := s.candidates(ctx, q)
	if err != nil {
		return nil, err
	}
	var found []identity.Association
	for _, o := range objects {
		id := ID(o.UID)
		if gone(o) || q.ID != "" && id != q.ID || q.Namespace != "" && o.Namespace != q.Namespace ||
			q.ServiceAccount != "" && o.Name != q.ServiceAccount || id <= q.After {
			continue
		}
		found = append(found, Association(s.cluster, o))
	}
	slices.SortFunc(found, func(a, b identity.Association) int { return strings.Compare(a.ID, b.ID) })
	return found[:min(len(found), q.Limit)], nil
}

// candidates returns objects among which are all that q asks for: read live, but
// for the pages of a list after the first, of which there may be many.
func (s *Store) candidates(ctx context.Context, q association.Query) ([]*v1alpha1.PodIdentityAssociation, error) {
	switch {
	case q.ID != "":
		o, err := s.find(ctx, q.Cluster, q.ID)
		if identity.KindOf(err) == identity.NotFound {
			return nil, nil
		}
		return []*v1alpha1.PodIdentityAssociation{o}, err
	case q.Namespace != "" && q.ServiceAccount != "":
		o, err := s.get(ctx, q.Namespace, q.ServiceAccount)
		if o == nil || err != nil {
			return nil, err
		}
		return []*v1alpha1.PodIdentityAssociation{o}, nil
	case q.After != "" && s.Synced():
		return s.listed(ctx)
	}
	list := &v1alpha1.PodIdentityAssociationList{}
	if err := s.live.List(ctx, list, client.InNamespace(q.Namespace)); err != nil {
		return nil, failure(err)
	}
	objects := make([]*v1alpha1.PodIdentityAssociation, len(list.Items))
	for i := range list.Items {
		objects[i] = &list.Items[i]
		s.saw(objects[i])
	}
	return objects, nil
}

// listed returns what the informer has, once it has all that was seen here, the
// first page of the list included.
func (s *Store) listed(ctx context.Context) ([]*v1alpha1.PodIdentityAssociation, error) {
	if err := s.WaitFor(ctx, s.Sequence()); err != nil {
		return nil, err
	}
	all := s.informer.GetStore().List()
	objects := make([]*v1alpha1.PodIdentityAssociation, len(all))
	for i, o := range all {
		objects[i] = object(o)
	}
	return objects, nil
}

// find reads the object of an association live. The informer knows which object
// has an id, and that never changes; what it does not know yet is looked for
// among all. NotFound if there is none.
func (s *Store) find(ctx context.Context, cluster identity.Cluster, id string) (*v1alpha1.PodIdentityAssociation, error) {
	if cluster != s.cluster {
		return nil, association.NotFound(id)
	}
	key, err := s.key(ctx, id)
	if err != nil {
		return nil, err
	}
	o, err := s.get(ctx, key.Namespace, key.Name)
	if err != nil {
		return nil, err
	}
	if o == nil || ID(o.UID) != id {
		return nil, association.NotFound(id)
	}
	s.saw(o)
	return o, nil
}

// key returns the names of the object with that id, empty if there is none.
func (s *Store) key(ctx context.Context, id string) (client.ObjectKey, error) {
	known, err := s.informer.GetIndexer().ByIndex(byID, id)
	if err != nil {
		return client.ObjectKey{}, identity.Errorf(identity.Internal, "").Because(err)
	}
	if len(known) > 0 {
		return client.ObjectKeyFromObject(object(known[0])), nil
	}
	list := metadataList()
	if err := s.live.List(ctx, list); err != nil {
		return client.ObjectKey{}, failure(err)
	}
	for i := range list.Items {
		if ID(list.Items[i].UID) == id {
			return client.ObjectKeyFromObject(&list.Items[i]), nil
		}
	}
	return client.ObjectKey{}, nil
}
