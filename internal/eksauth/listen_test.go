package eksauth_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

// replicaOf is a replica of a server with its own view of the associations,
// which the test brings up to date.
type replicaOf struct {
	feed *changes.Feed

	mu   sync.Mutex
	view map[string]identity.Association // by namespace/service account
}

func newView(t *testing.T, c changes.Config) *replicaOf {
	t.Helper()
	feed, err := changes.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &replicaOf{feed: feed, view: map[string]identity.Association{}}
}

// learns brings the view up to date with one change of the store.
func (v *replicaOf) learns(sequence uint64, a identity.Association, deleted bool) {
	v.mu.Lock()
	change := changes.Of(a)
	if v.view[a.Namespace+"/"+a.ServiceAccount] = a; deleted {
		change = changes.Deleted(a)
		delete(v.view, a.Namespace+"/"+a.ServiceAccount)
	}
	v.mu.Unlock()
	change.Sequence = sequence
	v.feed.Publish(change)
}

func (v *replicaOf) lookup(_ context.Context, _, namespace, serviceAccount string) (identity.Association, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a, ok := v.view[namespace+"/"+serviceAccount]
	if !ok {
		return a, identity.Errorf(identity.NotFound, "No pod identity association found.")
	}
	return a, nil
}

func (v *replicaOf) handler(t *testing.T) http.Handler {
	t.Helper()
	handler, err := eksauth.New(eksauth.Config{
		Issue: func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
			a, err := v.lookup(ctx, r.Cluster, "default", "app")
			if err != nil {
				return nil, err
			}
			g, _ := granted(ctx, r)
			g.Association = a
			return g, nil
		},
		Cluster: func(name string) (identity.Cluster, bool) { return cluster, name == cluster.Name },
		Caller:  func(*http.Request) (identity.Caller, error) { return caller{&service{}}, nil },
		Changes: v.feed, Lookup: v.lookup,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func (v *replicaOf) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(v.handler(t))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL
}

func appOf(role string) identity.Association {
	return identity.Association{ID: "a-abcdefghijklmnop1", Cluster: cluster, Namespace: "default", ServiceAccount: "app", RoleARN: role}
}

func agentOn(t *testing.T, endpoints ...string) *eksauth.Client {
	t.Helper()
	client, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: cluster.Name, Endpoint: endpoints[0], Replicas: endpoints[1:], Token: func() (identity.Secret, error) { return agentToken, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// ear collects what a stream says.
type ear struct {
	t     *testing.T
	said  chan eksauth.Change
	ended chan error
	stop  func()
}

func listenWith(t *testing.T, client *eksauth.Client, held ...eksauth.Held) *ear {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	e := &ear{t, make(chan eksauth.Change, 1000), make(chan error, 1), cancel}
	go func() { e.ended <- client.Listen(ctx, held, func(c eksauth.Change) { e.said <- c }) }()
	return e
}

// next returns the next line that is no mere sign of life.
func (e *ear) next() eksauth.Change {
	e.t.Helper()
	for {
		select {
		case c := <-e.said:
			if c.Kind != eksauth.Alive {
				return c
			}
		case err := <-e.ended:
			e.t.Fatalf("the stream has ended: %v", err)
		case <-time.After(10 * time.Second):
			e.t.Fatal("nothing is said")
		}
	}
}

func heldOf(a identity.Association) eksauth.Held {
	return eksauth.Held{Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, AssociationID: a.ID, Version: a.Version()}
}

// TestListen: first what of the things held is no longer so, then that the rest
// is, then each change, of this cluster alone.
func TestListen(t *testing.T) {
	v := newView(t, changes.Config{})
	same, changed, gone, anew := appOf("r1"), appOf("r1"), appOf("r1"), appOf("r1")
	changed.ServiceAccount, gone.ServiceAccount, anew.ServiceAccount = "changed", "gone", "anew"
	was := []eksauth.Held{heldOf(same), heldOf(changed), heldOf(gone), heldOf(anew)}
	changed.RoleARN, anew.ID = "r2", "a-abcdefghijklmnop2"
	v.learns(1, same, false)
	v.learns(2, changed, false)
	v.learns(3, anew, false)

	e := listenWith(t, agentOn(t, v.start(t)), was...)
	for _, want := range []eksauth.Change{
		{Kind: eksauth.Changed, Sequence: 3, Namespace: "default", ServiceAccount: "changed", AssociationID: changed.ID, Version: changed.Version()},
		{Kind: eksauth.Changed, Sequence: 3, Namespace: "default", ServiceAccount: "gone", AssociationID: gone.ID},
		{Kind: eksauth.Changed, Sequence: 3, Namespace: "default", ServiceAccount: "anew", AssociationID: anew.ID, Version: anew.Version()},
		{Kind: eksauth.Current, Sequence: 3},
	} {
		if got := e.next(); got != want {
			t.Errorf("said %+v, want %+v", got, want)
		}
	}
	elsewhere := same
	elsewhere.Cluster.Name = "other-cluster"
	v.learns(4, elsewhere, false)
	v.learns(5, same, true)
	if got := e.next(); got != (eksauth.Change{Kind: eksauth.Changed, Sequence: 5, Namespace: "default", ServiceAccount: "app", AssociationID: same.ID}) {
		t.Errorf("said %+v", got)
	}
	e.stop()
	if err := <-e.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// TestAReplicaThatIsBehind has nothing to say to an agent that has heard more
// from another one, neither of changes nor of credentials.
func TestAReplicaThatIsBehind(t *testing.T) {
	ahead, behind := newView(t, changes.Config{}), newView(t, changes.Config{})
	ahead.learns(1, appOf("r1"), false)
	behind.learns(1, appOf("r1"), false)
	ahead.learns(2, appOf("r2"), false)
	aheadURL, behindURL := ahead.start(t), behind.start(t)

	knows := func() *eksauth.Client { // that there is a sequence 2
		client := agentOn(t, aheadURL, behindURL)
		for range 20 {
			if g, err := client.AssumeRoleForPodIdentity(t.Context(), token); err == nil && g.Sequence == 2 {
				return client
			}
			client = agentOn(t, aheadURL, behindURL) // this one begins with the other replica
		}
		t.Fatal("no client begins with the replica that is ahead")
		return nil
	}
	for range 3 {
		g, err := knows().AssumeRoleForPodIdentity(t.Context(), token)
		if err != nil || g.Sequence != 2 || g.Version != appOf("r2").Version() {
			t.Errorf("got %+v, %v; want what holds at sequence 2", g, err)
		}
	}
	e := listenWith(t, knows(), heldOf(appOf("r1")))
	if got := e.next(); got.Kind != eksauth.Changed || got.Version != appOf("r2").Version() {
		t.Errorf("said %+v", got)
	}

	// What it waits for comes.
	only := agentOn(t, behindURL)
	for _, body := range []string{`{"since":2,"held":[]}`} {
		time.AfterFunc(300*time.Millisecond, func() { behind.learns(2, appOf("r2"), false) })
		answer, err := http.Post(behindURL+"/clusters/example-cluster/changes", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(answer.Body).ReadString('\n')
		answer.Body.Close()
		if err != nil || line != `{"type":"current","sequence":2}`+"\n" {
			t.Errorf("said %q, %v", line, err)
		}
	}
	if g, err := only.AssumeRoleForPodIdentity(t.Context(), token); err != nil || g.Sequence != 2 {
		t.Errorf("got %+v, %v", g, err)
	}
	// And what does not come is refused in the words that make agents turn elsewhere.
	answer, err := http.Post(behindURL+"/clusters/example-cluster/changes", "application/json", strings.NewReader(`{"since":3,"held":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("X-Amzn-Errortype") != "ReplicaBehindException" {
		t.Errorf("%s, %s", answer.Status, answer.Header.Get("X-Amzn-Errortype"))
	}
}

// TestAnotherStore: a server that has begun anew is believed.
func TestAnotherStore(t *testing.T) {
	v := newView(t, changes.Config{Begin: 1000, Alone: true})
	v.learns(1001, appOf("r1"), false)
	var mu sync.Mutex
	handler := v.handler(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handler
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	client := agentOn(t, server.URL)
	if g, err := client.AssumeRoleForPodIdentity(t.Context(), token); err != nil || g.Sequence != 1001 {
		t.Fatalf("%+v, %v", g, err)
	}
	again := newView(t, changes.Config{Begin: 5, Alone: true})
	again.learns(6, appOf("r2"), false)
	mu.Lock()
	handler = again.handler(t)
	mu.Unlock()
	for range 2 { // the second call knows the new count
		if g, err := client.AssumeRoleForPodIdentity(t.Context(), token); err != nil || g.Sequence != 6 || g.Version != appOf("r2").Version() {
			t.Errorf("%+v, %v", g, err)
		}
	}
	e := listenWith(t, client, heldOf(appOf("r2")))
	if got := e.next(); got != (eksauth.Change{Kind: eksauth.Current, Sequence: 6}) {
		t.Errorf("said %+v", got)
	}
}

func TestListenIsRefused(t *testing.T) {
	v := newView(t, changes.Config{MaxListeners: 1})
	url := v.start(t)
	listenWith(t, agentOn(t, url)).next()
	for name, c := range map[string]struct {
		path, body string
		header     string
		status     int
		exception  string
	}{
		"too many listeners": {"/clusters/example-cluster/changes", `{}`, "", 503, "ServiceUnavailableException"},
		"another cluster":    {"/clusters/nobodys/changes", `{}`, "", 404, "ResourceNotFoundException"},
		"no list":            {"/clusters/example-cluster/changes", `{"held":"all"}`, "", 400, "InvalidParameterException"},
		"too long a list":    {"/clusters/example-cluster/changes", `{"held":[` + strings.Repeat(`{},`, eksauth.MaxHeld) + `{}]}`, "", 400, "InvalidParameterException"},
		"no number":          {"/clusters/example-cluster/assume-role-for-pod-identity", `{"token":"` + token + `"}`, "soon", 400, "InvalidParameterException"},
	} {
		q, err := http.NewRequest("POST", url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set(eksauth.SequenceHeader, c.header)
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.status || answer.Header.Get("X-Amzn-Errortype") != c.exception {
			t.Errorf("%s: %s %s", name, answer.Status, answer.Header.Get("X-Amzn-Errortype"))
		}
	}
	without := &service{issue: granted}
	if err := ours(t, without.start(t), nodeKey).Listen(t.Context(), nil, func(eksauth.Change) {}); !errors.Is(err, eksauth.ErrNoChanges) {
		t.Errorf("a server without the door: %v", err)
	}
}

// TestStreamsThatAreNone: whatever comes in their place ends the listening.
func TestStreamsThatAreNone(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": "", "not JSON": "<html>\n", "a line without end": strings.Repeat(" ", 8<<10), "half a line": `{"type":"curr`,
	} {
		err := agentOn(t, answering(t, 200, nil, body)).Listen(t.Context(), nil, func(c eksauth.Change) { t.Errorf("%s: said %+v", name, c) })
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// line is a stream without a network, so that a test's clock can run ahead.
type line struct {
	lines *bufio.Reader
	conn  net.Conn
}

// connect runs a server in a synctest bubble and listens to it.
func connect(t *testing.T, v *replicaOf) (*line, func()) {
	t.Helper()
	listener := &onePipe{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	server, err := httpd.New(httpd.Config{Handler: v.handler(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx, listener) }()
	go func() { ended <- v.feed.Run(ctx) }()
	here, there := net.Pipe()
	listener.conns <- there
	fmt.Fprintf(here, "POST /clusters/example-cluster/changes HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	return &line{nil, here}, func() {
		began := time.Now()
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the server took %v to end", took)
		}
		here.Close()
		synctest.Wait()
	}
}

// next reads a line.
func (l *line) next(t *testing.T) (map[string]any, error) {
	t.Helper()
	if l.lines == nil {
		answer, err := http.ReadResponse(bufio.NewReader(l.conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		l.lines = bufio.NewReader(answer.Body)
	}
	text, err := l.lines.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var said map[string]any
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatal(err)
	}
	return said, nil
}

type onePipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *onePipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *onePipe) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *onePipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// TestAStreamLives longer than requests may, says that it does, and ends after
// ten minutes, so that its agent chooses anew.
func TestAStreamLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, changes.Config{Begin: 7})
		l, stop := connect(t, v)
		defer stop()
		began, last := time.Now(), time.Now()
		for n := 0; ; n++ {
			said, err := l.next(t)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || said["sequence"] != 7.0 || n == 0 && said["type"] != "current" || n > 0 && said["type"] != "alive" {
				t.Fatalf("line %d: %v, %v", n, said, err)
			}
			if silent := time.Since(last); silent > 6*time.Second {
				t.Errorf("silent for %v", silent)
			}
			last = time.Now()
		}
		if lived := time.Since(began); lived < 10*time.Minute || lived > 15*time.Minute {
			t.Errorf("ended after %v", lived)
		}
	})
}

// TestASlowReaderIsCutOff: it holds up nothing, and nothing of it stays.
func TestASlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, changes.Config{})
		l, stop := connect(t, v)
		defer stop()
		if said, err := l.next(t); err != nil || said["type"] != "current" {
			t.Fatalf("%v, %v", said, err)
		}
		began := time.Now()
		v.learns(1, appOf("r1"), false)
		if took := time.Since(began); took > 0 {
			t.Errorf("a change waited %v for a reader", took)
		}
		time.Sleep(11 * time.Second) // nothing is read meanwhile
		synctest.Wait()
		if s := v.feed.Stats(); s.Listeners != 0 {
			t.Errorf("%d listen", s.Listeners)
		}
	})
}

// TestTheServerEnds: streams end at once with it, and hold nothing up.
func TestTheServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stop := connect(t, newView(t, changes.Config{}))
		if _, err := l.next(t); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, l.conn)
		stop()
	})
}

// FuzzChange holds that no line breaks the client, and that only a line which
// says so drops credentials or proves them.
func FuzzChange(f *testing.F) {
	f.Add(`{"type":"changed","sequence":5,"namespace":"n","serviceAccount":"s","associationId":"a-1","version":"v"}`)
	f.Add(`{"type":"current","sequence":18446744073709551615}`)
	f.Add(`{"type":"alive","sequence":-1}`)
	f.Add(`{"type":null}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, line string) {
		c, err := eksauth.ReadChangeForTest([]byte(line))
		if err == nil && !json.Valid([]byte(line)) {
			t.Errorf("%q was read as %+v", line, c)
		}
		if c.Kind == eksauth.Alive && c != (eksauth.Change{Sequence: c.Sequence}) {
			t.Errorf("a sign of life says %+v", c)
		}
		if c.Kind != eksauth.Alive && !strings.Contains(line, "changed") && !strings.Contains(line, "current") && !strings.Contains(line, "\\u") {
			t.Errorf("%q was read as %+v", line, c)
		}
	})
}
