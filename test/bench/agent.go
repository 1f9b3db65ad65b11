package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// podToken is a service account token of pod n as long as Kubernetes' own. Agents
// verify no signature.
func podToken(n int) string {
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"aud":["pods.eks.amazonaws.com"],"exp":%d,"iat":%d,"iss":"https://oidc.example.com/id/0123456789ABCDEF0123456789ABCDEF",
		"kubernetes.io":{"namespace":"default","node":{"name":"node-1","uid":"00000000-0000-4000-8000-000000000001"},"pod":{"name":"app-%d","uid":"00000000-0000-4000-8000-%012d"},
		"serviceaccount":{"name":"app","uid":"00000000-0000-4000-8000-000000000002"}},"sub":"system:serviceaccount:default:app"}`,
		time.Now().Add(24*time.Hour).Unix(), time.Now().Unix(), n, n)
	return part([]byte(`{"alg":"RS256","kid":"0123456789abcdef0123456789abcdef01234567"}`)) + "." + part([]byte(claims)) + "." + part(make([]byte, 256))
}

// contestant is who is compared: an agent, or the bare handler beside it.
type contestant struct {
	name string
	*process
	requests [][]byte // of pods that have their credentials
	lines    []*line
}

// contest starts podid-agent, the bare handler with the same body and, where
// there is one, the stock agent, and lets pods get their credentials.
func (b *bench) contest(up *upstream, pods, connections int) (all []*contestant, end func(), err error) {
	end = func() {
		for _, c := range all {
			hangUp(c.lines)
			c.stop()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	for _, a := range b.agents() {
		p, err := a.start(up.URL)
		if err != nil {
			return nil, end, err
		}
		all = append(all, &contestant{name: a.name, process: p})
	}
	body, err := bodyOf(all[0].process)
	if err != nil {
		return nil, end, err
	}
	bare, err := startSelf("bare", strings.NewReader(body))
	if err != nil {
		return nil, end, err
	}
	all = append(all, &contestant{name: "bare", process: bare})
	for _, c := range all {
		if err := c.answers(); err != nil {
			return nil, end, err
		}
		for n := range pods {
			c.requests = append(c.requests, c.asks(podToken(n)))
		}
		if c.lines, err = dialAll(c.address, nil, connections); err != nil {
			return nil, end, err
		}
		for _, r := range c.requests {
			if status, err := c.lines[0].ask(r); err != nil || status != http.StatusOK {
				return nil, end, errors.Join(fmt.Errorf("%s: status %d\n%s", c.name, status, c.said()), err)
			}
		}
	}
	return all, end, nil
}

// agents are podid's, and the stock one where there is one.
func (b *bench) agents() []candidate {
	all := []candidate{{"podid", b.agent, b.folder}}
	if b.stock != "" {
		all = append(all, candidate{"stock", b.stock, b.folder})
	}
	return all
}

// candidate is an agent that can be started.
type candidate struct{ name, binary, folder string }

// bodyOf is what an agent answers to a pod.
func bodyOf(p *process) (string, error) {
	if err := p.answers(); err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+p.address+"/v1/credentials", nil)
	if err != nil {
		return "", err
	}
	r.Host = p.host
	r.Header.Set("Authorization", podToken(0))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return string(body), err
}

// cached measures answers from memory: how many at most, and how late they are
// at the rate of a busy node.
func (b *bench) cached(ctx context.Context) error {
	up := newUpstream()
	defer up.Close()
	all, end, err := b.contest(up, 200, 64)
	if err != nil {
		return err
	}
	defer end()
	if err := b.saturated(all); err != nil {
		return err
	}
	return b.paced(ctx, all)
}

// saturated: each round gives each of them a quarter of a second, in the same
// order, so that a round's ratio is of neighbours in time.
func (b *bench) saturated(all []*contestant) error {
	const turn = 250 * time.Millisecond
	ratios, rates, work := map[string][]float64{}, map[string][]float64{}, map[string]time.Duration{}
	answers, refusals := map[string]int64{}, map[string]int64{}
	for range 4 * b.rounds {
		round := map[string]float64{}
		for _, c := range all {
			before, err := c.processor()
			if err != nil {
				return err
			}
			ok, refused, err := saturate(c.lines, c.requests, turn)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			after, err := c.processor()
			if err != nil {
				return err
			}
			round[c.name] = float64(ok) / turn.Seconds()
			answers[c.name] += ok
			refusals[c.name] += refused
			work[c.name] += after - before
		}
		for name, rate := range round {
			rates[name] = append(rates[name], rate)
			ratios[name] = append(ratios[name], rate/round["bare"])
		}
	}
	per := func(name string) string { return micros(work[name] / time.Duration(max(answers[name], 1))) }
	ratio := median(ratios["podid"])
	r := row{
		what: "cached answers a second, saturated", podid: fmt.Sprintf("%.2f of bare: %s/s, %s of processor each", ratio, thousands(median(rates["podid"])), per("podid")),
		bound: "0.90 of bare", ok: ratio >= 0.90, beside: fmt.Sprintf("bare: %s/s, %s each", thousands(median(rates["bare"])), per("bare")),
	}
	if len(ratios["stock"]) > 0 {
		r.stock = fmt.Sprintf("%.2f of bare: %s/s; %d %% of all refused", median(ratios["stock"]), thousands(median(rates["stock"])),
			100*refusals["stock"]/max(refusals["stock"]+answers["stock"], 1))
	}
	b.row(r)
	return nil
}

// paced: 800 a second, by turns of half a second.
func (b *bench) paced(ctx context.Context, all []*contestant) error {
	const rate, turn = 800, 500 * time.Millisecond
	took := map[string]latencies{}
	for range 4 * b.rounds {
		for _, c := range all {
			l, err := open(ctx, c.lines, c.requests, rate, turn)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			took[c.name] = append(took[c.name], l...)
		}
	}
	says := func(name string) string {
		l := took[name]
		return fmt.Sprintf("p50 %s, p99 %s", ms(l.at(0.5)), ms(l.at(0.99)))
	}
	ratio := took["podid"].at(0.99).Seconds() / took["bare"].at(0.99).Seconds()
	r := row{
		what: "p99 of cached answers at 800 a second", podid: fmt.Sprintf("%.2f times bare: %s", ratio, says("podid")),
		bound: "1.20 times bare", ok: ratio <= 1.20, beside: "bare: " + says("bare"),
	}
	if took["stock"] != nil {
		r.stock = fmt.Sprintf("%.2f times bare: %s", took["stock"].at(0.99).Seconds()/took["bare"].at(0.99).Seconds(), says("stock"))
	}
	b.row(r)
	return b.plot("benchmarks-latency.svg", histogram("Cached answers at 800 a second", []series{
		{"bare net/http handler", took["bare"]}, {"podid-agent", took["podid"]}, {"eks-pod-identity-agent", took["stock"]},
	}))
}
