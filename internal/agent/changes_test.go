package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
)

// server is podid's as far as one association goes: it gives credentials that
// say by their key which version they are of, and tells of changes.
type server struct {
	upstream
	latency time.Duration // of a fetch, after it has looked the association up

	mu       sync.Mutex
	version  int // 0: there is no association
	sequence uint64
	away     bool // answers nothing at all
	mute     bool // has no streams
	streams  map[*stream]bool
	asked    []eksauth.Held // with the last stream
	made     int
}

type stream struct {
	said chan eksauth.Change
	cut  chan struct{}
}

func newServer() *server {
	s := &server{version: 1, sequence: 100, streams: map[*stream]bool{}}
	s.answer = s.assume
	return s
}

func (s *server) assume(ctx context.Context, _ string) (*eksauth.Grant, error) {
	s.mu.Lock()
	version, sequence, away := s.version, s.sequence, s.away
	s.made++
	n := s.made
	s.mu.Unlock()
	time.Sleep(s.latency)
	switch {
	case away:
		return isAway(ctx, "")
	case version == 0:
		return refuses(404, "ResourceNotFoundException", 0)(ctx, "")
	}
	g := grant(fmt.Sprintf("ASIA-v%d-%d", version, n), time.Now().Add(time.Hour))
	g.AssociationARN = "arn:aws:eks:us-west-2:111122223333:podidentityassociation/c/" + g.AssociationID
	g.Version, g.Sequence = fmt.Sprint(version), sequence
	return g, nil
}

func (s *server) Listen(ctx context.Context, held []eksauth.Held, heard func(eksauth.Change)) error {
	s.mu.Lock()
	if s.away || s.mute {
		s.mu.Unlock()
		return io.ErrUnexpectedEOF
	}
	s.asked = held
	st := &stream{make(chan eksauth.Change, 100), make(chan struct{})}
	s.streams[st] = true
	var first []eksauth.Change
	for _, h := range held {
		if s.version == 0 || h.Version != fmt.Sprint(s.version) {
			first = append(first, s.changeLocked())
		}
	}
	first = append(first, eksauth.Change{Kind: eksauth.Current, Sequence: s.sequence})
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.streams, st); s.mu.Unlock() }()
	for _, c := range first {
		heard(c)
	}
	for {
		select {
		case c := <-st.said:
			heard(c)
		case <-time.After(5 * time.Second):
			heard(eksauth.Change{Sequence: s.sequence})
		case <-st.cut:
			return io.EOF
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *server) changeLocked() eksauth.Change {
	c := eksauth.Change{Kind: eksauth.Changed, Sequence: s.sequence, Namespace: "default", ServiceAccount: "app", AssociationID: "a-abcdefghijklmnop1"}
	if s.version > 0 {
		c.Version = fmt.Sprint(s.version)
	}
	return c
}

// becomes makes the association another one, and tells who listens.
func (s *server) becomes(version int) {
	s.mu.Lock()
	s.version = version
	s.sequence++
	for st := range s.streams {
		st.said <- s.changeLocked()
	}
	s.mu.Unlock()
	synctest.Wait()
}

// set changes the server itself.
func (s *server) set(change func(*server)) {
	s.mu.Lock()
	change(s)
	for st := range s.streams {
		if s.away || s.mute {
			close(st.cut)
			delete(s.streams, st)
		}
	}
	s.mu.Unlock()
	synctest.Wait()
}

// listening runs an agent that listens to s, in a synctest bubble.
func listening(t *testing.T, s *server, change func(*agent.Config)) *node {
	t.Helper()
	c := agent.Config{Upstream: s, Changes: map[string]agent.Changes{"": s}}
	if change != nil {
		change(&c)
	}
	n := run(t, c)
	synctest.Wait()
	return n
}

func wantVersion(t *testing.T, n *node, token string, version int) {
	t.Helper()
	if got := n.mustAsk(token).AccessKeyID; !strings.HasPrefix(got, fmt.Sprintf("ASIA-v%d-", version)) {
		t.Errorf("got %s, want credentials of version %d", got, version)
	}
}

// TestAChangeIsHeard: updated, deleted, made again. No time passes.
func TestAChangeIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := listening(t, s, nil)
		defer n.stop()
		began, pod := time.Now(), token("app-0", 24*time.Hour)
		wantVersion(t, n, pod, 1)
		s.becomes(2)
		wantVersion(t, n, pod, 2)
		s.becomes(0)
		if _, status, text := n.ask(pod); status != 404 {
			t.Errorf("deleted: %d %s", status, text)
		}
		s.becomes(3) // the refusal was to be repeated for 3 s
		wantVersion(t, n, pod, 3)
		wantCalls(t, &s.upstream, 4)
		wantVersion(t, n, pod, 3)
		wantCalls(t, &s.upstream, 4)
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
		if h, st := n.agent.Health(), n.agent.Stats(); !h.Listening || h.Heard != time.Now() || h.Deaf != nil || st.Changes != 3 || st.Dropped != 2 {
			t.Errorf("%+v, %+v", h, st)
		}
	})
}

// TestAChangeDuringAFetch: whatever is looked up before the change and arrives
// after it is fetched again, also with the stream cut in between.
func TestAChangeDuringAFetch(t *testing.T) {
	for name, during := range map[string]func(*server){
		"heard": func(s *server) { s.becomes(2) },
		"while the stream was cut": func(s *server) {
			s.set(func(s *server) { s.mute = true })
			s.becomes(2)
			s.set(func(s *server) { s.mute = false })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				s.latency = 200 * time.Millisecond
				n := listening(t, s, nil)
				defer n.stop()
				pod := token("app-0", 24*time.Hour)
				time.AfterFunc(100*time.Millisecond, func() { during(s) })
				wantVersion(t, n, pod, 2)
			})
		})
	}
}

// TestAStreamIsResumed without losing a change, or dropping what did not change.
func TestAStreamIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := listening(t, s, nil)
		defer n.stop()
		pod := token("app-0", 24*time.Hour)
		had := n.mustAsk(pod)
		cut := func(meanwhile func()) {
			s.set(func(s *server) { s.mute = true })
			meanwhile()
			s.set(func(s *server) { s.mute = false })
			time.Sleep(5 * time.Second)
			synctest.Wait()
		}
		cut(func() {})
		if again := n.mustAsk(pod); again != had {
			t.Error("what had not changed was dropped")
		}
		if len(s.asked) != 1 || s.asked[0] != (eksauth.Held{Namespace: "default", ServiceAccount: "app", AssociationID: "a-abcdefghijklmnop1", Version: "1"}) {
			t.Errorf("asked about %+v", s.asked)
		}
		wantCalls(t, &s.upstream, 1)
		cut(func() { s.becomes(2) })
		wantVersion(t, n, pod, 2)
		cut(func() { s.becomes(0) })
		if _, status, _ := n.ask(pod); status != 404 {
			t.Errorf("deleted meanwhile: %d", status)
		}
		cut(func() { s.becomes(3) })
		wantVersion(t, n, pod, 3)
	})
}

// TestUnheard: after 30 s without a word, credentials are confirmed before they
// are handed out; where nobody confirms them, the setting decides.
func TestUnheard(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("refuse=%t", refuse), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer()
				n := listening(t, s, func(c *agent.Config) { c.RefuseUnheard = refuse })
				defer n.stop()
				pod := token("app-0", 24*time.Hour)
				wantVersion(t, n, pod, 1)
				time.Sleep(10 * time.Minute) // it is heard that nothing changes
				wantVersion(t, n, pod, 1)
				wantCalls(t, &s.upstream, 1)

				// The stream alone is away: confirmed at every 30 s, and no more often.
				s.set(func(s *server) { s.mute = true })
				s.becomes(2)
				wantVersion(t, n, pod, 1)
				time.Sleep(31 * time.Second)
				wantVersion(t, n, pod, 2)
				wantVersion(t, n, pod, 2)
				wantCalls(t, &s.upstream, 2)
				if h := n.agent.Health(); h.Listening || !errors.Is(h.Deaf, io.ErrUnexpectedEOF) {
					t.Errorf("%+v", h)
				}

				// The server is away.
				s.set(func(s *server) { s.away = true })
				time.Sleep(31 * time.Second)
				began := time.Now()
				c, status, text := n.ask(pod)
				switch {
				case refuse && (status != http.StatusServiceUnavailable || !strings.Contains(text, "does not confirm")):
					t.Errorf("%d %s, want to be refused", status, text)
				case !refuse && (status != 200 || !strings.HasPrefix(c.AccessKeyID, "ASIA-v2-")):
					t.Errorf("%d %s, want what there is", status, text)
				}
				if waited := time.Since(began); waited > 500*time.Millisecond {
					t.Errorf("waited %v", waited)
				}
				s.becomes(3)
				s.set(func(s *server) { s.away, s.mute = false, false })
				time.Sleep(5 * time.Second)
				wantVersion(t, n, pod, 3)
				st := n.agent.Stats()
				if unheard := map[bool]uint64{false: 1, true: 0}[refuse]; st.Unheard != unheard {
					t.Errorf("%d answers unheard of, want %d", st.Unheard, unheard)
				}
			})
		})
	}
}

// TestAnOutageCostsNoWaiting: a server that hangs is waited for once.
func TestAnOutageCostsNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := listening(t, s, nil)
		defer n.stop()
		pod := token("app-0", 24*time.Hour)
		wantVersion(t, n, pod, 1)
		s.set(func(s *server) { s.away = true })
		s.upstream.becomes(hangs)
		time.Sleep(31 * time.Second)
		wantVersion(t, n, pod, 1) // it is not known yet
		time.Sleep(6 * time.Second)
		began := time.Now()
		for range 20 {
			wantVersion(t, n, pod, 1)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("twenty answers took %v", took)
		}
	})
}

// TestNothingToHear: with AWS's own service credentials stay for their time, and
// are not asked for more often.
func TestNothingToHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := listening(t, s, func(c *agent.Config) { c.Changes = map[string]agent.Changes{"": nothingToHear{}} })
		defer n.stop()
		pod := token("app-0", 24*time.Hour)
		wantVersion(t, n, pod, 1)
		time.Sleep(10 * time.Minute)
		wantVersion(t, n, pod, 1)
		wantCalls(t, &s.upstream, 1)
	})
}

type nothingToHear struct{}

func (nothingToHear) Listen(context.Context, []eksauth.Held, func(eksauth.Change)) error {
	return eksauth.ErrNoChanges
}

// TestALateReplica: what one replica tells late does not undo what another has given.
func TestALateReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		n := listening(t, s, nil)
		defer n.stop()
		s.set(func(s *server) { s.version, s.sequence = 3, 120 }) // not told yet
		pod := token("app-0", 24*time.Hour)
		wantVersion(t, n, pod, 3)
		s.set(func(s *server) { s.version, s.sequence = 2, 109 })
		s.becomes(2) // sequence 110
		wantVersion(t, n, pod, 3)
		wantCalls(t, &s.upstream, 1)
	})
}

// TestOneEarForEachCluster: each hears of its own pods alone.
func TestOneEarForEachCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := newServer(), newServer()
		n := listening(t, s, func(c *agent.Config) { c.Changes = map[string]agent.Changes{"c": s, "d": other} })
		defer n.stop()
		pod := token("app-0", 24*time.Hour)
		wantVersion(t, n, pod, 1)
		other.becomes(2)
		wantVersion(t, n, pod, 1)
		wantCalls(t, &s.upstream, 1)
		other.set(func(s *server) { s.mute = true })
		other.set(func(s *server) { s.mute = false })
		time.Sleep(5 * time.Second)
		wantVersion(t, n, pod, 1)
		if len(other.asked) != 0 {
			t.Errorf("the other cluster was asked about %+v", other.asked)
		}
		s.becomes(2)
		wantVersion(t, n, pod, 2)
	})
}

// TestManyChangesAtOnce ends with all pods having what is last, whatever comes
// in between, and leaks nothing.
func TestManyChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.latency = 3 * time.Millisecond
		n := listening(t, s, nil)
		defer n.stop()
		const pods, last = 20, 40
		var asking sync.WaitGroup
		for i := range pods {
			asking.Go(func() {
				pod := token(fmt.Sprint("app-", i), 24*time.Hour)
				for range 100 {
					n.ask(pod) // refused while it takes turns with changes
					time.Sleep(time.Millisecond)
				}
			})
		}
		asking.Go(func() {
			for v := 2; v <= last; v++ {
				s.mu.Lock()
				s.version = v
				s.sequence++
				for st := range s.streams {
					st.said <- s.changeLocked()
				}
				s.mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
		asking.Wait()
		time.Sleep(3 * time.Second)
		for i := range pods {
			wantVersion(t, n, token(fmt.Sprint("app-", i), 24*time.Hour), last)
		}
	})
}

var _ agent.Changes = (*eksauth.Client)(nil)
