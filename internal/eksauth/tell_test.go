package eksauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

// TestTell: the replica whose changes are heard is told, and passes it on with
// the node that the agent proved.
func TestTell(t *testing.T) {
	told := map[string]eksauth.AgentStatus{}
	handler := func(caller identity.Caller, door bool) http.Handler {
		v := newView(t, changes.Config{})
		c := eksauth.Config{
			Issue:   func(ctx context.Context, r issue.Request) (*issue.Grant, error) { return granted(ctx, r) },
			Cluster: func(name string) (identity.Cluster, bool) { return cluster, name == cluster.Name },
			Caller:  func(*http.Request) (identity.Caller, error) { return caller, nil },
			Changes: v.feed, Lookup: v.lookup,
		}
		if door {
			c.Told = func(node string, s eksauth.AgentStatus) { told[node] = s }
		}
		h, err := eksauth.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	status := eksauth.AgentStatus{Version: "v1", Pods: 1, Entries: 2, Hits: 3, Misses: 4, Stale: 5}
	tell := func(h http.Handler) error {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		t.Cleanup(server.CloseClientConnections)
		client := agentOn(t, server.URL)
		if err := client.Tell(t.Context(), status); err == nil {
			t.Error("it was told before its changes were heard")
		}
		if e := listenWith(t, client); e.next().Kind != eksauth.Current {
			t.Fatal("nothing is heard")
		}
		return client.Tell(t.Context(), status)
	}
	node := agentOf{caller{&service{}}, "node-1"}
	if err := tell(handler(node, true)); err != nil || told["node-1"] != status {
		t.Errorf("%v, told %+v", err, told)
	}
	clear(told)
	if err := tell(handler(caller{&service{}}, true)); err != nil || len(told) != 0 {
		t.Errorf("of no node: %v, told %+v", err, told)
	}
	if err := tell(handler(node, false)); err == nil {
		t.Error("a server that has no such door was told")
	}
	for name, body := range map[string]string{
		"a long version": `{"version":"` + strings.Repeat("v", 101) + `"}`, "a negative number": `{"pods":-1}`, "a text": `{"hits":"many"}`, "no JSON": `{`,
	} {
		w := httptest.NewRecorder()
		handler(node, true).ServeHTTP(w, httptest.NewRequest("POST", "/clusters/"+cluster.Name+"/agent", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest || len(told) != 0 {
			t.Errorf("%s: %d %s, told %+v", name, w.Code, w.Body, told)
		}
	}
}
