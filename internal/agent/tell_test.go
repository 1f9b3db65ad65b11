package agent_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
)

// TestTold: the server is told how the agent is, once a minute, while its changes
// are heard; and also after it did not understand.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		var mu sync.Mutex
		var said []eksauth.AgentStatus
		heard := func() []eksauth.AgentStatus {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(said)
		}
		n := listening(t, s, func(c *agent.Config) {
			c.Version = "v1.2.3"
			c.Tell = func(_ context.Context, status eksauth.AgentStatus) error {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, status)
				return errors.New("a server that does not know")
			}
		})
		defer n.stop()
		n.mustAsk(token("app-0", 24*time.Hour))
		n.mustAsk(token("app-0", 24*time.Hour))
		time.Sleep(10 * time.Second)
		told := heard()
		if want := (eksauth.AgentStatus{Version: "v1.2.3", Pods: 1, Entries: told[0].Entries, Hits: told[0].Hits, Misses: told[0].Misses}); len(told) != 1 || told[0] != want || told[0].Misses == 0 {
			t.Errorf("told %+v", told)
		}
		time.Sleep(10 * time.Minute)
		if n := len(heard()); n < 10 || n > 13 {
			t.Errorf("told %d times in ten minutes", n)
		}
		s.set(func(s *server) { s.mute = true })
		before := len(heard())
		time.Sleep(10 * time.Minute)
		if n := len(heard()) - before; n != 0 {
			t.Errorf("told %d times while no changes are heard", n)
		}
	})
}
