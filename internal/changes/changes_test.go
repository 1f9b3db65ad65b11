package changes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/identity"
)

func newFeed(t *testing.T, c changes.Config) *changes.Feed {
	t.Helper()
	f, err := changes.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func listen(t *testing.T, f *changes.Feed) *changes.Listener {
	t.Helper()
	l, err := f.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// TestEveryListenerHearsEverything: many write, many listen, and each hears
// each change once, in the order of the sequence.
func TestEveryListenerHearsEverything(t *testing.T) {
	const writers, each, listeners = 8, 50, 20
	f := newFeed(t, changes.Config{Begin: 1000})
	var heard sync.WaitGroup
	for range listeners {
		l := listen(t, f)
		heard.Go(func() {
			var got []uint64
			for len(got) < writers*each {
				batch, err := l.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, c := range batch {
					got = append(got, c.Sequence)
				}
			}
			if !slices.IsSorted(got) || got[0] != 1001 || got[len(got)-1] != 1000+writers*each || len(slices.Compact(got)) != writers*each {
				t.Errorf("heard %v", got)
			}
		})
	}
	for range writers {
		go func() {
			for n := range each {
				f.Announce(changes.Change{ServiceAccount: fmt.Sprint(n)})
			}
		}()
	}
	heard.Wait()
}

// TestFirstIsFirst: the server has forgotten before any agent hears.
func TestFirstIsFirst(t *testing.T) {
	var forgotten []uint64
	f := newFeed(t, changes.Config{First: func(c changes.Change) { forgotten = append(forgotten, c.Sequence) }})
	l := listen(t, f)
	f.Publish(changes.Change{Sequence: 7})
	if got, err := l.Next(t.Context()); err != nil || len(got) != 1 || !slices.Equal(forgotten, []uint64{7}) {
		t.Errorf("heard %v, %v; forgotten %v", got, err, forgotten)
	}
}

func TestASlowListenerIsCutOff(t *testing.T) {
	f := newFeed(t, changes.Config{MaxBehind: 3})
	slow, quick := listen(t, f), listen(t, f)
	for n := range 10 {
		f.Announce(changes.Change{})
		if got, err := quick.Next(t.Context()); err != nil || len(got) != 1 || got[0].Sequence != uint64(n+1) {
			t.Fatalf("the quick one heard %v, %v", got, err)
		}
	}
	if got, err := slow.Next(t.Context()); !errors.Is(err, changes.ErrBehind) {
		t.Errorf("the slow one heard %v, %v; want to be cut off, and nothing that looks like all", got, err)
	}
	if s := f.Stats(); s.Cut != 1 || s.Listeners != 1 || s.Sequence != 10 {
		t.Errorf("%+v", s)
	}
}

func TestCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(t, changes.Config{Begin: 5})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.CaughtUp(ctx, 5); err != nil {
			t.Error(err)
		}
		for name, move := range map[string]func(){
			"a change": func() { f.Publish(changes.Change{Sequence: 9}) }, "a listing": func() { f.Advance(9) },
		} {
			f = newFeed(t, changes.Config{Begin: 5})
			began := time.Now()
			go func() { time.Sleep(300 * time.Millisecond); f.Publish(changes.Change{Sequence: 8}) }()
			go func() { time.Sleep(500 * time.Millisecond); move() }()
			if err := f.CaughtUp(ctx, 9); err != nil || time.Since(began) != 500*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			defer cancel()
		}
		if err := f.CaughtUp(ctx, 10); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("a sequence that does not come: %v", err)
		}
		alone := newFeed(t, changes.Config{Begin: 5, Alone: true})
		if err := alone.CaughtUp(t.Context(), 6); identity.KindOf(err) != identity.InvalidRequest {
			t.Errorf("a sequence of another store: %v", err)
		}
	})
}

// TestListedIsNotAnnounced: what a replica was told in one list it has reached,
// though others, who saw the same as single changes, know no such number.
func TestListedIsNotAnnounced(t *testing.T) {
	f := newFeed(t, changes.Config{})
	f.Publish(changes.Change{Sequence: 9})
	f.Advance(1500)
	if f.Sequence() != 9 {
		t.Errorf("sequence %d, want that of the latest change", f.Sequence())
	}
	if err := f.CaughtUp(t.Context(), 950); err != nil {
		t.Error(err)
	}
}

func TestTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(t, changes.Config{MaxListeners: 1})
		l := listen(t, f)
		if _, err := f.Listen(); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("one listener too many: %v", err)
		}
		l.Close()
		if _, err := l.Next(t.Context()); !errors.Is(err, changes.ErrClosed) {
			t.Errorf("a closed listener: %v", err)
		}
		l = listen(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.AfterFunc(time.Second, cancel)
		if _, err := l.Next(t.Context()); !errors.Is(err, changes.ErrClosed) {
			t.Errorf("when the server ends: %v", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := f.Listen(); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("after the end: %v", err)
		}
		f.Announce(changes.Change{}) // to nobody
	})
}

func TestWhoLeavesWhileWaiting(t *testing.T) {
	l := listen(t, newFeed(t, changes.Config{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
