package promise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/identity"
)

// pair are two replicas, "a" and "b", of a cluster whose calls take no time.
type pair struct {
	t       *testing.T
	mu      sync.Mutex
	members []Member
	a, b    *Replica
	deaf    bool // b asks nobody
	mute    bool // b answers nobody
	reached uint64
}

const version = 7

func newPair(t *testing.T) *pair {
	p := &pair{t: t, members: []Member{{"a", "at-a"}, {"b", "at-b"}}, reached: version}
	p.a, p.b = p.replica("a"), p.replica("b")
	return p
}

var errSilent = errors.New("silent")

func (p *pair) replica(id string) *Replica {
	p.t.Helper()
	r, err := New(Config{
		Self: id,
		Members: func(context.Context) ([]Member, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.members, nil
		},
		Poll: func(ctx context.Context, to Member, q Poll) (Answer, error) {
			p.mu.Lock()
			silent := p.deaf && id == "b" || p.mute && to.ID == "b"
			p.mu.Unlock()
			if silent {
				<-ctx.Done()
				return Answer{}, errSilent
			}
			return map[string]*Replica{"at-a": p.a, "at-b": p.b}[to.Address].Answer(ctx, q)
		},
		Version: func(context.Context) (uint64, error) { return version, nil },
		Reached: func() uint64 { p.mu.Lock(); defer p.mu.Unlock(); return p.reached },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// run runs both replicas, and then does f; both may answer from memory then.
func (p *pair) run(f func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	go p.a.Run(ctx)
	go p.b.Run(ctx)
	time.Sleep(p.a.config.Settle + time.Second)
	p.want("after the start", true, true)
	f()
	cancel()
	synctest.Wait()
}

func (p *pair) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

const key = "shop/app"

func (p *pair) want(when string, a, b bool) {
	p.t.Helper()
	if p.a.Current(key) != a || p.b.Current(key) != b {
		p.t.Errorf("%s: a is current: %v, b: %v; want %v, %v", when, p.a.Current(key), p.b.Current(key), a, b)
	}
}

func (p *pair) announce(r *Replica, key string) time.Duration {
	p.t.Helper()
	began := time.Now()
	if err := r.Announce(p.t.Context(), key); err != nil {
		p.t.Errorf("announcing %s: %v", key, err)
	}
	return time.Since(began)
}

func TestEveryReplicaKnowsBeforeACreationPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			if took := p.announce(p.a, key); took != 0 {
				t.Errorf("it took %v, want no more than a message", took)
			}
			p.want("announced", false, false)
			if !p.b.Current("shop/other") {
				t.Error("another service account is held up")
			}
			p.set(func() { p.reached = version - 1 })
			time.Sleep(p.a.config.Settle + time.Second)
			p.want("when memory may not have it", false, false)
			p.set(func() { p.reached = version })
			time.Sleep(time.Second)
			p.want("when memory has it, if it was made", true, true)
		})
	})
}

func TestNothingIsAnsweredFromMemoryTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.a.Run(ctx)
		time.Sleep(p.a.config.Settle - time.Second)
		p.want("while earlier creations may be on their way", false, false)
		go p.b.Run(ctx)
		time.Sleep(5 * time.Second)
		p.want("b has just met a, of which it knows nothing", true, false)
		time.Sleep(p.b.config.Settle)
		p.want("later", true, true)
		cancel()
		synctest.Wait()
	})
}

func TestACreationWaitsForAPromiseToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			p.set(func() { p.deaf = true })
			if took := p.announce(p.a, key); took < given-pollFor || took > given {
				t.Errorf("it took %v", took)
			}
			if p.b.Current("shop/other") {
				t.Error("b answers from memory without a promise")
			}
			if took := p.announce(p.a, key); took != 0 {
				t.Errorf("the second took %v: who has no promise is waited for", took)
			}
			p.set(func() { p.deaf = false })
			time.Sleep(2 * held)
			p.want("b was told what it had missed", false, false)
			if !p.b.Current("shop/other") {
				t.Error("b answers no more")
			}
		})
	})
}

func TestAReplicaWithoutAnswersIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			p.set(func() { p.mute = true })
			time.Sleep(held)
			p.want("b promises nothing", false, true)
			p.set(func() { p.members = p.members[:1] })
			time.Sleep(2 * time.Second)
			p.want("what b let pass last may be on its way", false, true)
			time.Sleep(p.a.config.Settle + time.Second)
			if !p.a.Current(key) {
				t.Error("a is alone, and not current")
			}
			if err := p.b.Announce(t.Context(), key); identity.KindOf(err) != identity.Unavailable {
				t.Errorf("b is no member, and lets a creation pass: %v", err)
			}
		})
	})
}

func TestAMemberWithoutAnAddressPromisesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			p.set(func() { p.members = append(p.members, Member{ID: "c"}) })
			time.Sleep(2 * listEvery)
			p.want("c has no address yet", false, false)
		})
	})
}

// TestListsFarApart: a replica may have come, let something pass and gone between them.
func TestListsFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		r := p.a
		lists := func(from, until time.Duration) (doubted bool) {
			time.Sleep(from)
			began, need := time.Now(), r.need
			time.Sleep(until - from)
			r.took(began, p.members)
			return r.need != need
		}
		if !lists(0, time.Second) {
			t.Error("nothing is doubted with the first list")
		}
		if lists(listGap-time.Second, listGap-time.Second) {
			t.Error("close lists are doubted")
		}
		if !lists(listGap-time.Second, listGap+time.Second) {
			t.Error("a list that ends late is not doubted")
		}
	})
}

func TestANewProcessLetsNothingPassAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			again := p.replica("a")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go again.Run(ctx)
			if took := p.announce(again, key); took != hold {
				t.Errorf("it took %v, want %v", took, hold)
			}
		})
	})
}

func TestAnotherProcessIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			p.b.mu.Lock()
			p.b.instance = "another"
			p.b.mu.Unlock()
			time.Sleep(held)
			p.want("b is another process, which has announced as much", false, true)
		})
	})
}

// TestALatePollTakesNoPromiseBack: a first poll that arrives when a later one has
// been answered already says nothing of what its sender has heard since.
func TestALatePollTakesNoPromiseBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPair(t).a
		first := Poll{From: "c", To: "a"}
		answer, err := r.Answer(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		number := r.announce(key)
		if _, err := r.Answer(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if wait, _ := r.unheard(number); wait != given {
			t.Errorf("the announcement is waited for %v", wait)
		}
		answer, err = r.Answer(t.Context(), Poll{From: "c", To: "a", Instance: answer.Instance, Last: answer.Last})
		if err != nil || len(answer.Keys) != 1 || answer.Keys[0] != key {
			t.Fatalf("%+v, %v", answer, err)
		}
		go r.Answer(t.Context(), Poll{From: "c", To: "a", Instance: answer.Instance, Last: answer.Last})
		synctest.Wait()
		if wait, _ := r.unheard(number); wait != 0 {
			t.Errorf("c has heard of it, and is waited for %v", wait)
		}
	})
}

func TestPollsOfOthersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPair(t).a
		if _, err := r.Answer(t.Context(), Poll{From: "c", To: "b"}); err == nil {
			t.Errorf("a promises for b: %v", err)
		}
		for i := range maxListeners {
			if _, err := r.Answer(t.Context(), Poll{From: fmt.Sprint(i), To: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Answer(t.Context(), Poll{From: "c", To: "a"}); err == nil {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(given)
		if _, err := r.Answer(t.Context(), Poll{From: "c", To: "a"}); err != nil {
			t.Errorf("when the others are gone: %v", err)
		}
	})
}

// TestBounds: more announcements than are remembered are as if nothing was known.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(func() {
			p.set(func() { p.deaf = true })
			time.Sleep(given + held)
			for i := range maxKept + 1 {
				p.announce(p.a, fmt.Sprint("shop/", i))
			}
			p.set(func() { p.deaf = false })
			time.Sleep(held)
			p.want("b has missed more than a tells", true, false)
			time.Sleep(p.b.config.Settle + time.Second)
			p.want("later", true, true)
			for i := range maxPending + 1 {
				p.announce(p.a, fmt.Sprint("shop/", i))
			}
			p.want("more than either remembers", false, false)
			if err := p.a.Announce(t.Context(), strings.Repeat("x", maxKey+1)); identity.KindOf(err) != identity.Unavailable {
				t.Errorf("a key of any length: %v", err)
			}
			p.a.mu.Lock()
			defer p.a.mu.Unlock()
			if len(p.a.pending) > maxPending || len(p.a.kept) > maxKept {
				t.Errorf("a remembers %d and %d", len(p.a.pending), len(p.a.kept))
			}
		})
	})
}

func TestWhatIsRequired(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("made of nothing")
	}
}
