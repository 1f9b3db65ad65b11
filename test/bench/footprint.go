package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// memory measures what an agent keeps resident: alone, and with a busy node's pods.
func (b *bench) memory(ctx context.Context) error {
	const pods = 2000
	const idleBound, fullBound = 12 << 20, 24 << 20
	got := map[string][2]int64{}
	for _, a := range b.agents() {
		up := newUpstream()
		defer up.Close()
		idle, err := footprint(a, up, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		full, err := footprint(a, up, pods)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		got[a.name] = [2]int64{idle, full}
	}
	says := func(name string) string { return mib(got[name][0]) + ", " + mib(got[name][1]) }
	r := row{what: "resident memory: idle, with 2,000 pods", podid: says("podid"), bound: "12, 24 MiB",
		ok: got["podid"][0] <= idleBound && got["podid"][1] <= fullBound}
	if b.stock != "" {
		r.stock = says("stock")
	}
	b.row(r)
	return nil
}

// settle is how long after its last answer an agent is looked at, which is when
// podid-agent has given back what it does not use.
const settle = 12 * time.Second

// footprint is the median of three agents' memory, each after so many pods.
func footprint(a candidate, up *upstream, pods int) (int64, error) {
	var three []*process
	for range 3 {
		p, err := a.start(up.URL)
		if err != nil {
			return 0, err
		}
		defer p.stop()
		three = append(three, p)
		if err := p.answers(); err != nil {
			return 0, err
		}
		if err := fill(p, 0, pods); err != nil {
			return 0, err
		}
	}
	time.Sleep(settle)
	var all []int64
	for _, p := range three {
		bytes, err := p.resident()
		if err != nil {
			return 0, err
		}
		all = append(all, bytes)
	}
	return median(all), nil
}

// fill has pods from one to another get their credentials, a few at a time.
func fill(p *process, from, to int) error {
	if from == to {
		return nil
	}
	lines, err := dialAll(p.address, nil, 8)
	if err != nil {
		return err
	}
	defer hangUp(lines)
	failed := make(chan error, len(lines))
	for i, l := range lines {
		go func() {
			for n := from + i; n < to; n += len(lines) {
				status, err := l.ask(p.asks(podToken(n)))
				for err == nil && status == http.StatusTooManyRequests { // the stock agent's limit
					time.Sleep(10 * time.Millisecond)
					status, err = l.ask(p.asks(podToken(n)))
				}
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("status %d", status)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range lines {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return err
}

// start measures from the start of a process to its first answer, the call to
// the server included. Beside it is a bare handler's, which is what a process
// takes on this machine at the moment.
func (b *bench) start(ctx context.Context) error {
	const bound = 20 * time.Millisecond
	up := newUpstream()
	defer up.Close()
	took := map[string][]time.Duration{}
	for range 2*b.rounds + 1 {
		for _, a := range b.agents() {
			d, err := firstAnswer(func() (*process, error) { return a.start(up.URL) })
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			took[a.name] = append(took[a.name], d)
		}
		d, err := firstAnswer(func() (*process, error) { return startSelf("bare", strings.NewReader("{}")) })
		if err != nil {
			return err
		}
		took["bare"] = append(took["bare"], d)
	}
	r := row{what: "start to first answer", podid: "median " + ms(median(took["podid"])), bound: "20 ms", ok: median(took["podid"]) < bound, busy: median(took["bare"]) > bound*3/4,
		beside: "a bare process: " + ms(median(took["bare"]))}
	if b.stock != "" {
		r.stock = "median " + ms(median(took["stock"]))
	}
	b.row(r)
	return nil
}

func firstAnswer(start func() (*process, error)) (time.Duration, error) {
	began := time.Now()
	p, err := start()
	if err != nil {
		return 0, err
	}
	defer p.stop()
	request := p.asks(podToken(1))
	for time.Since(began) < 20*time.Second {
		l, err := dial(p.address, nil, podAddress(0))
		if err != nil {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		status, err := l.ask(request)
		l.conn.Close()
		if err == nil && status == http.StatusOK {
			return time.Since(began), nil
		}
	}
	return 0, fmt.Errorf("no answer\n%s", p.said())
}
