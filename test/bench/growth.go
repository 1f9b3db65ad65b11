package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/identity"
)

// growth draws what an agent's memory and latency, and the memory of the
// server's chains, do from a hundred pods to a hundred thousand.
func (b *bench) growth(ctx context.Context) error {
	up := newUpstream()
	defer up.Close()
	p, err := b.agents()[0].start(up.URL, "--max-cache-size", fmt.Sprint(2*b.most))
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.answers(); err != nil {
		return err
	}
	agent, server := curve{name: "podid-agent, resident"}, curve{name: "podid server's chains, heap"}
	p50, p99 := curve{name: "p50"}, curve{name: "p99"}
	for have, pods := 0, 100; pods <= b.most; have, pods = pods, pods*10 {
		if err := fill(p, have, pods); err != nil {
			return err
		}
		took, err := cycle(ctx, p, pods)
		if err != nil {
			return err
		}
		bytes, err := p.resident()
		if err != nil {
			return err
		}
		chains, err := chainMemory(ctx, pods)
		if err != nil {
			return err
		}
		for _, c := range []*curve{&agent, &server, &p50, &p99} {
			c.x = append(c.x, float64(pods))
		}
		agent.y, server.y = append(agent.y, float64(bytes)/(1<<20)), append(server.y, float64(chains)/(1<<20))
		p50.y, p99.y = append(p50.y, took.at(0.5).Seconds()*1e3), append(p99.y, took.at(0.99).Seconds()*1e3)
	}
	last := len(agent.y) - 1
	each := func(c curve) float64 { return (c.y[last] - c.y[0]) * (1 << 20) / (c.x[last] - c.x[0]) }
	var late []string
	for _, y := range p99.y {
		late = append(late, fmt.Sprintf("%.2f", y))
	}
	b.row(row{what: fmt.Sprintf("from 100 to %s pods, by tens", thousands(agent.x[last])),
		podid: fmt.Sprintf("agent %.1f to %.1f MiB (%s B a pod), p99 %s ms; server's chains %s B a pod",
			agent.y[0], agent.y[last], thousands(each(agent)), strings.Join(late, ", "), thousands(each(server)))})
	most := agent.x[last]
	memory := draw("Memory by pods", powers(100, most, "pods"), upTo(max(agent.y[last], server.y[last]), "MiB"), []curve{agent, server})
	latency := draw("Latency of cached answers at 800 a second, by pods", powers(100, most, "pods"), upTo(max(maxOf(p99.y), 1), "ms"), []curve{p50, p99})
	if err := b.plot("benchmarks-memory.svg", memory); err != nil {
		return err
	}
	return b.plot("benchmarks-growth.svg", latency)
}

func maxOf(all []float64) float64 {
	most := 0.0
	for _, v := range all {
		most = max(most, v)
	}
	return most
}

// upTo is a linear axis from nothing on.
func upTo(most float64, label string) axis {
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for most/step < 4 {
		step /= 2
	}
	a := axis{to: step * math.Ceil(most/step), label: label, text: func(v float64) string { return fmt.Sprintf("%g", v) }}
	for m := 0.0; m <= a.to*1.001; m += step {
		a.marks = append(a.marks, m)
	}
	return a
}

// cycle asks for one pod's credentials after another, at the rate of a busy node.
func cycle(ctx context.Context, p *process, pods int) (latencies, error) {
	lines, err := dialAll(p.address, nil, 64)
	if err != nil {
		return nil, err
	}
	defer hangUp(lines)
	const rate, seconds = 800, 5
	requests := make([][]byte, min(pods, rate*seconds))
	for i := range requests {
		requests[i] = p.asks(podToken(i * (pods / len(requests))))
	}
	if status, err := lines[0].ask(requests[0]); err != nil || status != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("status %d", status), err)
	}
	return open(ctx, lines, requests, rate, seconds*time.Second)
}

// chainMemory is what the server's cache of chains takes for so many pods.
func chainMemory(ctx context.Context, pods int) (int64, error) {
	before := heap()
	c, err := chain.New(chain.Config{Roles: ready{}, Rate: 1e9})
	if err != nil {
		return 0, err
	}
	for n := range pods {
		if _, err := c.Assume(ctx, exampleAssociation(), examplePod(n)); err != nil {
			return 0, err
		}
	}
	after := heap()
	runtime.KeepAlive(c)
	return after - before, nil
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// ready assumes any role at once, with credentials of the length of STS's.
type ready struct{}

func (ready) AssumeRole(_ context.Context, _ *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	return identity.Session{AssumedRoleARN: hop.RoleARN, Credentials: identity.Credentials{
		AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: identity.Secret(string([]byte(sessionToken[:40]))), SessionToken: identity.Secret(string([]byte(sessionToken))),
		Expires: time.Now().Add(time.Hour),
	}}, nil
}
