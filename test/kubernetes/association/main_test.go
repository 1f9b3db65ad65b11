// Package association tests associations as custom resources against a real API
// server: their schema, the store, the webhook that judges them, and the
// controller.
package association

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

const (
	account = "111122223333"
	role    = "arn:aws:iam::111122223333:role/path/app"
	target  = "arn:aws:iam::444455556666:role/target"
	narrow  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
)

var home = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: account}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// start starts a control plane that knows associations.
func start(t testing.TB, release cluster.Release) *cluster.Cluster {
	t.Helper()
	c := cluster.Start(t, cluster.Options{Release: release})
	c.Apply(t, definition(t))
	return c
}

func definition(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../../charts/podid/crds/podid.dev_podidentityassociations.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// as is a client that reads and writes as a user, without a cache.
func as(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	k, err := client.New(config, client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// replica is what a server has: a cache of its own, and a store over it.
type replica struct {
	*kube.Store
	cache cache.Cache
	live  client.Client
}

// newReplica makes a replica. It runs from start on, until the test ends.
func newReplica(t testing.TB, config *rest.Config) (r *replica, start func()) {
	t.Helper()
	r = &replica{live: as(t, config)}
	var err error
	if r.cache, err = cache.New(config, cache.Options{Scheme: scheme(t)}); err != nil {
		t.Fatal(err)
	}
	if r.Store, err = kube.New(t.Context(), kube.Config{Cluster: home, Cache: r.cache, Live: r.live}); err != nil {
		t.Fatal(err)
	}
	return r, func() {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.cache.Start(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		if !r.cache.WaitForCacheSync(ctx) {
			t.Fatal("the cache was not filled")
		}
	}
}

func running(t testing.TB, config *rest.Config) *replica {
	t.Helper()
	r, start := newReplica(t, config)
	start()
	return r
}

// object is an association as somebody makes it with kubectl.
func object(namespace, name string, edit ...func(*v1alpha1.PodIdentityAssociationSpec)) *v1alpha1.PodIdentityAssociation {
	o := &v1alpha1.PodIdentityAssociation{Spec: v1alpha1.PodIdentityAssociationSpec{RoleARN: role, TargetRoleARN: target}}
	o.Namespace, o.Name = namespace, name
	for _, e := range edit {
		e(&o.Spec)
	}
	return o
}

func create(t testing.TB, k client.Client, o *v1alpha1.PodIdentityAssociation) *v1alpha1.PodIdentityAssociation {
	t.Helper()
	if err := k.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// within polls until so returns nil.
func within(t testing.TB, bound time.Duration, what string, so func() error) {
	t.Helper()
	for end := time.Now().Add(bound); ; time.Sleep(10 * time.Millisecond) {
		err := so()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", bound, what, err)
		}
	}
}

func wantKind(t testing.TB, err error, kind identity.Kind) {
	t.Helper()
	if err == nil || identity.KindOf(err) != kind {
		t.Errorf("got %v, want it to be %s", err, kind)
	}
}
