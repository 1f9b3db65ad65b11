package agent_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
)

// after makes an upstream take its time.
func after(d time.Duration, answer func(context.Context, string) (*eksauth.Grant, error)) func(context.Context, string) (*eksauth.Grant, error) {
	return func(ctx context.Context, token string) (*eksauth.Grant, error) {
		select {
		case <-time.After(d):
			return answer(ctx, token)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// together asks n times at once, and returns how often each status came.
func (n *node) together(times int, token func(int) string) map[int]int {
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() {
			_, status, _ := n.ask(token(i))
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	all.Wait()
	return statuses
}

func wantCalls(t *testing.T, u *upstream, want int) {
	t.Helper()
	if got := u.counted(); got != want {
		t.Errorf("the upstream was asked %d times, want %d", got, want)
	}
}

func TestOneTokenIsFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(20*time.Millisecond, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", time.Hour)
		began := time.Now()
		if got := n.together(200, func(int) string { return tok }); got[200] != 200 {
			t.Errorf("statuses %v", got)
		}
		if took := time.Since(began); took > 20*time.Millisecond {
			t.Errorf("took %v, the upstream 20 ms", took)
		}
		wantCalls(t, up, 1)
		n.mustAsk(tok)
		if s := n.agent.Stats(); s.Misses != 200 || s.Hits != 1 || s.Fetches != 1 || s.Entries != 1 || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneCallerLeavingDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(time.Second, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", time.Hour)
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		left := make(chan int, 1)
		go func() {
			_, status, _ := n.askWithin(impatient, tok)
			left <- status
		}()
		time.Sleep(10 * time.Millisecond) // so that the one who leaves is the one who began the fetch
		if got := n.together(5, func(int) string { return tok }); got[200] != 5 {
			t.Errorf("those who stayed: statuses %v", got)
		}
		if status := <-left; status != 0 {
			t.Errorf("the one who left got %d", status)
		}
		wantCalls(t, up, 1)
	})
}

func TestAFetchGoesOnWhenAllHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(3*time.Second, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", time.Hour)
		for range 3 { // as an SDK that waits a second for each try
			ctx, cancel := context.WithTimeout(t.Context(), 999*time.Millisecond)
			if _, status, _ := n.askWithin(ctx, tok); status != 0 {
				t.Fatalf("status %d, want none yet", status)
			}
			cancel()
		}
		n.mustAsk(tok)
		wantCalls(t, up, 1)
	})
}

func TestFailuresAreSharedAndRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(context.Context, string) (*eksauth.Grant, error)
		status int
		until  time.Duration
	}{
		"refused":               {refuses(400, "AccessDeniedException", 0), 400, 3 * time.Second},
		"throttled":             {refuses(429, "ThrottlingException", 0), 429, 2 * time.Second},
		"throttled, told when":  {refuses(429, "ThrottlingException", 7*time.Second), 429, 7 * time.Second},
		"throttled for a day":   {refuses(429, "ThrottlingException", 24*time.Hour), 429, time.Minute},
		"broken":                {refuses(500, "InternalServerException", 0), 500, time.Second},
		"the agent not allowed": {refuses(403, "AccessDeniedException", 0), 403, time.Second},
		"away":                  {isAway, 500, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{answer: grants(time.Hour)}
				n := run(t, agent.Config{Upstream: up})
				defer n.stop()
				n.mustAsk(token("another", time.Hour)) // the upstream has been reached
				up.becomes(after(20*time.Millisecond, c.answer))
				tok := token("app-0", 48*time.Hour)
				same := func(int) string { return tok }
				if got := n.together(200, same); got[c.status] != 200 {
					t.Errorf("statuses %v", got)
				}
				time.Sleep(c.until - time.Nanosecond)
				if got := n.together(200, same); got[c.status] != 200 {
					t.Errorf("statuses %v", got)
				}
				wantCalls(t, up, 2)
				up.becomes(grants(time.Hour))
				time.Sleep(time.Nanosecond)
				n.mustAsk(tok)
				wantCalls(t, up, 3)
				if s := n.agent.Stats(); s.Remembered != 200 || s.Failures != 1 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestAHangingUpstreamIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: hangs}
		n := run(t, agent.Config{Upstream: up, FetchTimeout: 4 * time.Second})
		defer n.stop()
		began := time.Now()
		if _, status, _ := n.ask(token("app-0", time.Hour)); status != 500 || time.Since(began) != 4*time.Second {
			t.Errorf("status %d after %v", status, time.Since(began))
		}
	})
}

func TestCallsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(20*time.Millisecond, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		began := time.Now()
		if got := n.together(200, func(i int) string { return token(fmt.Sprint("app-", i), time.Hour) }); got[200] != 200 {
			t.Errorf("statuses %v", got)
		}
		if up.worst != 160 || time.Since(began) > 40*time.Millisecond {
			t.Errorf("%d calls at once, %v for all", up.worst, time.Since(began))
		}
	})
}

func TestFetchesWaitingAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(time.Second, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up, MaxEntries: 10, MaxInFlight: 4})
		defer n.stop()
		got := n.together(30, func(i int) string { return token(fmt.Sprint("app-", i), time.Hour) })
		if got[200] != 14 || got[503] != 16 { // four under way and ten that wait
			t.Errorf("statuses %v", got)
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up, MaxEntries: 2})
		defer n.stop()
		a, b, c := token("a", time.Hour), token("b", time.Hour), token("c", time.Hour)
		first := n.mustAsk(a)
		n.mustAsk(b)
		n.mustAsk(a) // b is now the one used longest ago
		n.mustAsk(c)
		if again := n.mustAsk(a); again != first {
			t.Error("a was used lately and was dropped all the same")
		}
		wantCalls(t, up, 3)
		n.mustAsk(b)
		wantCalls(t, up, 4)
		if s := n.agent.Stats(); s.Entries != 2 {
			t.Errorf("%d entries", s.Entries)
		}
	})
}

func TestBadTokensPushOutNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up, MaxEntries: 4})
		defer n.stop()
		good := token("good", time.Hour)
		n.mustAsk(good)
		up.becomes(refuses(400, "InvalidTokenException", 0))
		for i := range 50 {
			n.ask(token(fmt.Sprint("bad-", i), time.Hour))
		}
		n.mustAsk(good)
		wantCalls(t, up, 51)
	})
}

func TestATokensEndEndsItsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(6 * time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", 10*time.Minute)
		n.mustAsk(tok)
		time.Sleep(10*time.Minute - time.Second)
		n.mustAsk(tok)
		time.Sleep(time.Second)
		want := "Service account token failed basic claim validations: token is expired\n"
		if _, status, text := n.ask(tok); status != 400 || text != want {
			t.Errorf("%d %q", status, text)
		}
		wantCalls(t, up, 1)
		time.Sleep(10 * time.Second)
		if s := n.agent.Stats(); s.Entries != 0 {
			t.Errorf("%d entries are kept for a token that has ended", s.Entries)
		}
	})
}

// TestChainedCredentialsAreRenewedInTime lives a day of a pod whose SDK asks
// five minutes before what it has expires, as most do.
func TestChainedCredentialsAreRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 59 * time.Minute
		up := &upstream{answer: after(20*time.Millisecond, grants(life))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", 24*time.Hour)
		end := time.Now().Add(23 * time.Hour)
		for time.Now().Before(end) {
			began := time.Now()
			c := n.mustAsk(tok)
			left := time.Until(c.Expiration)
			if left < life/5 {
				t.Errorf("handed out with %v left", left)
			}
			if waited := time.Since(began); up.counted() > 1 && waited > 0 {
				t.Errorf("the pod waited %v though it has asked before", waited)
			}
			time.Sleep(left - 5*time.Minute)
		}
		if s := n.agent.Stats(); s.Fetches != 1 || s.Renewals < 23 || s.Renewals > 42 || s.Stale != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRenewalsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life, pods = time.Hour, 1000
		up := &upstream{answer: grants(life)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		n.together(pods, func(i int) string { return token(fmt.Sprint("app-", i), 24*time.Hour) })
		time.Sleep(life * 7 / 12)
		wantCalls(t, up, pods)
		worst, before := 0, pods
		for range int(life / 6 / (10 * time.Second)) {
			time.Sleep(10 * time.Second)
			now := up.counted()
			worst, before = max(worst, now-before), now
		}
		time.Sleep(10 * time.Second)
		wantCalls(t, up, 2*pods)
		if worst > 40 { // a thousand over ten minutes are 17 in ten seconds
			t.Errorf("%d renewals within ten seconds", worst)
		}
	})
}

func TestAPodThatIsGoneIsNotRenewedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		n.mustAsk(token("app-0", 24*time.Hour))
		time.Sleep(12 * time.Hour)
		wantCalls(t, up, 2)
		if s := n.agent.Stats(); s.Entries != 0 {
			t.Errorf("%d entries", s.Entries)
		}
	})
}

// TestAnOutageIsLivedThrough: the upstream is away from the 40th minute on. The
// pod gets what there is until it expires, and waits for nothing.
func TestAnOutageIsLivedThrough(t *testing.T) {
	for name, away := range map[string]func(context.Context, string) (*eksauth.Grant, error){
		"refuses connections": isAway, "answers nothing": hangs, "fails": refuses(503, "ServiceUnavailableException", 0),
		"refuses the agent": refuses(403, "ExpiredTokenException", 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{answer: grants(time.Hour)}
				n := run(t, agent.Config{Upstream: up})
				defer n.stop()
				tok := token("app-0", 24*time.Hour)
				first := n.mustAsk(tok)
				up.becomes(away)
				for time.Until(first.Expiration) > 0 {
					began := time.Now()
					if c := n.mustAsk(tok); c != first {
						t.Fatal("other credentials came from nowhere")
					}
					if waited := time.Since(began); waited > 500*time.Millisecond {
						t.Errorf("waited %v for what was there", waited)
					}
					time.Sleep(11 * time.Second)
				}
				if c, status, _ := n.ask(tok); status == http.StatusOK {
					t.Errorf("handed out expired credentials: %v", c.Expiration)
				}
				if s := n.agent.Stats(); s.Stale == 0 || s.Renewals > 40 || s.Fetches > 40 {
					t.Errorf("%+v", s)
				}
				up.becomes(grants(time.Hour))
				time.Sleep(6 * time.Second)
				n.mustAsk(tok)
			})
		})
	}
}

// TestANodesClockTenMinutesOff: tokens and credentials come from machines whose
// clocks are right, and what is handed out is good by those.
func TestANodesClockTenMinutesOff(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				truth := func() time.Time { return time.Now().Add(-ahead) }
				up := &upstream{answer: func(context.Context, string) (*eksauth.Grant, error) {
					return grant(fmt.Sprint("ASIA", time.Now().Unix()), truth().Add(time.Hour)), nil
				}}
				n := run(t, agent.Config{Upstream: up})
				defer n.stop()
				tok := jwt(fmt.Sprintf(`{"aud":"pods.eks.amazonaws.com","exp":%d,"nbf":%d}`, truth().Add(24*time.Hour).Unix(), truth().Unix()))
				for range 180 {
					if left := n.mustAsk(tok).Expiration.Sub(truth()); left < 5*time.Minute {
						t.Errorf("handed out with %v left", left)
					}
					time.Sleep(time.Minute)
				}
				if calls := up.counted(); calls > 7 {
					t.Errorf("the upstream was asked %d times in three hours", calls)
				}
			})
		})
	}
}

func TestLittleLifeIsNotHandedOutWhileTheUpstreamAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", 24*time.Hour)
		first := n.mustAsk(tok)
		up.becomes(isAway) // so that nothing is renewed ahead
		time.Sleep(56 * time.Minute)
		up.becomes(after(100*time.Millisecond, grants(time.Hour)))
		time.Sleep(time.Second) // a renewal may have failed just now, and that is remembered
		c := n.mustAsk(tok)
		if c == first || time.Until(c.Expiration) < 59*time.Minute {
			t.Errorf("handed out with %v left", time.Until(c.Expiration))
		}
	})
}

// TestShortLives: credentials that never have five minutes are still cached.
func TestShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(4 * time.Minute)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", 24*time.Hour)
		for range 60 { // an hour of asking each minute
			if left := time.Until(n.mustAsk(tok).Expiration); left < time.Minute {
				t.Errorf("handed out with %v left", left)
			}
			time.Sleep(time.Minute)
		}
		if calls := up.counted(); calls > 30 {
			t.Errorf("the upstream was asked %d times in an hour", calls)
		}
	})
}

func TestAJudgedPodLosesWhatItHad(t *testing.T) {
	for code, status := range map[string]int{
		"ResourceNotFoundException": 404, "AccessDeniedException": 400, "InvalidTokenException": 400, "ExpiredTokenException": 400,
	} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{answer: grants(time.Hour)}
				n := run(t, agent.Config{Upstream: up})
				defer n.stop()
				tok := token("app-0", 24*time.Hour)
				n.mustAsk(tok)
				up.becomes(refuses(status, code, 0))
				time.Sleep(46 * time.Minute) // renewed at the latest after 45, and refused
				if _, got, _ := n.ask(tok); got != status {
					t.Errorf("status %d", got)
				}
				if s := n.agent.Stats(); s.Entries != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestShutdown: Run returns when nothing runs any more; the bubble fails the
// test if a goroutine is left.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: hangs}
		n := run(t, agent.Config{Upstream: up, FetchTimeout: time.Minute})
		tok := token("app-0", time.Hour)
		answered := make(chan int, 1)
		go func() {
			_, status, _ := n.ask(tok)
			answered <- status
		}()
		synctest.Wait()
		if !n.agent.Ready() {
			t.Error("serving, and not ready")
		}
		began := time.Now()
		n.stop()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("took %v", took)
		}
		if n.agent.Ready() {
			t.Error("ready after the end")
		}
		<-answered
	})
}
