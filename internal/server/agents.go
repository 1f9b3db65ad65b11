package server

import (
	"sync"
	"time"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/eksauth"
)

// agents are those that listen to this replica, or did, by the names of their nodes.
type agents struct {
	mu    sync.Mutex
	nodes map[string]*heardOf
}

// heardOf is what is known of an agent.
type heardOf struct {
	streams     int
	since, last time.Time // its stream's beginning; when it was last heard of
	status      eksauth.AgentStatus
	at          time.Time // of its status; zero: it told none
}

const (
	// maxAgents bounds the agents remembered; Kubernetes is built for half as many nodes.
	maxAgents = 10_000
	// forgetAfter is when an agent that is away is forgotten, as its node may be.
	forgetAfter = 24 * time.Hour
)

// heardLocked is what is known of the agent of a node, which is heard of now.
func (a *agents) heardLocked(node string, now time.Time) *heardOf {
	if a.nodes == nil {
		a.nodes = map[string]*heardOf{}
	}
	h := a.nodes[node]
	if h == nil {
		if len(a.nodes) >= maxAgents {
			a.forgetLocked(now)
		}
		h = &heardOf{since: now}
		a.nodes[node] = h
	}
	h.last = now
	return h
}

// told notes how an agent says that it is.
func (a *agents) told(node string, s eksauth.AgentStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	h := a.heardLocked(node, now)
	h.status, h.at = s, now
}

func (a *agents) streaming(node string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	h := a.heardLocked(node, now)
	h.streams++
	h.since = now
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		h.streams--
		h.last = time.Now()
	}
}

// forgetLocked forgets those that have been away for long, or, if there are none, all that are.
func (a *agents) forgetLocked(now time.Time) {
	before := len(a.nodes)
	for _, after := range []time.Duration{forgetAfter, 0} {
		for node, h := range a.nodes {
			if h.streams == 0 && now.Sub(h.last) >= after {
				delete(a.nodes, node)
			}
		}
		if len(a.nodes) < before {
			return
		}
	}
}

func (a *agents) listens(node string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.nodes[node]
	return h != nil && h.streams > 0
}

// seen are the agents as the console of a replica shows them. One that listens is
// heard of all the time: its stream would end otherwise.
func (a *agents) seen(replica string) []console.Agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	out := make([]console.Agent, 0, len(a.nodes))
	for node, h := range a.nodes {
		if h.streams == 0 && now.Sub(h.last) >= forgetAfter {
			continue
		}
		agent := console.Agent{Node: node, Listening: h.streams > 0, Replica: replica, LastHeard: h.last.UTC(), Since: h.since.UTC()}
		if agent.Listening {
			agent.LastHeard = now.UTC()
		}
		if !h.at.IsZero() {
			agent.Version = h.status.Version
			agent.Cache = &console.AgentCache{
				Pods: h.status.Pods, Entries: h.status.Entries, Hits: h.status.Hits, Misses: h.status.Misses, Stale: h.status.Stale, At: h.at.UTC(),
			}
		}
		out = append(out, agent)
	}
	return out
}
