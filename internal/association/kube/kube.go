// Package kube keeps associations as custom resources, so in etcd through the
// API server, with any number of replicas of podid beside each other. Reads that
// have to see every write are live; the rest come from the informer.
package kube

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"
	crcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// Informers has the informer of a kind; controller-runtime's cache.Cache does.
type Informers interface {
	GetInformer(ctx context.Context, obj client.Object, opts ...crcache.InformerGetOption) (crcache.Informer, error)
}

// Config says what a Store works with. All is required.
type Config struct {
	// Cluster is the cluster as AWS would name it.
	Cluster identity.Cluster
	// Cache is of the whole cluster, keeps managedFields, and is run by whoever made it.
	Cache Informers
	// Live reads and writes without a cache, and without a limit of its own: the
	// API server has its own fairness, and a pod that waits for a read has not much time.
	Live client.Client
}

const (
	// lookupTimeout bounds the live read while a pod or an agent waits.
	lookupTimeout = time.Second
	// callTimeout bounds one call for somebody who uses the API.
	callTimeout = 10 * time.Second
	// owner is the field manager of what podid writes.
	owner = client.FieldOwner("podid")
)

// Store is an association.Store, and knows which service account has which
// association. It is safe for concurrent use.
type Store struct {
	cluster  identity.Cluster
	live     client.Client
	informer cache.SharedIndexInformer
	sequence atomic.Uint64 // resource version of the newest object that was seen

	mu     sync.RWMutex
	counts map[string]int // of objects, by namespace: to count them anew for each pod would take a millisecond
}

// Indices of the informer.
const (
	byID    = "podid.dev/id"
	byToken = "podid.dev/token"
)

// New makes a Store. The cache need not run yet.
func New(ctx context.Context, c Config) (*Store, error) {
	if c.Cluster == (identity.Cluster{}) || c.Cache == nil || c.Live == nil {
		return nil, errors.New("association/kube: Cluster, Cache and Live are required")
	}
	found, err := c.Cache.GetInformer(ctx, &v1alpha1.PodIdentityAssociation{}, crcache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching associations: %w", err)
	}
	informer, ok := found.(cache.SharedIndexInformer)
	if !ok {
		return nil, errors.New("association/kube: the cache is not of the whole cluster")
	}
	s := &Store{cluster: c.Cluster, live: c.Live, informer: informer, counts: map[string]int{}}
	err = informer.AddIndexers(cache.Indexers{
		byID:    func(o any) ([]string, error) { return []string{ID(object(o).UID)}, nil },
		byToken: func(o any) ([]string, error) { return tokensOf(object(o)).keys(), nil },
	})
	if err != nil {
		return nil, fmt.Errorf("watching associations: %w", err)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.saw(object(o)); s.counted(object(o), 1) },
		UpdateFunc: func(_, o any) { s.saw(object(o)) },
		DeleteFunc: func(o any) { s.saw(object(o)); s.counted(object(o), -1) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching associations: %w", err)
	}
	return s, nil
}

// object returns what the informer hands out, which nobody may change. What is
// no association, which should not be, is one without a name.
func object(o any) *v1alpha1.PodIdentityAssociation {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if a, ok := o.(*v1alpha1.PodIdentityAssociation); ok {
		return a
	}
	return &v1alpha1.PodIdentityAssociation{}
}

// Synced says whether the informer has read all associations once.
func (s *Store) Synced() bool { return s.informer.HasSynced() }

// Sequence returns the resource version of the newest change to an association
// that was seen here. Resource versions of one kind can be compared, also those
// that different replicas saw
// (https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version).
// Bookmarks do not count: each replica gets its own, and to ask another for them
// would be to wait for nothing.
func (s *Store) Sequence() uint64 { return s.sequence.Load() }

// saw raises the sequence to what the object proves.
func (s *Store) saw(a *v1alpha1.PodIdentityAssociation) {
	version := number(a.ResourceVersion)
	for {
		before := s.sequence.Load()
		if version <= before || s.sequence.CompareAndSwap(before, version) {
			return
		}
	}
}

func (s *Store) counted(a *v1alpha1.PodIdentityAssociation, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[a.Namespace] += more; s.counts[a.Namespace] == 0 {
		delete(s.counts, a.Namespace)
	}
}

// poll is how often a waiting call looks at the informer.
const poll = 5 * time.Millisecond

// WaitFor waits until the informer has every change up to and with that of
// sequence.
func (s *Store) WaitFor(ctx context.Context, sequence uint64) error {
	if s.Reached() >= sequence {
		return nil
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return identity.Errorf(identity.Unavailable, "This server has not yet heard of the newest associations. Ask another, or again.").Because(ctx.Err())
		case <-tick.C:
			if s.Reached() >= sequence {
				return nil
			}
		}
	}
}

// Reached is how far the informer's store is: here bookmarks count, and the
// version of the list that it began with.
func (s *Store) Reached() uint64 { return number(s.informer.GetStore().LastStoreSyncResourceVersion()) }

// Version returns how far the associations are at the API server: at every change
// that it acknowledged before the call, or later.
func (s *Store) Version(ctx context.Context) (uint64, error) {
	list := metadataList()
	if err := s.live.List(ctx, list, client.Limit(1)); err != nil {
		return 0, failure(err)
	}
	n, err := strconv.ParseUint(list.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the version of the list of associations: %w", err)
	}
	return n, nil
}

// number returns a resource version as a number; what is none counts as nothing seen.
func number(version string) uint64 {
	n, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
