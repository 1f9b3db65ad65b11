// Package changes measures how long it takes until no agent hands out what a
// change has made old: many agents, as they are, against the server, as it is.
package changes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

var cluster = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}

// world is a server, and agents with their pods, in one process and over
// loopback. Tokens are not verified and roles not assumed; all else is podid's.
type world struct {
	associations *association.Service
	feed         *changes.Feed
	agents       []*node
	all          []identity.Association
	told         chan told
}

// told is that an agent has taken a change in: nothing it made old is handed out.
type told struct {
	agent int
	said  eksauth.Change
	at    time.Time
}

// node is an agent and the pods that ask it.
type node struct {
	url  string
	http *http.Client
	pods []string // tokens; each is of the association n modulo their number
}

// listened passes an agent's changes on to it, and notes when it has taken each in.
type listened struct {
	*eksauth.Client
	note func(eksauth.Change)
}

func (l listened) Listen(ctx context.Context, held []eksauth.Held, heard func(eksauth.Change)) error {
	return l.Client.Listen(ctx, held, func(c eksauth.Change) { heard(c); l.note(c) })
}

// claimed believes what a token says.
type claimed struct{}

func (claimed) Verify(_ context.Context, _, raw string) (identity.Subject, error) {
	var c struct {
		Kubernetes struct {
			Namespace      string
			Pod            struct{ Name, UID string }
			ServiceAccount struct{ Name string }
		} `json:"kubernetes.io"`
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	k := c.Kubernetes
	return identity.Subject{Namespace: k.Namespace, ServiceAccount: k.ServiceAccount.Name, PodName: k.Pod.Name, PodUID: k.Pod.UID}, err
}

func tokenOf(pod int, serviceAccount string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part(fmt.Appendf(nil, `{"aud":["pods.eks.amazonaws.com"],"exp":%d,"kubernetes.io":{"namespace":"default",`+
		`"pod":{"name":"app-%d","uid":"uid-%d"},"serviceaccount":{"name":%q}}}`, time.Now().Add(24*time.Hour).Unix(), pod, pod, serviceAccount)) + "." + part([]byte("signature"))
}

// roles assumes any, at once, and names the role in the key.
type roles struct{ made atomic.Int64 }

func (r *roles) AssumeRole(_ context.Context, _ *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	r.made.Add(1)
	return identity.Session{
		Credentials: identity.Credentials{
			AccessKeyID: "ASIA-" + hop.RoleARN[strings.LastIndexByte(hop.RoleARN, '/')+1:], SecretAccessKey: "k", SessionToken: "t", Expires: time.Now().Add(hop.Duration),
		},
		AssumedRoleARN: "arn:aws:sts::111122223333:assumed-role/r/s",
	}, nil
}
func (*roles) Check(context.Context, identity.Association) error { return nil }

type anybody struct{}

func (anybody) ARN() string                                      { return "arn:aws:iam::111122223333:user/u" }
func (anybody) AccountID() string                                { return cluster.AccountID }
func (anybody) Authorize(context.Context, identity.Access) error { return nil }

type nowhere struct{}

func (nowhere) Write(context.Context, *audit.Event) error { return nil }

type byName struct{ *association.Service }

func (n byName) Lookup(ctx context.Context, _, namespace, serviceAccount string) (identity.Association, error) {
	return n.Service.Lookup(ctx, cluster, namespace, serviceAccount)
}

// newWorld starts a server and agents, and gives every pod its credentials.
func newWorld(tb testing.TB, agents, pods, subjects int) *world {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	tb.Cleanup(func() { cancel(); running.Wait() })
	run := func(f func(context.Context) error) {
		running.Go(func() {
			if err := f(ctx); err != nil {
				tb.Error(err)
			}
		})
	}
	w := &world{told: make(chan told, 100*agents)}
	url := w.serve(tb, run)
	for n := range subjects {
		a, err := w.associations.Create(ctx, anybody{}, association.CreateInput{
			Cluster: cluster.Name, Namespace: "default", ServiceAccount: fmt.Sprint("app-", n), RoleARN: roleNamed(fmt.Sprint("first-", n)),
		})
		if err != nil {
			tb.Fatal(err)
		}
		w.all = append(w.all, a)
	}
	for n := range agents {
		w.agents = append(w.agents, w.newNode(tb, n, url, run))
	}
	// The current of each agent's stream.
	for range agents {
		select {
		case <-w.told:
		case <-time.After(time.Minute):
			tb.Fatal("not all agents listen")
		}
	}
	for pod := range pods {
		n := w.agents[pod%agents]
		n.pods = append(n.pods, tokenOf(pod, fmt.Sprint("app-", (pod/agents*7+pod%agents)%subjects)))
	}
	var asking sync.WaitGroup
	for _, some := range slices.Collect(slices.Chunk(w.agents, max(1, agents/16))) {
		asking.Go(func() {
			for _, n := range some {
				for _, token := range n.pods {
					if key, err := n.ask(token); err != nil || !strings.HasPrefix(key, "ASIA-first-") {
						tb.Errorf("%s, %v", key, err)
						return
					}
				}
				n.http.CloseIdleConnections()
			}
		})
	}
	asking.Wait()
	return w
}

func roleNamed(name string) string { return "arn:aws:iam::111122223333:role/" + name }

// serve starts the server.
func (w *world) serve(tb testing.TB, run func(func(context.Context) error)) string {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	store, err := sqlite.New(sqlite.Config{Path: tb.TempDir() + "/associations.db"})
	must(err)
	tb.Cleanup(func() { store.Close() })
	assumer := &roles{}
	chains, err := chain.New(chain.Config{Roles: assumer, Rate: 1e6})
	must(err)
	feed, err := changes.New(changes.Config{Alone: true, First: func(c changes.Change) { chains.Changed(c.AssociationID, c.Version) }})
	must(err)
	w.feed = feed
	w.associations, err = association.New(association.Config{Store: store, Roles: assumer, Clusters: []association.Cluster{{Cluster: cluster}},
		Changed: func(a identity.Association, deleted bool) {
			if deleted {
				feed.Announce(changes.Deleted(a))
				return
			}
			feed.Announce(changes.Of(a))
		}})
	must(err)
	issuer, err := issue.New(issue.Config{Verifier: claimed{}, Associations: byName{w.associations}, Chains: chains, Audit: nowhere{}})
	must(err)
	handler, err := eksauth.New(eksauth.Config{
		Issue: issuer.Issue, Cluster: func(name string) (identity.Cluster, bool) { return cluster, name == cluster.Name },
		Caller:  func(*http.Request) (identity.Caller, error) { return anybody{}, nil },
		Changes: feed, Lookup: byName{w.associations}.Lookup,
	})
	must(err)
	server, err := httpd.New(httpd.Config{Handler: handler, ShutdownTimeout: time.Second})
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	run(func(ctx context.Context) error { return server.Run(ctx, listener) })
	run(feed.Run)
	run(chains.Run)
	return "http://" + listener.Addr().String()
}

// newNode starts agent n.
func (w *world) newNode(tb testing.TB, n int, server string, run func(func(context.Context) error)) *node {
	tb.Helper()
	client, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: cluster.Name, Endpoint: server, Token: func() (identity.Secret, error) { return "e30.e30.e30", nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		Listeners: []net.Listener{listener}, Upstream: client,
		Changes: map[string]agent.Changes{"": listened{client, func(c eksauth.Change) {
			if c.Kind != eksauth.Alive {
				w.told <- told{n, c, time.Now()}
			}
		}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	run(a.Run)
	return &node{url: "http://" + listener.Addr().String() + "/v1/credentials", http: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}}
}

// ask returns the key that a pod gets, or the status of a refusal.
func (n *node) ask(token string) (string, error) {
	q, err := http.NewRequest(http.MethodGet, n.url, nil)
	if err != nil {
		return "", err
	}
	q.Header.Set("Authorization", token)
	answer, err := n.http.Do(q)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.Status, nil
	}
	var c struct{ AccessKeyId string }
	err = json.NewDecoder(answer.Body).Decode(&c)
	return c.AccessKeyId, err
}
