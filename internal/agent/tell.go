package agent

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/podid/podid/internal/eksauth"
)

const (
	// tellFirst is when a server is told for the first time, and tellEvery how
	// often from then on, up to a tenth less at random.
	tellFirst = 5 * time.Second
	tellEvery = time.Minute
)

// keepTold tells the servers how the agent is until ctx ends. They are for people
// to look at: one that is not told, or does not understand, is told the next time.
func (a *Agent) keepTold(ctx context.Context) {
	wait := tellFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait - rand.N(wait/10)):
		}
		wait = tellEvery
		if listening, _, _ := a.cache.listeningState(); !listening {
			wait = tellFirst
			continue
		}
		s := a.Stats()
		err := a.tell(ctx, eksauth.AgentStatus{Version: a.version, Pods: s.Pods, Entries: s.Entries, Hits: s.Hits, Misses: s.Misses, Stale: s.Stale})
		if err != nil {
			a.logger.LogAttrs(ctx, slog.LevelDebug, "the server was not told how the agent is", slog.Any("error", err))
		}
	}
}
