package server

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/identity"
)

// roles assume any role.
type roles struct {
	mu   sync.Mutex
	made []string // names of sessions
}

func (r *roles) AssumeRole(_ context.Context, _ *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = append(r.made, hop.SessionName)
	return identity.Session{Credentials: identity.Credentials{AccessKeyID: "ASIA", Expires: time.Now().Add(time.Hour)}}, nil
}

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1234", Labels: map[string]string{"large": "object"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "app", NodeName: "node-1", Containers: []corev1.Container{{Name: "c"}}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func unbound(p *corev1.Pod)   { p.Spec.NodeName = "" }
func elsewhere(p *corev1.Pod) { p.Namespace = "other" }
func leaving(p *corev1.Pod)   { now := metav1.Now(); p.DeletionTimestamp = &now }
func finished(p *corev1.Pod)  { p.Status.Phase = corev1.PodSucceeded }

// TestWarming: of which events a chain is in memory afterwards.
func TestWarming(t *testing.T) {
	for name, c := range map[string]struct {
		prewarm Prewarm
		happens func(cache.ResourceEventHandler)
		want    int
	}{
		"a pod is made and bound":   {Prewarm{All: true}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(unbound), false); h.OnUpdate(pod(unbound), pod()) }, 1},
		"a pod is made bound":       {Prewarm{Namespaces: []string{"shop"}}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(), false) }, 1},
		"it was there at the start": {Prewarm{All: true}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(), true); h.OnUpdate(pod(), pod()) }, 0},
		"it is not bound":           {Prewarm{All: true}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(unbound), false) }, 0},
		"another namespace":         {Prewarm{Namespaces: []string{"shop"}}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(elsewhere), false) }, 0},
		"no agent there listens here": {Prewarm{All: true}, func(h cache.ResourceEventHandler) {
			h.OnAdd(pod(func(p *corev1.Pod) { p.Spec.NodeName = "gone" }), false)
		}, 0},
		"off":         {Prewarm{}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(), false) }, 0},
		"it is going": {Prewarm{All: true}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(leaving), false) }, 0},
		"it is gone":  {Prewarm{All: true}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(), false); h.OnDelete(pod()) }, 0},
		"its deletion was not seen": {Prewarm{All: true}, func(h cache.ResourceEventHandler) {
			h.OnAdd(pod(), false)
			h.OnDelete(cache.DeletedFinalStateUnknown{Obj: pod()})
		}, 0},
		"it has finished": {Prewarm{All: true}, func(h cache.ResourceEventHandler) { h.OnAdd(pod(), false); h.OnUpdate(pod(), pod(finished)) }, 0},
		"a service account without any": {Prewarm{All: true}, func(h cache.ResourceEventHandler) {
			h.OnAdd(pod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "none" }), false)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chains, err := chain.New(chain.Config{Roles: &roles{}})
				if err != nil {
					t.Fatal(err)
				}
				var here agents
				defer here.streaming("node-1")()
				here.streaming("gone")()
				w := &warmer{prewarm: c.prewarm, listens: here.listens, chains: chains, known: func(namespace, serviceAccount string) (identity.Association, bool) {
					return identity.Association{ID: "a-1", Namespace: namespace, ServiceAccount: serviceAccount, RoleARN: "arn:aws:iam::111122223333:role/r"}, serviceAccount == "app"
				}}
				c.happens(w.handler())
				synctest.Wait()
				if got := chains.Stats().Entries; got != c.want {
					t.Errorf("%d chains in memory, want %d", got, c.want)
				}
			})
		})
	}
}

// TestSlim: what is kept in memory of a pod is what is asked of it.
func TestSlim(t *testing.T) {
	kept, err := slim(pod(leaving))
	if err != nil {
		t.Fatal(err)
	}
	p := kept.(*corev1.Pod)
	if p.UID != "1234" || p.Spec.NodeName != "node-1" || p.Spec.ServiceAccountName != "app" || p.DeletionTimestamp == nil {
		t.Errorf("kept %+v", p)
	}
	if len(p.Labels) > 0 || len(p.Spec.Containers) > 0 {
		t.Errorf("kept too much: %+v", p)
	}
}
