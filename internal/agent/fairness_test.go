package agent_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/agent"
)

// floods has one pod ask with so many tokens at once, from its own address, and
// never mind the answers.
func (n *node) floods(from string, times int) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), fromPod{}, from))
	for i := range times {
		tok := token(fmt.Sprint(from, "-", i), time.Hour)
		go n.askWithin(ctx, tok)
	}
	synctest.Wait()
	return cancel
}

// TestOneMadPodTakesNobodysTurn: it has as many tokens as it likes, all of them
// forged, and its neighbour waits for its own call alone.
func TestOneMadPodTakesNobodysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(100*time.Millisecond, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up, MaxEntries: 200, MaxInFlight: 40})
		defer n.stop()
		stop := n.floods("10.9.9.9:1", 500)
		defer stop()
		if s := n.agent.Stats(); s.InFlight != 30 || s.Waiting != 200 {
			t.Errorf("%+v", s)
		}
		began := time.Now()
		n.mustAsk(token("app-0", time.Hour))
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("a pod waited %v for its turn", took-100*time.Millisecond)
		}
		// And so with several of them, though the room is full.
		for i := range 3 {
			defer n.floods(fmt.Sprintf("10.9.9.%d:1", i), 300)()
		}
		began = time.Now()
		n.mustAsk(token("app-1", time.Hour))
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("a pod waited %v for its turn", took-100*time.Millisecond)
		}
		if s := n.agent.Stats(); s.Waiting > 200 || s.InFlight > 40 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRenewalsLeaveRoom: while all is being renewed, a new pod is served at once.
func TestRenewalsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up, MaxInFlight: 8})
		defer n.stop()
		n.together(100, func(i int) string { return token(fmt.Sprint("app-", i), 24*time.Hour) })
		up.becomes(hangs)
		time.Sleep(40 * time.Minute)
		worst := 0
		for range 300 {
			time.Sleep(time.Second)
			worst = max(worst, n.agent.Stats().InFlight)
		}
		if worst != 2 {
			t.Errorf("%d renewals at once", worst)
		}
		up.becomes(grants(time.Hour))
		began := time.Now()
		n.mustAsk(token("new", time.Hour))
		if took := time.Since(began); took > 0 {
			t.Errorf("waited %v", took)
		}
	})
}

// TestOnePodCannotTakeAllConnections: beyond its share they are closed at once.
func TestOnePodCannotTakeAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := run(t, agent.Config{Upstream: &upstream{answer: grants(time.Hour)}})
		defer n.stop()
		dial := n.http.Transport.(*http.Transport).DialContext
		mad := context.WithValue(t.Context(), fromPod{}, "10.9.9.9:1")
		for range 10_000 {
			c, err := dial(mad, "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		synctest.Wait()
		if s := n.agent.Stats(); s.Connections != 512 || s.TurnedAway != 10_000-512 {
			t.Errorf("%+v", s)
		}
		n.mustAsk(token("app-0", time.Hour))
		time.Sleep(6 * time.Second) // they said nothing for too long
		if s := n.agent.Stats(); s.Connections != 0 {
			t.Errorf("%d connections are left", s.Connections)
		}
	})
}

func TestOnlyTheCallersThatAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: grants(time.Hour)}
		n := run(t, agent.Config{Upstream: up, Callers: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}})
		defer n.stop()
		for from, want := range map[string]int{"10.1.2.3:1": 200, "10.2.0.1:1": 0, "192.0.2.1:1": 0, "[::ffff:10.1.0.1]:1": 200, "127.0.0.1:1": 200} {
			ctx := context.WithValue(t.Context(), fromPod{}, from)
			if _, status, _ := n.askWithin(ctx, token("app-0", time.Hour)); status != want {
				t.Errorf("%s: %d, want %d", from, status, want)
			}
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &upstream{answer: after(20*time.Millisecond, grants(time.Hour))}
		n := run(t, agent.Config{Upstream: up})
		defer n.stop()
		tok := token("app-0", time.Hour)
		for range 3 {
			n.mustAsk(tok)
		}
		up.becomes(refuses(429, "ThrottlingException", 0))
		n.ask(token("app-1", time.Hour))
		n.ask(token("app-1", time.Hour))
		n.ask("garbage")
		var text strings.Builder
		n.agent.WriteMetrics(&text)
		for _, line := range []string{
			`podid_agent_requests_total{source="hit"} 2`, `podid_agent_requests_total{source="miss"} 2`, `podid_agent_requests_total{source="remembered"} 1`,
			`podid_agent_responses_total{code="200"} 3`, `podid_agent_responses_total{code="400"} 1`, `podid_agent_responses_total{code="429"} 2`,
			`podid_agent_upstream_calls_total{reason="request"} 2`, `podid_agent_upstream_failures_total{cause="throttled"} 1`,
			`podid_agent_upstream_failures_total{cause="refused"} 0`, `podid_agent_upstream_call_duration_seconds_bucket{le="0.01"} 1`,
			`podid_agent_upstream_call_duration_seconds_bucket{le="0.025"} 2`, `podid_agent_upstream_call_duration_seconds_bucket{le="+Inf"} 2`,
			`podid_agent_upstream_up 1`, `podid_agent_cached_pods 1`, `podid_agent_cached_tokens 1`,
		} {
			if !strings.Contains(text.String(), line+"\n") {
				t.Errorf("no line %s", line)
			}
		}
		for _, secret := range []string{"app-0", "ASIA", "secret-key", "session-token", tok, "default"} {
			if strings.Contains(text.String(), secret) {
				t.Errorf("the metrics have %q", secret)
			}
		}
		checkExposition(t, text.String())
		n.agent.WriteMetrics(io.Discard)
	})
}

// checkExposition holds the text to what Prometheus can read: each family is
// announced once, before its samples, and no series comes twice.
func checkExposition(t *testing.T, text string) {
	t.Helper()
	seen, family := map[string]bool{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if seen[family] {
				t.Errorf("%s is announced twice", family)
			}
			seen[family] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		series, _, ok := strings.Cut(line, " ")
		if !ok || seen["series "+series] || !strings.HasPrefix(series, family) {
			t.Errorf("%q in the family %s", line, family)
		}
		seen["series "+series] = true
	}
}
