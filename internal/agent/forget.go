package agent

import "time"

// Held is what the agent has for a pod: credentials, or a refusal that it
// repeats for a while, or a fetch that is under way.
type Held struct {
	Namespace      string
	ServiceAccount string
	Pod            string
	PodUID         string

	// Where there are no credentials, the rest is empty.
	Cluster       string // name
	AssociationID string
	Version       string    // of the association
	Sequence      uint64    // at which it was that
	Arrived       time.Time // of the credentials, from the upstream
}

// heldBy describes what there is for a token. Who has credentials is what the
// upstream said; who has none, what the token says of itself.
func heldBy(c claims, have *answer) Held {
	h := Held{Namespace: c.pod.namespace, ServiceAccount: c.pod.serviceAccount, Pod: c.podName, PodUID: c.pod.podUID}
	if have != nil {
		g := have.grant
		h.Cluster, h.AssociationID, h.Version, h.Sequence, h.Arrived = have.cluster, g.AssociationID, g.Version, g.Sequence, have.arrived
		if g.Namespace != "" && g.ServiceAccount != "" {
			h.Namespace, h.ServiceAccount = g.Namespace, g.ServiceAccount
		}
	}
	return h
}

// Forget drops what match is true for, and returns how many pods had
// credentials that were dropped. Once it has returned, no such credentials are
// handed out, though they were asked for before: a fetch under way that brings
// them begins anew.
func (a *Agent) Forget(match func(Held) bool) int { return a.cache.forget(match) }

func (c *cache) forget(match func(Held) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	dropped := 0
	for _, p := range c.pods {
		if p.answer != nil && match(heldBy(p.claims, p.answer)) {
			p.answer = nil
			dropped++
		}
	}
	if dropped > 0 {
		for key, a := range c.accepted.all() {
			if a.pod.answer == nil {
				c.accepted.remove(key)
			}
		}
	}
	for key, r := range c.refusals.all() {
		if match(heldBy(r.claims, nil)) {
			c.refusals.remove(key)
		}
	}
	for _, f := range c.flights {
		f.forgets = append(f.forgets, match)
	}
	return dropped
}
