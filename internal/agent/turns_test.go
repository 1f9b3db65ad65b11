package agent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestTurns plays at random and holds the bounds at every step.
func TestTurns(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 1))
		const calls, room = 8, 20
		turns := newTurns(calls, room)
		var underWay []*flight
		added, gone, ended := 0, 0, 0
		for range 500 {
			switch dice.IntN(3) {
			case 0, 1:
				f := &flight{ask: ask{source: netip.AddrFrom4([4]byte{10, 0, 0, byte(dice.IntN(4))})}}
				if added++; turns.add(f) != nil {
					gone++
				}
			case 2:
				if n := len(underWay); n > 0 {
					i := dice.IntN(n)
					turns.done(underWay[i])
					underWay = append(underWay[:i], underWay[i+1:]...)
					ended++
				}
			}
			for f := turns.next(); f != nil; f = turns.next() {
				underWay = append(underWay, f)
			}
			of := map[netip.Addr]int{}
			for _, f := range underWay {
				of[f.source]++
			}
			for source, n := range of {
				if n > calls*3/4 {
					t.Fatalf("seed %d: %s has %d calls", seed, source, n)
				}
			}
			if len(underWay) != calls-turns.free || len(underWay) > calls || turns.waiting > room || added != gone+ended+len(underWay)+turns.waiting {
				t.Fatalf("seed %d: %d under way, %+v", seed, len(underWay), turns)
			}
		}
		for len(underWay) > 0 {
			turns.done(underWay[0])
			underWay = underWay[1:]
			for f := turns.next(); f != nil; f = turns.next() {
				underWay = append(underWay, f)
			}
		}
		if turns.waiting != 0 || len(turns.of) != 0 || len(turns.round) != 0 || turns.free != calls {
			t.Fatalf("seed %d: something is left: %+v", seed, turns)
		}
	}
}

// TestTurnsGoRound: whoever has fewer waiting does not wait for all of the others'.
func TestTurnsGoRound(t *testing.T) {
	turns := newTurns(1, 100)
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for range 3 {
		turns.add(&flight{ask: ask{source: a}})
	}
	turns.add(&flight{ask: ask{source: b}})
	order := ""
	for f := turns.next(); f != nil; f = turns.next() {
		order += fmt.Sprint(f.source, " ")
		turns.done(f)
	}
	if order != "10.0.0.1 10.0.0.2 10.0.0.1 10.0.0.1 " {
		t.Error(order)
	}
}

// TestTheBusiestGivesWay when there is no room.
func TestTheBusiestGivesWay(t *testing.T) {
	turns := newTurns(1, 3)
	busy, quiet := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for i := range 3 {
		if turns.add(&flight{ask: ask{source: busy}}) != nil {
			t.Errorf("no room for %d", i)
		}
	}
	last := &flight{ask: ask{source: busy}}
	if turns.add(last) != last {
		t.Error("the busiest pushed out somebody")
	}
	if f := turns.add(&flight{ask: ask{source: quiet}}); f == nil || f.source != busy {
		t.Error("the busiest did not give way")
	}
}
