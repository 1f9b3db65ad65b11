package controller

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// TestGrantsAreNotedSeldom: many grants are one write in some minutes, with the
// last time that is due.
func TestGrantsAreNotedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		var writes, away atomic.Int32
		away.Store(1)
		k := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.PodIdentityAssociation{}).
			WithObjects(bound("app", 1, "", 0)).
			WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if away.Load() > 0 {
					return fmt.Errorf("the API server is away")
				}
				writes.Add(1)
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}}).Build()
		object := func(namespace, name string) *v1alpha1.PodIdentityAssociation {
			o := &v1alpha1.PodIdentityAssociation{}
			if k.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, o) != nil {
				return nil
			}
			return o
		}
		issued, err := NewIssued(IssuedConfig{Client: k, Object: object})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- issued.Run(ctx) }()

		note := func(name string) { issued.Note(identity.Association{Namespace: "shop", ServiceAccount: name}) }
		note("gone")
		note("app")
		time.Sleep(3 * writeEvery)
		away.Store(0)
		time.Sleep(2 * writeEvery)
		first := object("shop", "app").Status.LastIssued
		if writes.Load() != 1 || first == nil || time.Since(first.Time) < 4*writeEvery {
			t.Fatalf("%d writes, %v; want the time of the grant, though it could not be written then", writes.Load(), first)
		}
		for range 100 {
			note("app")
			time.Sleep(10 * time.Second)
		}
		time.Sleep(2 * writeEvery)
		if last := object("shop", "app").Status.LastIssued; writes.Load() != 2 || last.Sub(first.Time) < defaultIssuedEvery {
			t.Errorf("%d writes, %v and %v", writes.Load(), first, last)
		}
		if n := len(issued.times); n > 1 {
			t.Errorf("%d times are kept, of one association", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
