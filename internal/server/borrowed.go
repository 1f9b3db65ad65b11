package server

import (
	"context"
	"errors"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// borrowed is a cache that somebody else keeps. What was added to its informers
// is taken away at the end: a replica that leads again and again would else
// leave the handlers of each time behind.
type borrowed struct {
	cache.Cache

	mu    sync.Mutex
	added []func() error // how to take each handler away
}

// Start waits for the end, as the cache runs already. A manager stops its
// caches last.
func (b *borrowed) Start(ctx context.Context) error {
	<-ctx.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed []error
	for _, remove := range b.added {
		failed = append(failed, remove())
	}
	b.added = nil
	return errors.Join(failed...)
}

// GetInformer returns an informer whose handlers go when b does. It is the only
// way in which controllers add them.
func (b *borrowed) GetInformer(ctx context.Context, o client.Object, options ...cache.InformerGetOption) (cache.Informer, error) {
	informer, err := b.Cache.GetInformer(ctx, o, options...)
	if err != nil {
		return nil, err
	}
	return lent{informer, b}, nil
}

// lent is one of its informers.
type lent struct {
	cache.Informer
	by *borrowed
}

func (l lent) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return l.note(l.Informer.AddEventHandler(h))
}

func (l lent) AddEventHandlerWithResyncPeriod(h toolscache.ResourceEventHandler, resync time.Duration) (toolscache.ResourceEventHandlerRegistration, error) {
	return l.note(l.Informer.AddEventHandlerWithResyncPeriod(h, resync))
}

func (l lent) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, options toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	return l.note(l.Informer.AddEventHandlerWithOptions(h, options))
}

func (l lent) note(r toolscache.ResourceEventHandlerRegistration, err error) (toolscache.ResourceEventHandlerRegistration, error) {
	if err == nil {
		l.by.mu.Lock()
		defer l.by.mu.Unlock()
		l.by.added = append(l.by.added, func() error { return l.Informer.RemoveEventHandler(r) })
	}
	return r, err
}
