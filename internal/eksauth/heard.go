package eksauth

import (
	"sync"
	"time"
)

// giveUp is how long all replicas may say that they are behind before an agent
// believes that the store is another one, which counts anew.
const giveUp = time.Minute

// heard is the highest sequence that an agent has heard of, from any replica.
type heard struct {
	mu          sync.Mutex
	sequence    uint64
	behindSince time.Time // zero: no replica was, the last time
}

func (h *heard) latest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sequence
}

// note takes in what a replica said that had been told of the sequence sent.
// It answers with less only if it knows that the store is another one.
func (h *heard) note(sent, said uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behindSince = time.Time{}
	switch {
	case said == 0: // not podid's server
	case said < sent && h.sequence == sent:
		h.sequence = said
	default:
		h.sequence = max(h.sequence, said)
	}
}

// behind takes in that all replicas say they are behind.
func (h *heard) behind(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.behindSince.IsZero():
		h.behindSince = now
	case now.Sub(h.behindSince) >= giveUp:
		h.sequence, h.behindSince = 0, time.Time{}
	}
}
