package awssim

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/podid/podid/internal/policy"
)

// decision is one entry of the decision log.
type decision struct {
	ID        uint64
	Time      time.Time
	RequestID string
	Caller    string
	Request   *policy.Request
	Decision  *policy.Decision
}

// decisionLog keeps the newest decisions with all their reasons. They tell more
// than any caller may know, so they are read at the debug door alone.
type decisionLog struct {
	size int

	mu      sync.Mutex
	made    uint64     // how many there ever were; the newest has this id
	entries []decision // a ring once it is full: decision n is at (n-1) mod size
}

func (l *decisionLog) record(c *Caller, req *policy.Request, d *policy.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	e := decision{ID: l.made, Time: c.request.at, RequestID: c.request.id, Caller: c.name(), Request: req, Decision: d}
	if len(l.entries) < l.size {
		l.entries = append(l.entries, e)
		return
	}
	l.entries[l.at(l.made)] = e
}

// last returns the newest n decisions, oldest first.
func (l *decisionLog) last(n int) []decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.entries))
	out := make([]decision, 0, n)
	for id := l.made - uint64(n) + 1; id <= l.made; id++ {
		out = append(out, l.entries[l.at(id)])
	}
	return out
}

func (l *decisionLog) at(id uint64) int { return int((id - 1) % uint64(l.size)) }

// Decisions is the debug door to the decision log: GET returns the newest
// decisions as JSON, oldest first, with all their reasons; ?last=N, 100 without
// it. It serves loopback callers alone, and only under a loopback Host, so that
// a web page can't reach it by a name of its own.
func (s *Sim) Decisions() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil || !isLoopback(from) || !isLoopback(hostOf(r.Host)) {
			http.Error(w, "the decision log is for loopback callers", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "the decision log is only read", http.StatusMethodNotAllowed)
			return
		}
		n := 100
		if last := r.URL.Query().Get("last"); last != "" {
			if n, err = strconv.Atoi(last); err != nil || n < 1 {
				http.Error(w, "last is a positive number", http.StatusBadRequest)
				return
			}
		}
		reply := decisionsReply{Decisions: []decisionReply{}}
		for _, d := range s.decisions.last(n) {
			reply.Decisions = append(reply.Decisions, d.reply())
		}
		body, err := json.Marshal(reply)
		if err != nil {
			http.Error(w, "the decision log can't be written", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(body) // whoever asked may be gone
	})
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// decisionsReply is what the debug door writes.
type decisionsReply struct {
	Decisions []decisionReply `json:"decisions"`
}

type decisionReply struct {
	ID        uint64         `json:"id"`
	Time      time.Time      `json:"time"`
	RequestID string         `json:"requestId"`
	Caller    string         `json:"caller"`
	Action    string         `json:"action"`
	Resource  string         `json:"resource"`
	Verdict   string         `json:"verdict"`
	Stage     string         `json:"stage"`
	Context   policy.Context `json:"context"`
	Reasons   []reasonReply  `json:"reasons"`
}

type reasonReply struct {
	Policy    string      `json:"policy"`
	Sid       string      `json:"sid,omitempty"`
	Statement int         `json:"statement"`
	Line      int         `json:"line"`
	Effect    string      `json:"effect"`
	Matched   bool        `json:"matched"`
	Misses    []missReply `json:"misses,omitempty"`
}

type missReply struct {
	Element  string   `json:"element"`
	Operator string   `json:"operator,omitempty"`
	Key      string   `json:"key,omitempty"`
	Want     []string `json:"want,omitempty"`
	Got      []string `json:"got,omitempty"`
	Absent   bool     `json:"absent,omitempty"`
}

func (d decision) reply() decisionReply {
	r := decisionReply{
		ID: d.ID, Time: d.Time.UTC(), RequestID: d.RequestID, Caller: d.Caller, Action: d.Request.Action, Resource: d.Request.Resource,
		Verdict: verdictName(d.Decision.Verdict), Stage: d.Decision.Stage, Context: d.Request.Context, Reasons: []reasonReply{},
	}
	for _, reason := range d.Decision.Reasons {
		effect := "Deny"
		if reason.Allow {
			effect = "Allow"
		}
		e := reasonReply{Policy: reason.Policy, Sid: reason.Sid, Statement: reason.Statement, Line: reason.Line, Effect: effect, Matched: reason.Matched}
		for _, m := range reason.Misses {
			e.Misses = append(e.Misses, missReply{m.Element, m.Operator, m.Key, m.Want, m.Got, m.Absent})
		}
		r.Reasons = append(r.Reasons, e)
	}
	return r
}

func verdictName(v policy.Verdict) string {
	switch v {
	case policy.Allowed:
		return "allowed"
	case policy.ExplicitDeny:
		return "explicit deny"
	}
	return "implicit deny"
}
