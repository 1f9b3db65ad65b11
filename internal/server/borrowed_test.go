package server

import (
	"context"
	"errors"
	"testing"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
)

// oneInformer is a cache that counts the handlers of its one informer.
type oneInformer struct {
	cache.Cache
	cache.Informer
	handlers int
}

func (o *oneInformer) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return o, nil
}

func (o *oneInformer) AddEventHandlerWithOptions(toolscache.ResourceEventHandler, toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	o.handlers++
	return nil, nil
}

func (o *oneInformer) AddEventHandler(toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return nil, errors.New("stopped")
}

func (o *oneInformer) RemoveEventHandler(toolscache.ResourceEventHandlerRegistration) error {
	o.handlers--
	return nil
}

// Who leads three times has left no handler behind.
func TestBorrowedInformersAreGivenBack(t *testing.T) {
	all := &oneInformer{}
	for range 3 {
		b := &borrowed{Cache: all}
		informer, err := b.GetInformer(t.Context(), &v1alpha1.PodIdentityAssociation{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := informer.AddEventHandlerWithOptions(toolscache.ResourceEventHandlerFuncs{}, toolscache.HandlerOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{}); err == nil {
			t.Fatal("added to an informer that was stopped")
		}
		if all.handlers != 2 {
			t.Errorf("%d handlers, want 2", all.handlers)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if all.handlers != 0 {
		t.Errorf("%d handlers are left behind", all.handlers)
	}
}
