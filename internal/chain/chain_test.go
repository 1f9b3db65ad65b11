package chain

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/identity"
)

// sts is a role assumer that takes its time, and bears only so many calls a second.
type sts struct {
	latency time.Duration
	limit   int // calls in each second of the clock; 0: any number
	refuse  map[string]error
	behind  time.Duration // its clock

	mu        sync.Mutex
	second    int64
	calls     int // in this second
	granted   map[string]int
	throttled int
	most      int // calls at once
	inFlight  int
}

func (s *sts) AssumeRole(ctx context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	s.mu.Lock()
	now := time.Now()
	if second := now.Unix(); second != s.second {
		s.second, s.calls = second, 0
	}
	s.calls++
	over := s.limit > 0 && s.calls > s.limit
	refused := s.refuse[hop.RoleARN]
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	s.mu.Unlock()
	time.Sleep(s.latency) // the fake clock's
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	switch {
	case ctx.Err() != nil:
		return identity.Session{}, identity.Errorf(identity.Unavailable, "too late")
	case over:
		s.throttled++
		return identity.Session{}, identity.Errorf(identity.Throttled, "Rate exceeded")
	case refused != nil:
		return identity.Session{}, refused
	}
	if s.granted == nil {
		s.granted = map[string]int{}
	}
	s.granted[hop.RoleARN]++
	n := s.granted[hop.RoleARN]
	return identity.Session{Credentials: identity.Credentials{
		AccessKeyID: fmt.Sprintf("%s-%d", hop.RoleARN, n), SecretAccessKey: "secret", SessionToken: "token", Expires: now.Add(time.Hour),
	}, AssumedRoleARN: hop.SessionName, Issued: now.Add(-s.behind).Truncate(time.Second)}, nil
}

func (s *sts) made(role string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted[role]
}

func (s *sts) set(role string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = map[string]error{role: err}
}

const (
	first  = "arn:aws:iam::111122223333:role/pod"
	target = "arn:aws:iam::444455556666:role/target"
)

func association(change ...func(*identity.Association)) identity.Association {
	a := identity.Association{
		ID: "a-0123456789abcdefg", Cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"},
		Namespace: "default", ServiceAccount: "app", RoleARN: first, TargetRoleARN: target,
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func pod(n int) identity.Subject {
	return identity.Subject{Namespace: "default", ServiceAccount: "app", PodName: fmt.Sprint("app-", n), PodUID: fmt.Sprint("uid-", n)}
}

// within runs f with a Cache under a clock of its own, in which nothing takes
// time but what waits.
func within(t *testing.T, s *sts, change func(*Config), f func(*testing.T, *Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		config := Config{Roles: s}
		if change != nil {
			change(&config)
		}
		c, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		f(t, c)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// keyOf returns the access key that a pod got.
func keyOf(t *testing.T, c *Cache, a identity.Association, s identity.Subject) string {
	t.Helper()
	steps, err := c.Assume(t.Context(), a, s)
	if err != nil {
		t.Fatal(err)
	}
	return steps[len(steps)-1].Session.Credentials.AccessKeyID
}

func TestSecondRequestCostsNothing(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		before := keyOf(t, c, association(), pod(1))
		again := pod(1)
		again.TokenID = "rotated"
		steps, err := c.Assume(t.Context(), association(), again)
		if err != nil || len(steps) != 2 || !steps[0].Cached || !steps[1].Cached || steps[1].Session.Credentials.AccessKeyID != before {
			t.Errorf("got %+v, %v; want the credentials of before, marked as such", steps, err)
		}
		if s.made(first) != 1 || s.made(target) != 1 {
			t.Errorf("%d and %d assumptions, want one of each", s.made(first), s.made(target))
		}
	})
}

func TestWhoAsksAtOnceSharesOneChain(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { keyOf(t, c, association(), pod(1)) })
		}
		wg.Wait()
		if s.made(first) != 1 || s.made(target) != 1 {
			t.Errorf("%d and %d assumptions, want one of each", s.made(first), s.made(target))
		}
	})
}

func TestAChangedAssociationNeedsAnotherChain(t *testing.T) {
	changes := map[string]func(*identity.Association){
		"role":           func(a *identity.Association) { a.RoleARN += "2" },
		"target":         func(a *identity.Association) { a.TargetRoleARN += "2" },
		"no target":      func(a *identity.Association) { a.TargetRoleARN = "" },
		"session policy": func(a *identity.Association) { a.Policy = "{}" },
		"no tags":        func(a *identity.Association) { a.DisableSessionTags = true },
		"made anew":      func(a *identity.Association) { a.ID = "a-anotherone0000000" },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			within(t, &sts{}, nil, func(t *testing.T, c *Cache) {
				before := keyOf(t, c, association(), pod(1))
				if after := keyOf(t, c, association(change), pod(1)); after == before {
					t.Error("got the credentials of the association as it was")
				}
			})
		})
	}
}

func TestPodsGetTheirOwnChain(t *testing.T) {
	s := &sts{}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		if keyOf(t, c, association(), pod(1)) == keyOf(t, c, association(), pod(2)) {
			t.Error("two pods share credentials, and so their session tags")
		}
		if s.made(first) != 2 {
			t.Errorf("%d first hops, want one for each pod", s.made(first))
		}
	})
}

func TestWithoutTagsThePodsShareTheFirstHop(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	tagless := association(func(a *identity.Association) { a.DisableSessionTags = true })
	within(t, s, nil, func(t *testing.T, c *Cache) {
		keys := make([]string, 10)
		var wg sync.WaitGroup
		for i := range keys {
			wg.Go(func() { keys[i] = keyOf(t, c, tagless, pod(i)) })
		}
		wg.Wait()
		if s.made(first) != 1 || s.made(target) != 10 {
			t.Errorf("%d and %d assumptions, want 1 and 10", s.made(first), s.made(target))
		}
		if keys[0] == keys[1] {
			t.Error("two pods share a session")
		}
	})
}

func TestWhoGaveUpFindsItReady(t *testing.T) {
	s := &sts{latency: 3 * time.Second}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Assume(ctx, association(), pod(1))
		if identity.KindOf(err) != identity.Throttled {
			t.Fatalf("got %v, want to be told to come again", err)
		}
		time.Sleep(10 * time.Second)
		start := time.Now()
		keyOf(t, c, association(), pod(1))
		if took := time.Since(start); took != 0 || s.made(target) != 1 {
			t.Errorf("took %v and %d chains, want it to be there", took, s.made(target))
		}
	})
}

func TestChainsAreRenewedBeforeAgentsComeForThem(t *testing.T) {
	s := &sts{}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		before := keyOf(t, c, association(), pod(1))
		time.Sleep(35 * time.Minute)
		if keyOf(t, c, association(), pod(1)) != before {
			t.Error("renewed with 25 of 60 minutes left")
		}
		time.Sleep(5 * time.Minute)
		if keyOf(t, c, association(), pod(1)) == before {
			t.Error("not renewed with 20 of 60 minutes left")
		}
	})
}

func TestOldChainsServeWhileStsDoesNot(t *testing.T) {
	s := &sts{}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		before := keyOf(t, c, association(), pod(1))
		time.Sleep(45 * time.Minute)
		s.set(first, identity.Errorf(identity.Unavailable, "down"))
		if keyOf(t, c, association(), pod(1)) != before {
			t.Error("other credentials, with STS down")
		}
		time.Sleep(16 * time.Minute)
		if _, err := c.Assume(t.Context(), association(), pod(1)); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("got %v after they expired, want STS's own failure", err)
		}
	})
}

func TestOldChainsEndWhenAWSRefuses(t *testing.T) {
	s := &sts{}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		keyOf(t, c, association(), pod(1))
		time.Sleep(45 * time.Minute)
		s.set(target, identity.Errorf(identity.AccessDenied, "not authorized"))
		for range 2 {
			if _, err := c.Assume(t.Context(), association(), pod(1)); identity.KindOf(err) != identity.AccessDenied {
				t.Errorf("got %v, want the refusal", err)
			}
		}
		if s.made(first) != 2 {
			t.Errorf("%d chains tried, want the refusal remembered", s.made(first)-1)
		}
		s.set("", nil)
		time.Sleep(4 * time.Second)
		keyOf(t, c, association(), pod(1))
	})
}

func TestForgottenChainsAreNotGivenOut(t *testing.T) {
	s := &sts{latency: time.Second}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		keyOf(t, c, association(), pod(1))
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { _, err = c.Assume(t.Context(), association(), pod(2)) })
		time.Sleep(500 * time.Millisecond)
		c.Forget(association().ID)
		wg.Wait()
		if identity.KindOf(err) != identity.Unavailable {
			t.Errorf("a chain under way was given out after its association went: %v", err)
		}
		if got := c.Stats().Entries; got != 0 {
			t.Errorf("%d chains kept", got)
		}
		before := s.made(target)
		keyOf(t, c, association(), pod(1))
		if s.made(target) != before+1 {
			t.Error("answered from before it was forgotten")
		}
		c.ForgetPod(association().ID, pod(1).PodUID)
		if got := c.Stats().Entries; got != 0 {
			t.Errorf("%d chains kept of a pod that is gone", got)
		}
	})
}

func TestPrewarmedChainsAreThereOrDropped(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		c.Prewarm(association(), pod(1))
		c.Prewarm(association(), pod(2))
		time.Sleep(time.Second)
		start := time.Now()
		keyOf(t, c, association(), pod(1))
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want it from memory", took)
		}
		time.Sleep(15 * time.Minute)
		if got := c.Stats().Entries; got != 1 {
			t.Errorf("%d chains kept, want that of the pod that asked", got)
		}
	})
}

func TestBounds(t *testing.T) {
	s := &sts{latency: time.Second}
	within(t, s, func(c *Config) { c.MaxEntries, c.MaxQueue, c.MaxInFlight = 5, 10, 3 }, func(t *testing.T, c *Cache) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		full := 0
		for i := range 30 {
			wg.Go(func() {
				_, err := c.Assume(t.Context(), association(), pod(i))
				if e, ok := err.(*identity.Error); ok && e.Kind == identity.Throttled && e.RetryAfter >= time.Second {
					mu.Lock()
					full++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if full < 20 || s.most > 3 || c.Stats().Entries != 5 {
			t.Errorf("%d told to come again, %d calls at once, %d kept; want 20 or more, 3 and 5", full, s.most, c.Stats().Entries)
		}
	})
}

// TestRevoked: a chain made before a revocation, or under way then, is not given out.
func TestRevoked(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		before := keyOf(t, c, association(), pod(1))
		underWay := make(chan error)
		go func() {
			_, err := c.Assume(t.Context(), association(), pod(2))
			underWay <- err
		}()
		time.Sleep(5 * time.Millisecond)
		revoked := association(func(a *identity.Association) { a.RevokedAt = time.Now() })
		after := keyOf(t, c, revoked, pod(2))
		if err := <-underWay; identity.KindOf(err) != identity.Unavailable {
			t.Errorf("the chain under way ended with %v, want to be told to ask again", err)
		}
		if keyOf(t, c, revoked, pod(1)) == before {
			t.Error("credentials from before the revocation")
		}
		sameInstant := revoked
		sameInstant.RevokedAt = revoked.RevokedAt.In(time.FixedZone("elsewhere", 3600))
		if again := keyOf(t, c, sameInstant, pod(2)); again != after {
			t.Error("the same revocation, read in another time zone, cost a chain")
		}
	})
}

func TestATryAsksSTSAndKeepsNothing(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		keyOf(t, c, association(), pod(1))
		steps, err := c.Try(t.Context(), association(), pod(1))
		if err != nil || len(steps) != 2 || steps[0].Cached || steps[1].Cached || s.made(target) != 2 {
			t.Errorf("got %+v, %v after %d assumptions; want the chain made anew", steps, err, s.made(target))
		}
		s.set(target, identity.Errorf(identity.AccessDenied, "no more"))
		if steps, err = c.Try(t.Context(), association(), pod(1)); identity.KindOf(err) != identity.AccessDenied || len(steps) != 2 || steps[1].Err == nil {
			t.Errorf("got %+v, %v; want what the second hop answered", steps, err)
		}
		if entries := c.Stats().Entries; entries != 1 {
			t.Errorf("%d chains in memory, want the pod's alone", entries)
		}
		keyOf(t, c, association(), pod(1))
	})
}

// TestFresh: nothing is kept, neither chains, nor first hops, nor refusals.
func TestFresh(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, func(c *Config) { c.Fresh = true }, func(t *testing.T, c *Cache) {
		tagless := association(func(a *identity.Association) { a.DisableSessionTags = true })
		for range 2 {
			keyOf(t, c, association(), pod(1))
			keyOf(t, c, tagless, pod(1))
		}
		if s.made(first) != 4 || s.made(target) != 4 || c.Stats().Entries != 0 {
			t.Errorf("%d and %d assumptions, %d kept", s.made(first), s.made(target), c.Stats().Entries)
		}
		s.set(target, identity.Errorf(identity.AccessDenied, "no"))
		if _, err := c.Assume(t.Context(), association(), pod(1)); identity.KindOf(err) != identity.AccessDenied {
			t.Errorf("got %v", err)
		}
		s.set(target, nil)
		keyOf(t, c, association(), pod(1))
	})
}

// TestChanged: what was made of the present version stays, though the change is
// heard of late.
func TestChanged(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		a := association()
		before := keyOf(t, c, a, pod(1))
		c.Changed(a.ID, a.Version())
		if keyOf(t, c, a, pod(1)) != before {
			t.Error("a chain of the present version was dropped")
		}
		c.Changed(a.ID, "another")
		if keyOf(t, c, a, pod(1)) == before {
			t.Error("a chain of another version was kept")
		}
	})
}

// TestAChangeDuringARenewal: the chain that is being renewed is not a way around it.
func TestAChangeDuringARenewal(t *testing.T) {
	s := &sts{latency: 20 * time.Millisecond}
	within(t, s, nil, func(t *testing.T, c *Cache) {
		keyOf(t, c, association(), pod(1))
		time.Sleep(45 * time.Minute) // past renewAt, before the end
		asked := make(chan error)
		go func() {
			_, err := c.Assume(t.Context(), association(), pod(1))
			asked <- err
		}()
		time.Sleep(5 * time.Millisecond)
		c.Changed(association().ID, "another")
		if err := <-asked; identity.KindOf(err) != identity.Unavailable {
			t.Errorf("got %v, want to be told to ask again", err)
		}
	})
}

// TestSessionsAreDatedAfterTheRevocation: a clock of AWS that is behind makes no
// sessions that the statement against older ones would end.
func TestSessionsAreDatedAfterTheRevocation(t *testing.T) {
	for name, behind := range map[string]time.Duration{"the same clock": 0, "a little": 700 * time.Millisecond, "much": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			s := &sts{latency: 20 * time.Millisecond, behind: behind}
			within(t, s, nil, func(t *testing.T, c *Cache) {
				time.Sleep(300 * time.Millisecond)
				revoked := time.Now().Add(time.Second).Truncate(time.Second)
				steps, err := c.Assume(t.Context(), association(func(a *identity.Association) { a.RevokedAt = revoked }), pod(1))
				if identity.KindOf(err) == identity.Throttled { // it takes longer than a pod waits
					time.Sleep(5 * time.Second)
					steps, err = c.Assume(t.Context(), association(func(a *identity.Association) { a.RevokedAt = revoked }), pod(1))
				}
				if err != nil || len(steps) != 2 {
					t.Fatalf("%v, %v", steps, err)
				}
				if issued := steps[1].Session.Issued; issued.Before(revoked) {
					t.Errorf("dated %v, revoked at %v", issued, revoked)
				}
				if s.made(first) != 1 || s.made(target) > 2 {
					t.Errorf("%d and %d assumptions", s.made(first), s.made(target))
				}
			})
		})
	}
}
