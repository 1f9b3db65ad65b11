package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/issuer"
)

func examplePod(n int) identity.Subject {
	return identity.Subject{
		Namespace: "default", ServiceAccount: "app", NodeName: "node-1",
		PodName: fmt.Sprintf("app-%d", n), PodUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n),
	}
}

// standIn is STS with a latency of its own. No sleep ends on time, so it counts
// how long it has slept in all.
type standIn struct {
	*httptest.Server
	slept atomic.Int64 // nanoseconds
}

func newStandIn(latency time.Duration) *standIn {
	s := &standIn{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role := r.FormValue("RoleArn")
		began := time.Now()
		time.Sleep(latency)
		s.slept.Add(int64(time.Since(began)))
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
			<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:s</AssumedRoleId><Arn>%s/s</Arn></AssumedRoleUser>
			<Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey>
			<SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			strings.NewReplacer(":iam:", ":sts:", ":role/", ":assumed-role/").Replace(role), sessionToken, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	return s
}

// cluster mints the tokens of pods and of the agent.
type cluster struct {
	issuer *issuer.Issuer
	agent  string
	next   int
}

func newCluster() (*cluster, error) {
	i, err := issuer.New(issuer.Config{URL: issuerURL})
	if err != nil {
		return nil, err
	}
	agent, err := i.Mint(issuer.Request{
		Namespace: "podid-agent", ServiceAccount: "podid-agent", PodName: "podid-agent-x", NodeName: "node-1", Audiences: []string{agentAudience},
	})
	return &cluster{issuer: i, agent: agent}, err
}

// pod returns the token of a new pod.
func (c *cluster) pod() (string, error) {
	c.next++
	p := examplePod(c.next)
	return c.issuer.Mint(issuer.Request{Namespace: p.Namespace, ServiceAccount: p.ServiceAccount, PodName: p.PodName, PodUID: p.PodUID, NodeName: p.NodeName})
}

func (c *cluster) post(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: podid.podid.svc\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, c.agent, len(body), body)
}

func (c *cluster) ask(token string) []byte {
	return c.post("/clusters/example-cluster/assume-role-for-pod-identity", `{"token":"`+token+`"}`)
}

// stand-in servers have certificates that nobody signed.
var anyCertificate = &tls.Config{InsecureSkipVerify: true}

// server measures the server's path, the agent's token and the pod's verified.
func (b *bench) server(ctx context.Context) error {
	c, err := newCluster()
	if err != nil {
		return err
	}
	if err := b.chains(ctx, c); err != nil {
		return err
	}
	return b.issues(ctx, c)
}

// chains: one pod after another, each over two hops of STS.
func (b *bench) chains(ctx context.Context, c *cluster) error {
	const latency, pods = 20 * time.Millisecond, 100
	sts := newStandIn(latency)
	defer sts.Close()
	p, err := startSelf("server", bytes.NewReader(c.issuer.JWKS()), sts.URL)
	if err != nil {
		return err
	}
	defer p.stop()
	l, err := dial(p.address, anyCertificate, podAddress(0))
	if err != nil {
		return err
	}
	defer l.conn.Close()
	direct, err := dial(strings.TrimPrefix(sts.URL, "http://"), nil, podAddress(0))
	if err != nil {
		return err
	}
	defer direct.conn.Close()
	hop := []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	// What STS takes does not count.
	timed := func(l *line, request []byte) (time.Duration, error) {
		began, slept := time.Now(), sts.slept.Load()
		status, err := l.ask(request)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return time.Since(began) - time.Duration(sts.slept.Load()-slept), err
	}
	var cold, warm, floor latencies
	for range pods {
		token, err := c.pod()
		if err != nil {
			return err
		}
		took, err := timed(l, c.ask(token))
		if err != nil {
			return err
		}
		cold = append(cold, took)
		first, err1 := timed(direct, hop)
		second, err2 := timed(direct, hop)
		if err1 != nil || err2 != nil {
			return errors.Join(err1, err2)
		}
		floor = append(floor, first+second)
		if token, err = c.pod(); err != nil {
			return err
		}
		if _, err = timed(l, c.post("/prewarm", token)); err != nil {
			return err
		}
		if took, err = timed(l, c.ask(token)); err != nil {
			return err
		}
		warm = append(warm, took)
	}
	b.row(row{what: "server: cold chain, two hops, STS 20 ms", podid: fmt.Sprintf("2L + %s at p50 (p99 2L + %s)", ms(cold.at(0.5)), ms(cold.at(0.99))), bound: "2L + 2 ms",
		ok: cold.at(0.5) <= 2*time.Millisecond, busy: floor.at(0.5) > time.Millisecond, beside: fmt.Sprintf("two calls straight to STS: 2L + %s", ms(floor.at(0.5)))})
	b.row(row{what: "server: prewarmed chain", podid: fmt.Sprintf("p50 %s, p99 %s", ms(warm.at(0.5)), ms(warm.at(0.99))), bound: "3 ms", ok: warm.at(0.5) < 3*time.Millisecond})
	return nil
}

// issues: chains from memory, as many as the server can, by one and more replicas.
func (b *bench) issues(ctx context.Context, c *cluster) error {
	const pods, lines, processors, bound = 1000, 32, 2, 10_000
	sts := newStandIn(0)
	defer sts.Close()
	var requests [][]byte
	for range pods {
		token, err := c.pod()
		if err != nil {
			return err
		}
		requests = append(requests, c.ask(token))
	}
	var each []time.Duration
	var rate float64
	for replicas := 1; replicas <= 4; replicas *= 2 {
		answered, work, took, err := b.saturateReplicas(c, sts.URL, requests, replicas, lines)
		if err != nil {
			return err
		}
		each = append(each, work/time.Duration(max(answered, 1)))
		if replicas == 1 {
			rate = float64(answered) / took.Seconds()
		}
	}
	able := processors / each[0].Seconds()
	b.row(row{what: "server: issues a second from memory, tokens verified, on 2 processors", bound: thousands(bound), ok: able >= bound,
		podid:  fmt.Sprintf("%s/s: %s of processor each", thousands(able), micros(each[0])),
		beside: fmt.Sprintf("%s/s while the load was made on the same processors; each of 2 replicas %s, of 4 %s", thousands(rate), micros(each[1]), micros(each[2]))})
	return nil
}

func (b *bench) saturateReplicas(c *cluster, sts string, requests [][]byte, replicas, lines int) (answered int64, work, took time.Duration, err error) {
	var all []*process
	var to []*line
	defer func() {
		hangUp(to)
		for _, p := range all {
			p.stop()
		}
	}()
	for range replicas {
		p, err := startSelf("server", bytes.NewReader(c.issuer.JWKS()), sts)
		if err != nil {
			return 0, 0, 0, err
		}
		all = append(all, p)
		more, err := dialAll(p.address, anyCertificate, lines/replicas)
		if err != nil {
			return 0, 0, 0, err
		}
		to = append(to, more...)
		for _, r := range requests {
			if status, err := more[0].ask(r); err != nil || status != http.StatusOK {
				return 0, 0, 0, errors.Join(fmt.Errorf("status %d", status), err)
			}
		}
	}
	spent := func() (total time.Duration, err error) {
		for _, p := range all {
			d, err := p.processor()
			if err != nil {
				return 0, err
			}
			total += d
		}
		return total, nil
	}
	before, err := spent()
	if err != nil {
		return 0, 0, 0, err
	}
	took = time.Duration(b.rounds) * time.Second / 2
	answered, refused, err := saturate(to, requests, took)
	if err == nil && refused > 0 {
		err = fmt.Errorf("%d refused", refused)
	}
	if err != nil {
		return 0, 0, 0, err
	}
	after, err := spent()
	return answered, after - before, took, err
}
