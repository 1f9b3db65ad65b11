package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
)

// rotated is a later token of the same pod, as the kubelet fetches it.
func rotated(pod string, n int, life time.Duration) string {
	return jwt(fmt.Sprintf(`{"aud":["pods.eks.amazonaws.com"],"exp":%d,"iss":"https://kubernetes.default.svc","jti":"%d",`+
		`"kubernetes.io":{"namespace":"default","pod":{"name":%q,"uid":%q},"serviceaccount":{"name":"app","uid":"s"}}}`,
		time.Now().Add(life).Unix(), n, pod, "uid-of-"+pod))
}

// TestAllTokensOfAPodHaveTheSameCredentials, once the upstream has accepted
// each; and they are renewed once, not once for each token.
func TestAllTokensOfAPodHaveTheSameCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		first, second := token("app-0", 24*time.Hour), rotated("app-0", 2, 24*time.Hour)
		n.mustAsk(first)
		had := n.mustAsk(second)
		wantCalls(t, up, 2)
		if again := n.mustAsk(first); again != had {
			t.Errorf("the pod's first token has %s, its second %s", again.AccessKeyID, had.AccessKeyID)
		}
		if s := n.agent.Stats(); s.Entries != 2 || s.Pods != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(46 * time.Minute) // renewed by now
		wantCalls(t, up, 3)
		if a, b := n.mustAsk(first), n.mustAsk(second); a != b || a == had {
			t.Errorf("after the renewal: %v and %v", a.AccessKeyID, b.AccessKeyID)
		}
		wantCalls(t, up, 3)
	})
}

// TestTheTokenThatLastsLongestRenews: the pod's old token expires, its
// credentials do not.
func TestTheTokenThatLastsLongestRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := ""
		give := grants(time.Hour)
		up := &upstream{answer: func(ctx context.Context, token string) (*eksauth.Grant, error) {
			asked = token
			return give(ctx, token)
		}}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		long, short := rotated("app-0", 1, 24*time.Hour), rotated("app-0", 2, 20*time.Minute)
		n.mustAsk(long)
		n.mustAsk(short)
		time.Sleep(46 * time.Minute)
		wantCalls(t, up, 3)
		if asked != long {
			t.Error("renewed with the token that has expired")
		}
		if s := n.agent.Stats(); s.Entries != 1 || s.Pods != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAForgedTokenGetsNothing, though its claims are those of a pod whose
// credentials are in memory, and takes nothing from that pod.
func TestAForgedTokenGetsNothing(t *testing.T) {
	for name, answer := range map[string]func(context.Context, string) (*eksauth.Grant, error){
		"invalid": refuses(400, "InvalidTokenException", 0), "expired": refuses(400, "ExpiredTokenException", 0),
		"denied": refuses(400, "AccessDeniedException", 0), "no association": refuses(404, "ResourceNotFoundException", 0),
		"throttled": refuses(429, "ThrottlingException", 0), "broken": refuses(500, "InternalServerException", 0),
		"the upstream is away": isAway, "the upstream hangs": hangs,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := &upstream{answer: grants(time.Hour)}
				n := run(t, agent.Config{Upstream: up})
				defer n.stop()
				genuine := token("app-0", 24*time.Hour)
				had := n.mustAsk(genuine)
				up.becomes(answer)
				for i := range 5 {
					if c, status, _ := n.ask(rotated("app-0", i, 48*time.Hour)); status == http.StatusOK {
						t.Fatalf("a token that nobody has verified got %s", c.AccessKeyID)
					}
					if again := n.mustAsk(genuine); again != had {
						t.Error("the pod lost what it had")
					}
				}
				time.Sleep(50 * time.Minute) // whatever renewal did, it did with the pod's own token
				if _, status, _ := n.ask(rotated("app-0", 9, 48*time.Hour)); status == http.StatusOK {
					t.Error("later, a token that nobody has verified got credentials")
				}
			})
		})
	}
}

// TestOnlyOnePodsTokensShare: whatever differs, each token has its own.
func TestOnlyOnePodsTokensShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		const common = `{"aud":"pods.eks.amazonaws.com","exp":9999999999,`
		tokens := map[string]string{
			"a pod":                   `"iss":"i","kubernetes.io":{"namespace":"n","pod":{"name":"p","uid":"u"},"serviceaccount":{"name":"s"}}}`,
			"of another cluster":      `"iss":"j","kubernetes.io":{"namespace":"n","pod":{"name":"p","uid":"u"},"serviceaccount":{"name":"s"}}}`,
			"of another namespace":    `"iss":"i","kubernetes.io":{"namespace":"o","pod":{"name":"p","uid":"u"},"serviceaccount":{"name":"s"}}}`,
			"another service account": `"iss":"i","kubernetes.io":{"namespace":"n","pod":{"name":"p","uid":"u"},"serviceaccount":{"name":"t"}}}`,
			"of the same name":        `"iss":"i","kubernetes.io":{"namespace":"n","pod":{"name":"p","uid":"v"},"serviceaccount":{"name":"s"}}}`,
			"bound to no pod":         `"iss":"i","kubernetes.io":{"namespace":"n","serviceaccount":{"name":"s"}}}`,
			"bound to no pod either":  `"iss":"i","kubernetes.io":{"namespace":"n","serviceaccount":{"name":"s"}},"jti":"2"}`,
			"about nothing":           `"iss":"i"}`,
			"about nothing either":    `"iss":"i","jti":"2"}`,
		}
		got := map[string]string{}
		for range 2 {
			for name, claims := range tokens {
				id := n.mustAsk(jwt(common + claims)).AccessKeyID
				for other, theirs := range got {
					if (theirs == id) != (other == name) {
						t.Errorf("%s got %s, and %s got %s", name, id, other, theirs)
					}
				}
				got[name] = id
			}
		}
		wantCalls(t, up, len(tokens))
	})
}

// TestATokenRotatedDuringAFetch: the pod comes back with its new token while
// the old one is being exchanged.
func TestATokenRotatedDuringAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(2*time.Second, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, status, _ := n.askWithin(impatient, token("app-0", time.Hour)); status != 0 {
			t.Fatalf("status %d, want none yet", status)
		}
		fresh := rotated("app-0", 2, 24*time.Hour)
		n.mustAsk(fresh)
		old := n.mustAsk(token("app-0", time.Hour-time.Second)) // the same second, so the same token
		if old != n.mustAsk(fresh) {
			t.Error("one pod, two answers")
		}
		if s := n.agent.Stats(); s.Pods != 1 || up.counted() > 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRenewedAfterThreeHoursAtTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(6 * time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		n.mustAsk(token("app-0", 24*time.Hour))
		time.Sleep(2 * time.Hour)
		wantCalls(t, up, 1)
		time.Sleep(time.Hour + 10*time.Second)
		wantCalls(t, up, 2)
	})
}

// TestALease: the pod is told to come back sooner, and gets the same
// credentials again, until they end.
func TestALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 16 * time.Minute
		give := grants(time.Hour)
		up := &upstream{answer: func(ctx context.Context, token string) (*eksauth.Grant, error) {
			g, err := give(ctx, token)
			g.Lease = lease
			return g, err
		}}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", 24*time.Hour)
		first := n.mustAsk(tok)
		for range 30 {
			c := n.mustAsk(tok)
			if left := time.Until(c.Expiration); left > lease || left < lease-time.Minute || c.AccessKeyID != first.AccessKeyID {
				t.Errorf("%s for %v", c.AccessKeyID, left)
			}
			time.Sleep(time.Minute)
		}
		wantCalls(t, up, 1)
		up.becomes(isAway)
		time.Sleep(25 * time.Minute)
		if c := n.mustAsk(tok); time.Until(c.Expiration) != 5*time.Minute {
			t.Errorf("%v before their real end, for %v", 5*time.Minute, time.Until(c.Expiration))
		}
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		one, other := token("app-0", 24*time.Hour), token("app-1", 24*time.Hour)
		had, others := n.mustAsk(one), n.mustAsk(other)
		n.mustAsk(rotated("app-0", 2, 24*time.Hour))
		var seen []agent.Held
		dropped := n.agent.Forget(func(h agent.Held) bool { seen = append(seen, h); return h.Pod == "app-0" })
		if dropped != 1 || len(seen) != 2 {
			t.Errorf("dropped %d, looked at %+v", dropped, seen)
		}
		for _, h := range seen {
			if h.Namespace != "default" || h.ServiceAccount != "app" || h.PodUID != "uid-of-"+h.Pod || h.AssociationID != "a-abcdefghijklmnop1" || !h.Arrived.Equal(time.Now()) {
				t.Errorf("%+v", h)
			}
		}
		if s := n.agent.Stats(); s.Entries != 1 || s.Pods != 1 {
			t.Errorf("%+v", s)
		}
		if again := n.mustAsk(one); again == had {
			t.Error("what was to be forgotten was handed out")
		}
		if again := n.mustAsk(other); again != others {
			t.Error("another pod's credentials are gone too")
		}
	})
}

// TestForgetARefusal: who has just been given an association does not wait.
func TestForgetARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: refuses(404, "ResourceNotFoundException", 0)}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", 24*time.Hour)
		n.ask(tok)
		up.becomes(grants(time.Hour))
		n.agent.Forget(func(h agent.Held) bool {
			return h.Namespace == "default" && h.ServiceAccount == "app" && h.AssociationID == ""
		})
		n.mustAsk(tok)
	})
}

// TestForgetWhatIsOnTheWay: credentials asked for before the change are not
// handed out after it.
func TestForgetWhatIsOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(100*time.Millisecond, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		got := make(chan credentials, 1)
		go func() { c, _, _ := n.ask(token("app-0", time.Hour)); got <- c }()
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		n.agent.Forget(func(h agent.Held) bool { return h.AssociationID == "a-abcdefghijklmnop1" })
		if c := <-got; c.AccessKeyID != "ASIA2" || time.Since(began) != 150*time.Millisecond {
			t.Errorf("got %s after %v", c.AccessKeyID, time.Since(began))
		}
		go func() { c, _, _ := n.ask(token("app-1", time.Hour)); got <- c }()
		time.Sleep(50 * time.Millisecond)
		n.agent.Forget(func(h agent.Held) bool { return h.Pod == "another" })
		if c := <-got; c.AccessKeyID != "ASIA3" {
			t.Errorf("fetched again for nothing: %s", c.AccessKeyID)
		}
		// Revoked each time it arrives: it is given up.
		up.becomes(after(100*time.Millisecond, func(ctx context.Context, token string) (*eksauth.Grant, error) {
			go n.agent.Forget(func(agent.Held) bool { return true })
			time.Sleep(time.Millisecond)
			return grants(time.Hour)(ctx, token)
		}))
		if _, status, _ := n.ask(token("app-2", time.Hour)); status != http.StatusServiceUnavailable {
			t.Errorf("status %d", status)
		}
		wantCalls(t, up, 6)
	})
}

// TestAtStart: until the upstream has been reached, pods are kept waiting as
// long as SDKs wait, and get credentials as soon as there are any.
func TestAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: isAway}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		began := time.Now()
		go func() {
			time.Sleep(500 * time.Millisecond)
			up.becomes(grants(time.Hour))
		}()
		if got := n.together(50, func(i int) string { return token(fmt.Sprint("app-", i), time.Hour) }); got[200] != 50 {
			t.Errorf("statuses %v", got)
		}
		if took := time.Since(began); took > 600*time.Millisecond {
			t.Errorf("took %v", took)
		}
		up.becomes(isAway) // and now it is known
		began = time.Now()
		if _, status, _ := n.ask(token("late", time.Hour)); status != 500 || time.Since(began) != 0 {
			t.Errorf("status %d after %v", status, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := run(t, agent.Config{Upstream: &upstream{answer: isAway}})
		defer n.stop()
		began := time.Now()
		_, status, _ := n.ask(token("app-0", time.Hour))
		if took := time.Since(began); status != 500 || took < 800*time.Millisecond || took > 950*time.Millisecond {
			t.Errorf("status %d after %v", status, took)
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: isAway}
		reach := func(ctx context.Context) error {
			_, err := up.AssumeRoleForPodIdentity(ctx, "")
			return err
		}
		n := run(t, agent.Config{Upstream: up, Reach: reach})
		defer n.stop()
		began := time.Now()
		time.Sleep(time.Second)
		if h := n.agent.Health(); h.Reached || h.Failing != began || !h.Answered.IsZero() || h.Failure == nil {
			t.Errorf("%+v", h)
		}
		up.becomes(grants(time.Hour))
		time.Sleep(5 * time.Second)
		if h := n.agent.Health(); !h.Reached || !h.Failing.IsZero() || h.Answered.IsZero() || h.Failure != nil {
			t.Errorf("%+v", h)
		}
		calls := up.counted()
		time.Sleep(time.Hour)
		wantCalls(t, up, calls) // nobody asks what is known
		up.becomes(isAway)
		n.ask(token("app-0", time.Hour))
		if h := n.agent.Health(); !h.Reached || h.Failing.IsZero() || !strings.Contains(h.Failure.Error(), "unexpected EOF") {
			t.Errorf("%+v", h)
		}
		up.becomes(refuses(403, "AccessDeniedException", 0))
		time.Sleep(10 * time.Second)
		n.ask(token("app-0", time.Hour))
		if h := n.agent.Health(); !h.Failing.IsZero() {
			t.Errorf("a refusal is an answer: %+v", h)
		}
		if _, ok := errors.AsType[*eksauth.Error](n.agent.Health().Failure); ok {
			t.Error("a refusal is kept as a failure")
		}
	})
}
