package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// podsAtOnce start on a node together.
	podsAtOnce = 200
	// upstreamTakes is what the server and STS take to answer.
	upstreamTakes = 20 * time.Millisecond
	// tries is how often each burst is made; the figures are the medians of them.
	tries = 9
)

// burstOf is what came of a burst, tried several times.
type burstOf struct {
	p50, p99    time.Duration
	calls, most int64
	statuses    map[int]int
}

// times tries bursts of requests that make builds for each try.
func (b *bench) times(n int, up *upstream, address string, make func(try int) [][]byte) (burstOf, error) {
	var p50s, p99s []time.Duration
	got := burstOf{statuses: map[int]int{}}
	for try := range n {
		lines, err := dialAll(address, nil, podsAtOnce)
		if err != nil {
			return got, err
		}
		up.reset()
		took, statuses, err := burst(lines, make(try))
		hangUp(lines)
		if err != nil {
			return got, err
		}
		p50s, p99s = append(p50s, took.at(0.5)), append(p99s, took.at(0.99))
		got.calls, got.most = max(got.calls, up.calls.Load()), max(got.most, up.most.Load())
		for status, n := range statuses {
			got.statuses[status] += n
		}
	}
	got.p50, got.p99 = median(p50s), median(p99s)
	return got, nil
}

// cold measures pods that all ask at once, while the server takes its time:
// each with a token of its own, and all with the same. Beside it is what the
// machine takes to send as many requests straight to the server.
func (b *bench) cold(ctx context.Context) error {
	up := newUpstream()
	defer up.Close()
	direct := []byte("POST /clusters/example-cluster/assume-role-for-pod-identity HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	many, same := map[string]burstOf{}, map[string]burstOf{}
	up.delay.Store(int64(upstreamTakes))
	floor, err := b.times(tries, up, up.address(), func(int) [][]byte { return [][]byte{direct} })
	if err != nil {
		return err
	}
	for _, a := range b.agents() {
		p, err := a.start(up.URL)
		if err != nil {
			return err
		}
		defer p.stop()
		if err := p.answers(); err != nil {
			return err
		}
		if _, err := bodyOf(p); err != nil { // it has reached the server
			return fmt.Errorf("%s: %w", a.name, err)
		}
		next := 1
		if many[a.name], err = b.times(tries, up, p.address, func(int) (all [][]byte) {
			for range podsAtOnce {
				all = append(all, p.asks(podToken(next)))
				next++
			}
			return all
		}); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		if same[a.name], err = b.times(tries, up, p.address, func(int) [][]byte {
			next++
			return [][]byte{p.asks(podToken(next))}
		}); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	says := func(of burstOf) string {
		failed := ""
		for status, n := range of.statuses {
			if status != http.StatusOK {
				failed += fmt.Sprintf(", %d times status %d", n, status)
			}
		}
		return fmt.Sprintf("p50 %s, p99 %s, calls %d, at once %d%s", ms(of.p50), ms(of.p99), of.calls, of.most, failed)
	}
	m, s := many["podid"], same["podid"]
	r := row{what: "200 pods at once, 200 tokens, upstream 20 ms", podid: says(m), bound: "p99 60 ms, at once 160",
		ok: m.p99 < 3*upstreamTakes && m.most <= 160 && len(m.statuses) == 1, busy: floor.p99 > 2*upstreamTakes && m.most <= 160, beside: "straight to it: " + says(floor)}
	q := row{what: "200 requests at once, one token, upstream 20 ms", podid: says(s), bound: "p50 25 ms, 1 call",
		ok: s.p50 < upstreamTakes+5*time.Millisecond && s.calls == 1 && len(s.statuses) == 1, busy: floor.p50 >= upstreamTakes+5*time.Millisecond, beside: "straight to it: " + says(floor)}
	if b.stock != "" {
		r.stock, q.stock = says(many["stock"]), says(same["stock"])
	}
	b.row(r)
	b.row(q)
	return nil
}

// refused counts what 200 requests of one pod cost a server that refuses them, or fails.
func (b *bench) refused(ctx context.Context) error {
	const most = 3
	refusals := []refusal{
		{http.StatusBadRequest, "AccessDeniedException", "no"}, {http.StatusTooManyRequests, "ThrottlingException", "Rate exceeded"},
		{http.StatusInternalServerError, "InternalServerException", "oh"},
	}
	calls := map[string][]string{}
	worst := int64(0)
	for _, a := range b.agents() {
		for i, no := range refusals {
			n, err := b.callsFor(a, no, 1+i)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			if a.name == "podid" {
				worst = max(worst, n)
			}
			calls[a.name] = append(calls[a.name], fmt.Sprintf("%d: %d", no.status, n))
		}
	}
	b.row(row{what: "calls for 200 requests of one pod, upstream refuses, throttles, fails", podid: strings.Join(calls["podid"], ", "), bound: "3", ok: worst <= most,
		stock: strings.Join(calls["stock"], ", ")})
	return nil
}

func (b *bench) callsFor(a candidate, no refusal, pod int) (int64, error) {
	up := newUpstream()
	defer up.Close()
	p, err := a.start(up.URL)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if _, err := bodyOf(p); err != nil {
		return 0, err
	}
	up.refuses.Store(&no)
	got, err := b.times(1, up, p.address, func(int) [][]byte { return [][]byte{p.asks(podToken(pod))} })
	if err == nil && got.statuses[http.StatusOK] > 0 {
		err = fmt.Errorf("it granted: %v", got.statuses)
	}
	return got.calls, err
}
