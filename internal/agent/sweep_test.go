package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

type noUpstream struct{}

func (noUpstream) AssumeRoleForPodIdentity(context.Context, identity.Secret) (*eksauth.Grant, error) {
	return nil, errors.New("nobody is there")
}

// While a large cache is looked through, pods find it open.
func TestSweepLetsPodsInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{Upstream: noUpstream{}, Listeners: []net.Listener{at23{}}, MaxEntries: 10 * sweepSlice})
		if err != nil {
			t.Fatal(err)
		}
		c := a.cache
		defer c.close()
		now := time.Now()
		const pods = 3*sweepSlice + 1
		c.mu.Lock()
		for n := range pods {
			life := time.Duration(1+n%2) * time.Hour // every other one has expired when the sweep comes
			c.acceptLocked(ask{
				key:    hashOf(fmt.Sprint(n)),
				claims: claims{validity: validity{expires: now.Add(9 * time.Hour)}, pod: podKey{podUID: fmt.Sprint(n)}},
			}, &answer{expires: now.Add(life), renewAt: now.Add(9 * time.Hour)})
		}
		c.mu.Unlock()

		swept := make(chan struct{})
		go func() { c.sweep(now.Add(90 * time.Minute)); close(swept) }()
		for pauses := 0; ; pauses++ {
			synctest.Wait()
			select {
			case <-swept:
				if pauses < pods/sweepSlice {
					t.Errorf("%d pauses", pauses)
				}
				if left := len(c.pods); left != pods/2 {
					t.Errorf("%d pods are left, want %d", left, pods/2)
				}
				return
			default:
			}
			if !c.mu.TryLock() {
				t.Fatal("the cache is locked while the sweep pauses")
			}
			if p := c.pods[podKey{podUID: "0"}]; p != nil { // what is dropped meanwhile is no harm to it
				p.answer = nil
			}
			c.mu.Unlock()
			time.Sleep(sweepPause)
		}
	})
}
