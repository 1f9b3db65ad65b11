package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

// TestNoRequestIsLost: a hundred requests a second for half a minute, while the
// replicas are replaced one after the other, as in an upgrade, and then one of
// two is lost. Ports are the replicas' own, so that agents find the new ones at
// other addresses: the tests' agents know all from the start.
func TestNoRequestIsLost(t *testing.T) {
	w := startWith(t, plain, 2)
	w.associate("app")
	// Replicas that come later take the places of these two proxies' targets.
	places := []*service{newService(t), newService(t)}
	places[0].add(w.replicas[0].apis)
	places[1].add(w.replicas[1].apis)
	var tokens []identity.Secret
	for i := range 20 {
		tokens = append(tokens, w.podToken(fmt.Sprint("web-", i), "node-1"))
	}
	agents := make([]*eksauth.Client, 4)
	for i := range agents {
		agents[i] = w.at(w.agentToken("node-1"), places[0].url(), places[1].url())
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent, failed atomic.Int64
	var load sync.WaitGroup
	load.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			load.Go(func() {
				sent.Add(1)
				within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
				defer cancel()
				if _, err := agents[n%len(agents)].AssumeRoleForPodIdentity(within, tokens[n%len(tokens)]); err != nil {
					failed.Add(1)
					e, _ := errors.AsType[*eksauth.Error](err)
					t.Errorf("request %d: %v %v", n, err, e)
				}
			})
		}
	})

	for i, place := range places { // an upgrade: a new one is ready before the old one goes
		old := w.replicas[i]
		next := w.replica()
		place.replace(old.apis, next.apis)
		w.hooks.replace(old.webhooks, next.webhooks)
		old.stop()
	}
	w.replicas = w.replicas[2:]
	time.Sleep(2 * time.Second) // of load on both
	w.replicas[0].kill()
	time.Sleep(5 * time.Second) // of load on the one that is left
	cancel()
	load.Wait()
	t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
	if sent.Load() < 500 {
		t.Errorf("only %d requests were sent", sent.Load())
	}
}
