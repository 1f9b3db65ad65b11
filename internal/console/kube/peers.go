package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/podid/podid/internal/certificate"
	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/identity"
)

// Peers are the other replicas.
type Peers struct {
	// Addresses are HOST:PORT of the replicas' APIs; a name may have many addresses,
	// each of which is a replica.
	Addresses []string
	// Self is the name of this replica, which is found among the addresses too.
	Self string
	// Replicas tells who is one: the user's token is for nobody else.
	Replicas certificate.Peers

	mu    sync.Mutex
	names map[string]string // of replicas, by address; "" until it was heard of
	http  *http.Client
}

const (
	// maxPeers bounds the replicas asked.
	maxPeers = 20
	// peerTimeout bounds what is waited for each.
	peerTimeout = 3 * time.Second
	// maxAnswer bounds what a replica says, in bytes.
	maxAnswer = 16 << 20
)

// Ask implements console.Peers.
func (p *Peers) Ask(ctx context.Context, authorization, path string, query func(peer string) url.Values) []console.PeerAnswer {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	addresses, answers := p.resolve(ctx)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, address := range addresses {
		all.Go(func() {
			name, err := p.name(ctx, authorization, address)
			if name == p.Self {
				return
			}
			answer := console.PeerAnswer{Peer: cmp.Or(name, address), Err: err}
			if err == nil {
				asked := query(name)
				if asked == nil {
					return
				}
				answer.Body, answer.Err = p.get(ctx, authorization, address, path+"?"+asked.Encode())
			}
			if answer.Err != nil { // another replica may have come to that address
				p.forget(address)
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
		})
	}
	all.Wait()
	return answers
}

// resolve finds the addresses, and says of which names it could not.
func (p *Peers) resolve(ctx context.Context) (found []string, failed []console.PeerAnswer) {
	for _, address := range p.Addresses {
		host, port, err := net.SplitHostPort(address)
		if err == nil {
			var ips []string
			if ips, err = net.DefaultResolver.LookupHost(ctx, host); err == nil {
				for _, ip := range ips {
					found = append(found, net.JoinHostPort(ip, port))
				}
			}
		}
		if err != nil {
			failed = append(failed, console.PeerAnswer{Peer: address, Err: identity.Errorf(identity.Unavailable, "its name is not known to DNS").Because(err)})
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) > maxPeers {
		failed = append(failed, console.PeerAnswer{Peer: fmt.Sprintf("%d more", len(found)-maxPeers), Err: identity.Errorf(identity.LimitExceeded, "at most %d replicas are asked", maxPeers)})
		found = found[:maxPeers]
	}
	return found, failed
}

// name finds out which replica is at an address.
func (p *Peers) name(ctx context.Context, authorization, address string) (string, error) {
	p.mu.Lock()
	name := p.names[address]
	p.mu.Unlock()
	if name != "" {
		return name, nil
	}
	body, err := p.get(ctx, authorization, address, console.LocalPrefix+"/name")
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(body, &name); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names == nil || len(p.names) > 10*maxPeers {
		p.names = map[string]string{}
	}
	p.names[address] = name
	return name, nil
}

func (p *Peers) forget(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.names, address)
}

// get asks a replica, once it has shown that it is one.
func (p *Peers) get(ctx context.Context, authorization, address, path string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", authorization)
	answer, err := p.client().Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, identity.Errorf(identity.LimitExceeded, "its answer is too long")
	case answer.StatusCode != http.StatusOK:
		return nil, identity.Errorf(identity.Unavailable, "it answered %s", answer.Status)
	}
	return body, nil
}

func (p *Peers) client() *http.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.http == nil {
		p.http = &http.Client{
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, TLSClientConfig: p.Replicas.Client(),
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return p.http
}
