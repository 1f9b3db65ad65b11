package agent

import (
	"net/netip"
	"slices"
)

// turns shares the calls to the upstream among those who wait for them, in
// turns of the addresses that ask, which pods cannot choose. What a token says
// of its pod does not count: anybody can write that. It does not lock.
type turns struct {
	calls   int // at once
	free    int // of these, that may begin
	share   int // calls that one address may have under way
	room    int // for flights that wait
	waiting int
	of      map[netip.Addr]*source
	round   []*source // those for whom a flight waits, the next first
}

// source is one address that asks.
type source struct {
	line    []*flight // first come, first served
	running int
}

// newTurns leaves a quarter of the calls to others than the busiest address.
func newTurns(calls, room int) *turns {
	return &turns{calls: calls, free: calls, share: max(calls*3/4, 1), room: room, of: map[netip.Addr]*source{}}
}

// add lets f wait. Where there is no room, whoever has most waiting gives way
// with what came last, and that may be f.
func (t *turns) add(f *flight) (givesWay *flight) {
	s := t.of[f.source]
	if s == nil {
		s = &source{}
		t.of[f.source] = s
	}
	if len(s.line) == 0 {
		t.round = append(t.round, s)
	}
	s.line = append(s.line, f)
	if t.waiting++; t.waiting <= t.room {
		return nil
	}
	longest := s
	for _, other := range t.round {
		if len(other.line) > len(longest.line) {
			longest = other
		}
	}
	givesWay = longest.line[len(longest.line)-1]
	longest.line = longest.line[:len(longest.line)-1]
	t.waiting--
	t.tidy(longest, givesWay.source)
	return givesWay
}

// next returns the flight whose turn it is, if there is one and a call is free.
// It is then under way, until done.
func (t *turns) next() *flight {
	if t.free == 0 {
		return nil
	}
	for i, s := range t.round {
		if s.running >= t.share {
			continue
		}
		f := s.line[0]
		s.line = s.line[1:]
		s.running++
		t.free--
		t.waiting--
		t.round = append(slices.Delete(t.round, i, i+1), s) // to the end of the round
		t.tidy(s, f.source)
		return f
	}
	return nil
}

// begin starts f out of turn, if a call is free.
func (t *turns) begin(f *flight) bool {
	if t.free == 0 {
		return false
	}
	if t.of[f.source] == nil {
		t.of[f.source] = &source{}
	}
	t.of[f.source].running++
	t.free--
	return true
}

// done ends what next or begin began.
func (t *turns) done(f *flight) {
	s := t.of[f.source]
	s.running--
	t.free++
	t.tidy(s, f.source)
}

// tidy forgets a source that has nothing waiting and nothing under way.
func (t *turns) tidy(s *source, at netip.Addr) {
	if len(s.line) > 0 {
		return
	}
	if i := slices.Index(t.round, s); i >= 0 {
		t.round = slices.Delete(t.round, i, i+1)
	}
	if s.running == 0 {
		delete(t.of, at)
	}
}
