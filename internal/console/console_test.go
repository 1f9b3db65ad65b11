package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
)

var cluster = identity.Cluster{Name: "prod", Region: "eu-central-1", AccountID: "111122223333"}

// somebody is a user of tests, who may what the fields say.
type somebody struct {
	scope, activity Scope
	may             May
	refuse          error // of every change, also when it is only tried
	index           *Index

	mu    sync.Mutex
	asked []string
}

func (*somebody) Name() string                               { return "alice" }
func (*somebody) Groups() []string                           { return []string{"people"} }
func (*somebody) ARN() string                                { return "arn:aws:iam::111122223333:user/alice" }
func (s *somebody) Scope(context.Context) (Scope, error)     { return s.scope, nil }
func (s *somebody) May(context.Context, string) (May, error) { return s.may, nil }
func (s *somebody) Activity(context.Context) (Scope, error) {
	if !s.activity.All && len(s.activity.Namespaces) == 0 {
		return Scope{}, identity.Errorf(identity.AccessDenied, "no")
	}
	return s.activity, nil
}

func (s *somebody) note(what string, dryRun bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dryRun {
		what += " dry"
	}
	s.asked = append(s.asked, what)
	return s.refuse
}

func (s *somebody) Create(_ context.Context, a identity.Association, dryRun bool) (Saved, error) {
	if err := s.note("create", dryRun); err != nil || dryRun {
		return Saved{Association: a, Warnings: []string{"mind the step"}}, err
	}
	a.ID = "a-new"
	s.index.Put(Record{Association: a, State: Unknown})
	return Saved{Association: a}, nil
}

func (s *somebody) Update(_ context.Context, _ Record, a identity.Association, dryRun bool) (Saved, error) {
	if err := s.note("update", dryRun); err != nil || dryRun {
		return Saved{Association: a}, err
	}
	s.index.Put(Record{Association: a, State: Unknown})
	return Saved{Association: a}, nil
}

func (s *somebody) Delete(_ context.Context, r Record, dryRun bool) error {
	if err := s.note("delete", dryRun); err != nil || dryRun {
		return err
	}
	s.index.Remove(r.ID)
	return nil
}

// replica is a Source of tests.
type replica struct {
	name string
	ring *audit.Ring
}

func (r *replica) Name() string                             { return r.name }
func (r *replica) Events(q audit.Query) (audit.Page, error) { return r.ring.Query(q) }
func (r *replica) Health(context.Context) LocalHealth {
	return LocalHealth{Replica: Replica{Name: r.name, Ready: true}}
}

// fixture is a console of tests.
type fixture struct {
	*Console
	t    *testing.T
	user *somebody
	ring *audit.Ring
}

func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, ring: audit.NewRing(1000)}
	index := new(Index)
	f.user = &somebody{index: index, scope: Scope{All: true}, activity: Scope{All: true}, may: May{Create: true, Update: true, Delete: true, Activity: true, Health: true, Explain: true}}
	c := Config{
		Mode: Kubernetes, Clusters: []identity.Cluster{cluster}, Version: "v1", Index: index, User: func(*http.Request) (User, error) { return f.user, nil },
		Audit: association.Auditor{Sink: f.ring}, Local: &replica{"one", f.ring},
		Explain: func(_ context.Context, q explain.Question) (*explain.Report, error) {
			return &explain.Report{Verdict: explain.Refused, Steps: []explain.Step{{Name: explain.StepHop1, Verdict: explain.Allowed}, {Name: explain.StepHop2, Verdict: explain.Refused}}}, nil
		},
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if f.Console, err = New(c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop/web", "shop/worker", "bank/vault"} {
		f.user.index.Put(record(name))
	}
	return f
}

func record(name string) Record {
	namespace, account, _ := strings.Cut(name, "/")
	return Record{State: Working, Association: identity.Association{
		ID: "a-" + namespace + account, Cluster: cluster, Namespace: namespace, ServiceAccount: account,
		RoleARN: "arn:aws:iam::111122223333:role/" + namespace + "-pods", TargetRoleARN: "arn:aws:iam::444455556666:role/data-of-" + account,
		Tags: map[string]string{"team": namespace}, CreatedAt: time.Date(2026, 1, len(name), 0, 0, 0, 0, time.UTC),
	}}
}

// do asks, with what a page of the console sends.
func (f *fixture) do(method, path string, body any, change ...func(*http.Request)) *httptest.ResponseRecorder {
	f.t.Helper()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			f.t.Fatal(err)
		}
	}
	r := httptest.NewRequestWithContext(f.t.Context(), method, Prefix+path, &text)
	r.Header.Set(ChangeHeader, "1")
	r.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// get reads an answer, which has to be good.
func get[T any](f *fixture, path string) (out T) {
	f.t.Helper()
	w := f.do("GET", path, nil)
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
		f.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return out
}

func namesOf(p AssociationPage) string {
	var names []string
	for _, a := range p.Items {
		names = append(names, a.Namespace+"/"+a.ServiceAccount)
	}
	return strings.Join(names, " ")
}

func TestList(t *testing.T) {
	f := newFixture(t)
	f.user.index.Update("a-bankvault", record("bank/vault").Version(), func(r *Record) { r.State = Failing })
	for query, want := range map[string]string{
		"":                   "bank/vault shop/web shop/worker",
		"?sort=-namespace":   "shop/worker shop/web bank/vault",
		"?sort=created":      "shop/web bank/vault shop/worker",
		"?sort=state":        "bank/vault shop/web shop/worker",
		"?pageSize=2&page=2": "shop/worker",
		"?page=9":            "",
		"?namespace=shop":    "shop/web shop/worker",
		"?namespace=shop&namespace=bank&serviceAccount=vault": "bank/vault",
		"?role=arn:aws:iam::444455556666:role/data-of-web":    "shop/web",
		"?account=444455556666&state=failing":                 "bank/vault",
		"?tag=team=bank":                                      "bank/vault",
		"?tag=team":                                           "bank/vault shop/web shop/worker",
		"?q=SHOP+data-of-work":                                "shop/worker",
		"?q=nothing":                                          "",
		"?cluster=other":                                      "",
	} {
		if got := namesOf(get[AssociationPage](f, "/associations"+query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	f.user.scope = Scope{Namespaces: map[string]bool{"shop": true}}
	if got := get[AssociationPage](f, "/associations"); namesOf(got) != "shop/web shop/worker" || got.Total != 2 {
		t.Errorf("what is in another namespace is shown: %+v", got)
	}
	if got := get[Facets](f, "/facets?field=account"); len(got.Items) != 2 || got.Items[0].Count != 2 {
		t.Errorf("%+v", got)
	}
	if w := f.do("GET", "/associations/a-bankvault", nil); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestIndexOrder: an order that is kept is the one that would be made anew.
func TestIndexOrder(t *testing.T) {
	x := new(Index)
	for key := range sorts {
		x.order(key)
	}
	for i := range 500 {
		r := record(fmt.Sprintf("ns-%d/sa-%d", i%7, i%50))
		r.ID, r.State, r.RoleARN = fmt.Sprint("a-", i%97), State(fmt.Sprint(i%3)), fmt.Sprint("arn:aws:iam::111122223333:role/", i%11)
		x.Put(r)
		if i%5 == 0 {
			x.Remove(fmt.Sprint("a-", i%13))
		}
	}
	for key, kept := range x.orders {
		if len(kept) != len(x.byID) || !slices.IsSortedFunc(kept, sorts[key]) {
			t.Errorf("%s has %d of %d entries, or is out of order", key, len(kept), len(x.byID))
		}
	}
	count := 0
	for _, n := range x.namespaces {
		count += n
	}
	if count != len(x.byID) || len(x.bySubject) != len(x.byID) {
		t.Errorf("%d by namespace, %d by service account, of %d", count, len(x.bySubject), len(x.byID))
	}
}

func input() AssociationInput {
	return AssociationInput{Namespace: "shop", ServiceAccount: "new", RoleARN: "arn:aws:iam::111122223333:role/r", TargetRoleARN: "arn:aws:iam::444455556666:role/t"}
}

func (f *fixture) audited() string {
	f.t.Helper()
	var out []string
	for _, e := range f.ring.Events() {
		if e.EventSource != audit.SourceConsole || e.CallerUser != "alice" || e.RequestID == "" || e.ClusterName != "prod" {
			f.t.Errorf("%+v", e)
		}
		out = append(out, string(e.Outcome)+" "+e.EventName)
	}
	return strings.Join(out, ", ")
}

func TestChanges(t *testing.T) {
	t.Run("allowed", func(t *testing.T) {
		f := newFixture(t)
		w := f.do("POST", "/associations", input())
		var made Association
		if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != http.StatusCreated || made.ID != "a-new" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		in := input()
		in.Version, in.Tags = made.Version, map[string]string{"a": "b"}
		if w := f.do("PUT", "/associations/a-new", in); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := f.do("PUT", "/associations/a-new", in); w.Code != http.StatusConflict {
			t.Errorf("an edit of what was: %d %s", w.Code, w.Body)
		}
		if w := f.do("DELETE", "/associations/a-new?version="+made.Version, nil); w.Code != http.StatusConflict {
			t.Errorf("a deletion of what was: %d %s", w.Code, w.Body)
		}
		if w := f.do("DELETE", "/associations/a-new", nil); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if got := f.audited(); got != "admitted CreatePodIdentityAssociation, admitted UpdatePodIdentityAssociation, admitted DeletePodIdentityAssociation" {
			t.Error(got)
		}
		if got := strings.Join(f.user.asked, ","); got != "create dry,create,update dry,update,delete dry,delete" {
			t.Error(got)
		}
	})
	t.Run("refused by whoever judges the user", func(t *testing.T) {
		f := newFixture(t)
		f.user.refuse = identity.Errorf(identity.AccessDenied, "you may not")
		if w := f.do("POST", "/associations", input()); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "you may not") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if got := f.audited() + " " + strings.Join(f.user.asked, ","); got != "refused CreatePodIdentityAssociation create dry" {
			t.Error(got)
		}
	})
	t.Run("against the rules", func(t *testing.T) {
		f := newFixture(t)
		in := input()
		in.RoleARN = "arn:aws:iam::999999999999:role/r"
		w := f.do("POST", "/associations", in)
		var e ErrorReply
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusBadRequest || e.Error.Code != "InvalidParameter" || e.Error.Field != "roleArn" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if len(f.user.asked) > 0 {
			t.Errorf("asked for %v", f.user.asked)
		}
	})
	t.Run("cannot be audited", func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.Audit.Sink = full{} })
		if w := f.do("POST", "/associations", input()); w.Code != http.StatusServiceUnavailable || slices.Contains(f.user.asked, "create") {
			t.Errorf("%d %s, asked for %v", w.Code, w.Body, f.user.asked)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.ReadOnly = true })
		for method, path := range map[string]string{"POST": "/associations", "PUT": "/associations/a-shopweb", "DELETE": "/associations/a-shopweb"} {
			if w := f.do(method, path, input()); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"ReadOnly"`) {
				t.Errorf("%s: %d %s", method, w.Code, w.Body)
			}
		}
		if len(f.user.asked) > 0 {
			t.Errorf("asked for %v", f.user.asked)
		}
		if s := get[Session](f, "/session"); !s.ReadOnly || s.May.Create || s.May.Update || s.May.Delete || !s.May.Activity {
			t.Errorf("%+v", s)
		}
	})
}

// full is a sink that keeps nothing.
type full struct{}

func (full) Write(context.Context, *audit.Event) error { return errors.New("the disk is full") }

func TestPreview(t *testing.T) {
	f := newFixture(t)
	ask := func(in PreviewInput) (p Preview) {
		t.Helper()
		w := f.do("POST", "/preview", in)
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return p
	}
	p := ask(PreviewInput{Association: input()})
	if !p.Valid || len(p.Warnings) != 1 || p.Explanation.Report.Verdict != explain.Refused || p.Explanation.Chain.Arrows[1].Verdict != explain.Refused {
		t.Errorf("%+v", p)
	}
	if f := p.Policies.Forms; len(f) != 2 || !f[0].Recommended || len(f[0].Policies) != 3 || f[1].Form != "external-id" ||
		!strings.Contains(f[0].Terraform, "aws_iam_role") || !strings.Contains(f[1].Commands, "--profile 444455556666") || f[0].CommandsExisting == f[0].Commands {
		t.Errorf("%+v", f)
	}
	bad := input()
	bad.TargetRoleARN = "nonsense"
	if p := ask(PreviewInput{Association: bad}); p.Valid || len(p.Problems) != 1 || p.Problems[0].Field != "targetRoleArn" || p.Explanation != nil || p.Policies != nil {
		t.Errorf("%+v", p)
	}
	// Whatever it is refused for, the policies of a role that may not be theirs are
	// not shown. An association that is there is found out after that was judged.
	for kind, shown := range map[identity.Kind]bool{
		identity.AccessDenied: false, identity.InvalidParameter: false, identity.Unavailable: false, identity.NotFound: false, identity.InUse: true,
	} {
		f.user.refuse = identity.Errorf(kind, "you may not")
		if p := ask(PreviewInput{Association: input()}); p.Valid || len(p.Problems) != 1 || (p.Explanation.Report != nil) != shown || (p.Explanation.Unavailable == "") != shown {
			t.Errorf("%v: %+v", kind, p)
		}
	}
	unknown := newFixture(t, func(c *Config) { c.FirstHopUnknown = true })
	if w := unknown.do("POST", "/preview", PreviewInput{Association: input()}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "aws.identityARN") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if slices.Contains(f.user.asked, "create") {
		t.Errorf("a preview has changed something: %v", f.user.asked)
	}
}

// TestErrors: every refusal is JSON of one shape, and nothing internal is told.
func TestErrors(t *testing.T) {
	f := newFixture(t)
	without := func(header string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(header) } }
	long := func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(`{"policy":"` + strings.Repeat("x", maxBody) + `"}`))
	}
	for name, c := range map[string]struct {
		method, path string
		body         any
		change       func(*http.Request)
		status       int
		code         string
	}{
		"no such path":            {"GET", "/nothing", nil, nil, 404, "NotFound"},
		"no such method":          {"PATCH", "/associations", nil, nil, 404, "NotFound"},
		"no such association":     {"GET", "/associations/a-1", nil, nil, 404, "NotFound"},
		"no such parameter":       {"GET", "/associations?colour=red", nil, nil, 400, "InvalidParameter"},
		"an order that is none":   {"GET", "/associations?sort=beauty", nil, nil, 400, "InvalidParameter"},
		"too large a page":        {"GET", "/associations?pageSize=100000", nil, nil, 400, "InvalidParameter"},
		"too many values":         {"GET", "/associations?namespace=" + strings.Repeat("a&namespace=", 30) + "b", nil, nil, 400, "InvalidParameter"},
		"a query too long":        {"GET", "/associations?q=" + strings.Repeat("a", maxQuery), nil, nil, 400, "InvalidParameter"},
		"a cursor that is none":   {"GET", "/activity?before=xyz", nil, nil, 400, "InvalidParameter"},
		"no header":               {"POST", "/associations", input(), without(ChangeHeader), 400, "InvalidRequest"},
		"no header, deleting":     {"DELETE", "/associations/a-shopweb", nil, without(ChangeHeader), 400, "InvalidRequest"},
		"a form":                  {"POST", "/associations", input(), without("Content-Type"), 400, "InvalidRequest"},
		"not JSON":                {"POST", "/associations", "text", nil, 400, "InvalidRequest"},
		"an unknown member":       {"POST", "/associations", map[string]int{"x": 1}, nil, 400, "InvalidRequest"},
		"a body too long":         {"POST", "/associations", nil, long, 400, "InvalidRequest"},
		"another cluster":         {"POST", "/associations", AssociationInput{Cluster: "x"}, nil, 400, "InvalidParameter"},
		"another service account": {"PUT", "/associations/a-shopweb", input(), nil, 400, "InvalidParameter"},
	} {
		change := c.change
		if change == nil {
			change = func(*http.Request) {}
		}
		w := f.do(c.method, c.path, c.body, change)
		var e ErrorReply
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != c.status || e.Error.Code != c.code || e.Error.Message == "" || e.Error.RequestID == "" {
			t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, c.status, c.code)
		}
	}
	f.user.refuse = errors.New("dial tcp 10.0.0.1: secret")
	if w := f.do("POST", "/associations", input()); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(f.user.index.byID) != 3 {
		t.Error("something was changed")
	}
}

// TestBrowsers: what protects a user from other pages.
func TestBrowsers(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*http.Request){
		"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		if w := f.do("POST", "/associations", input(), change); w.Code != http.StatusForbidden || len(f.user.asked) > 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, path := range []string{Path, Path + "associations/a-1", Prefix + "/session", Prefix + "/nothing"} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		h := w.Header()
		policy := h.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s: no %s in %s", path, directive, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
		if strings.HasPrefix(path, Prefix) && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be stored: %v", path, h)
		}
	}
}

func TestPage(t *testing.T) {
	f := newFixture(t)
	ask := func(path string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w
	}
	index := ask(Path)
	if index.Code != http.StatusOK || !strings.HasPrefix(index.Header().Get("Content-Type"), "text/html") || index.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", index.Code, index.Header())
	}
	if place := ask(Path + "associations/a-1"); place.Body.String() != index.Body.String() {
		t.Error("a place of the page is not the page")
	}
	if again := ask(Path, "If-None-Match", index.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("%d", again.Code)
	}
	for _, path := range []string{Path + "nothing.js", Path + "assets/nothing.css", "/elsewhere"} {
		if w := ask(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	page, err := newPage(assets)
	if err != nil {
		t.Fatal(err)
	}
	for name := range page {
		w := ask(Path+name, "Accept-Encoding", "gzip")
		immutable := strings.Contains(w.Header().Get("Cache-Control"), "immutable")
		if w.Code != http.StatusOK || immutable != strings.HasPrefix(name, "assets/") || strings.Contains(w.Header().Get("Content-Type"), "octet-stream") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}

func event(second int, namespace string, outcome audit.Outcome) *audit.Event {
	e := audit.New(time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC), audit.SourceEKSAuth, audit.AssumeRoleForPodIdentity)
	e.Outcome, e.ClusterName = outcome, "prod"
	e.Subject = &audit.Subject{Namespace: namespace, ServiceAccount: "sa", PodName: fmt.Sprint("pod-", second), PodUID: fmt.Sprint("uid-", second)}
	e.Association = &audit.Association{ID: "a-" + namespace}
	return e
}

// TestActivityPages: page by page, over replicas, each event is once and none is left out.
func TestActivityPages(t *testing.T) {
	rings := map[string]*audit.Ring{"one": audit.NewRing(1000), "two": audit.NewRing(1000), "three": audit.NewRing(1000)}
	f := newFixture(t, func(c *Config) { c.Local = &replica{"one", rings["one"]} })
	f.config.Peers = &others{f, rings}
	for i := range 100 {
		name := []string{"one", "two", "two", "three"}[i%4]
		if i > 60 {
			name = "two" // one replica has the newest alone
		}
		if err := rings[name].Write(t.Context(), event(i, "shop", audit.Granted)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	newer, query := "", ""
	for range 100 {
		page := get[ActivityPage](f, "/activity?limit=7"+query)
		if newer == "" {
			newer = page.Newer
		}
		for _, e := range page.Items {
			got = append(got, e.Pod)
		}
		if page.Older == "" {
			break
		}
		query = "&before=" + page.Older
	}
	if len(got) != 100 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != 100 || got[0] != "pod-99" || got[99] != "pod-0" {
		t.Errorf("%d events: %v", len(got), got)
	}
	if page := get[ActivityPage](f, "/activity?after="+newer); len(page.Items) != 0 {
		t.Errorf("%+v", page.Items)
	}
	if err := rings["three"].Write(t.Context(), event(100, "shop", audit.Granted)); err != nil {
		t.Fatal(err)
	}
	if page := get[ActivityPage](f, "/activity?wait=1&after="+newer); len(page.Items) != 1 || page.Items[0].Pod != "pod-100" || page.Items[0].Source != "three" {
		t.Errorf("%+v", page.Items)
	}
	if c := get[Counts](f, "/activity/counts?buckets=2&from=2026-01-01T00:00:00Z&to=2026-01-01T00:01:40Z"); c.Granted != 100 || c.Buckets[0].Granted != 50 {
		t.Errorf("%+v", c)
	}
}

// others are replicas that are asked without a network.
type others struct {
	f     *fixture
	rings map[string]*audit.Ring
}

func (o *others) Ask(_ context.Context, _, path string, query func(string) url.Values) (all []PeerAnswer) {
	for _, name := range slices.Sorted(maps.Keys(o.rings)) {
		q := query(name)
		if name == "one" || q == nil {
			continue
		}
		config := o.f.config
		config.Local, config.Peers = &replica{name, o.rings[name]}, nil
		peer, err := New(config)
		if err != nil {
			o.f.t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		values := r.URL.Query()
		for k, v := range q {
			values[k] = v
		}
		r.URL.RawQuery = values.Encode()
		peer.Local().ServeHTTP(w, r)
		answer := PeerAnswer{Peer: name, Body: w.Body.Bytes()}
		if w.Code != http.StatusOK {
			answer.Err = errors.New(w.Body.String())
		}
		all = append(all, answer)
	}
	return all
}

func TestActivityFilters(t *testing.T) {
	f := newFixture(t)
	for i, namespace := range []string{"shop", "bank", "shop"} {
		if err := f.ring.Write(t.Context(), event(i, namespace, []audit.Outcome{audit.Granted, audit.Refused, audit.Refused}[i])); err != nil {
			t.Fatal(err)
		}
	}
	nobody := event(9, "", audit.Refused)
	nobody.Subject, nobody.Association = nil, nil
	if err := f.ring.Write(t.Context(), nobody); err != nil {
		t.Fatal(err)
	}
	count := func(query string) int { t.Helper(); return len(get[ActivityPage](f, "/activity"+query).Items) }
	for query, want := range map[string]int{
		"": 4, "?outcome=refused": 3, "?outcome=refused&outcome=granted": 4, "?namespace=shop": 2, "?namespace=shop&namespace=bank&outcome=granted": 1,
		"?pod=pod-1": 1, "?pod=uid-1": 1, "?association=a-bank": 1, "?q=pod-2": 1, "?q=POD-2+shop": 1, "?q=pod-2+bank": 0, "?cluster=other": 0,
		"?from=2026-01-01T00:00:01Z&to=2026-01-01T00:00:02Z": 1, "?from=1h": 0, "?source=console.podid.dev": 0,
	} {
		if got := count(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	f.user.activity = Scope{Namespaces: map[string]bool{"bank": true}}
	if got := count(""); got != 1 {
		t.Errorf("%d events, of which one is of the user's namespace", got)
	}
	f.user.activity = Scope{}
	for _, path := range []string{"/activity", "/activity/counts"} {
		if w := f.do("GET", path, nil); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if p := get[Pods](f, "/associations/a-shopweb/pods"); p.Total != 0 {
		t.Errorf("who may not see activity is told of it: %+v", p)
	}
	f.user.may.Health = false
	if w := f.do("GET", "/health", nil); w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHealthFindings(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ready := LocalHealth{Replica: Replica{Name: "one", Ready: true, Sequence: 10}, Expected: []string{"n1", "n2"}, Nodes: []string{"n1", "n2", "n3"},
		Agents: []Agent{{Node: "n1", Listening: true, LastHeard: now}, {Node: "n2", LastHeard: now.Add(-time.Hour)}}}
	behind := LocalHealth{Replica: Replica{Name: "two", Sequence: 7, Lacks: "a certificate", Certificates: []Certificate{
		{Name: "serving", NotBefore: now.Add(-90 * 24 * time.Hour), NotAfter: now.Add(time.Hour)}}},
		Agents: []Agent{{Node: "n2", Listening: true, LastHeard: now.Add(-2 * time.Hour)}}}
	if h := assessed([]LocalHealth{ready}, nil, now); h.Verdict != "warning" || len(h.Findings) != 2 || !h.Agents[1].Stale || !slices.Equal(h.NodesWithoutAgent, []string{"n3"}) {
		t.Errorf("%+v", h)
	}
	h := assessed([]LocalHealth{ready, behind}, []Partial{{"three", "it is away"}}, now)
	if h.Verdict != "critical" || h.Agents[1].Stale || h.Replicas[1].BehindBy != 3 || len(h.Findings) != 4 {
		t.Errorf("%+v", h)
	}
	if h := assessed([]LocalHealth{{Replica: Replica{Name: "one", Ready: true}}}, nil, now); h.Verdict != "ok" || h.NodesKnown {
		t.Errorf("%+v", h)
	}
}

func TestMap(t *testing.T) {
	f := newFixture(t)
	m := get[Map](f, "/map")
	if m.By != "serviceAccount,role" || m.Associations != 3 || m.Shown != 3 || len(m.Flows) != 6 || len(m.Nodes) != 8 || m.Truncated {
		t.Errorf("%+v", m)
	}
	for _, flow := range m.Flows {
		for _, path := range flow.Paths {
			if !strings.Contains(path, flow.From+" "+flow.To) {
				t.Errorf("path %s of flow %s %s", path, flow.From, flow.To)
			}
		}
	}
	if who := get[Map](f, "/map?role=arn:aws:iam::444455556666:role/data-of-vault"); who.Associations != 1 || who.Flows[0].AssociationID != "a-bankvault" {
		t.Errorf("%+v", who)
	}
	if coarse := get[Map](f, "/map?limit=3"); coarse.By != "namespace,account" || len(coarse.Flows) != 3 || coarse.Shown != 3 {
		t.Errorf("%+v", coarse)
	}
	if cut := get[Map](f, "/map?by=serviceAccount,role&limit=2"); !cut.Truncated || len(cut.Flows) != 2 || cut.Associations != 3 {
		t.Errorf("%+v", cut)
	}
}
