package server

import (
	"context"
	"fmt"
	"strconv"
	"time"

	toolscache "k8s.io/client-go/tools/cache"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/changes"
	consolekube "github.com/podid/podid/internal/console/kube"
)

// newFeed makes the feed of changes. What the chain room remembers of an
// association is gone before anybody hears of its change.
func (s *server) newFeed() (err error) {
	s.feed, err = changes.New(changes.Config{First: func(c changes.Change) { s.chains.Changed(c.AssociationID, c.Version) }})
	return err
}

// watchAssociations passes on what the informer sees of associations, numbered
// by resource versions, which all replicas share.
func (s *server) watchAssociations(ctx context.Context) error {
	informer, err := s.cluster.cache.GetInformer(ctx, &v1alpha1.PodIdentityAssociation{})
	if err != nil {
		return fmt.Errorf("watching associations: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.seen(nil, o) },
		UpdateFunc: s.seen,
		DeleteFunc: s.deleted,
	})
	return err
}

// seen tells of an association that is new or different. What changed nothing
// that a held credential depends on, as a new status, is told to nobody.
func (s *server) seen(before, now any) {
	o, ok := now.(*v1alpha1.PodIdentityAssociation)
	if !ok {
		return
	}
	if !o.DeletionTimestamp.IsZero() {
		s.deleted(o) // it is given out no longer, whatever finalizers wait for
		return
	}
	if s.page != nil {
		s.index.Put(consolekube.RecordOf(s.config.Cluster, o))
	}
	change := changes.Of(kube.Association(s.config.Cluster, o))
	change.Sequence = resourceVersion(o)
	if old, ok := before.(*v1alpha1.PodIdentityAssociation); ok && old.UID == o.UID && kube.Association(s.config.Cluster, old).Version() == change.Version {
		s.feed.Advance(change.Sequence)
		return
	}
	s.feed.Publish(change)
}

// deleted tells of an association that there is no more. Where the informer
// missed the deletion itself, it happened before what it has listed since.
func (s *server) deleted(gone any) {
	missed := false
	if unseen, ok := gone.(toolscache.DeletedFinalStateUnknown); ok {
		gone, missed = unseen.Obj, true
	}
	o, ok := gone.(*v1alpha1.PodIdentityAssociation)
	if !ok {
		return
	}
	s.index.Remove(kube.ID(o.UID))
	change := changes.Deleted(kube.Association(s.config.Cluster, o))
	change.Sequence = resourceVersion(o)
	if missed {
		change.Sequence = max(change.Sequence, s.store.Reached())
	}
	s.feed.Publish(change)
}

func resourceVersion(o *v1alpha1.PodIdentityAssociation) uint64 {
	n, err := strconv.ParseUint(o.ResourceVersion, 10, 64)
	if err != nil {
		return 0 // no API server has such; then nothing is claimed of the order
	}
	return n
}

// advanceEvery is how often the feed is told how far the informer is where no
// association changed: after its first list, and with bookmarks.
const advanceEvery = 100 * time.Millisecond

// advance keeps the feed up with the informer until ctx ends.
func (s *server) advance(ctx context.Context) error {
	tick := time.NewTicker(advanceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.feed.Advance(s.store.Reached())
		}
	}
}
