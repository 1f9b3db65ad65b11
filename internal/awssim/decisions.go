package awssim

import (
	"strings"
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
	Request   policy.Request
	Decision  policy.Decision
}

// decisionLog keeps the newest decisions with all their reasons. They tell more
// than any caller may know, so they are read at the debug door alone.
type decisionLog struct {
	mu      sync.Mutex
	next    uint64     // id of the next decision; ids begin at 1
	entries []decision // a ring once it is full
	size    int
}

func newDecisionLog(size int) *decisionLog { return &decisionLog{size: size, next: 1} }

func (l *decisionLog) record(c *Caller, req *policy.Request, d *policy.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := decision{ID: l.next, Time: c.request.at, RequestID: c.request.id, Caller: c.ARN(), Request: *req, Decision: *d}
	if len(l.entries) < l.size {
		l.entries = append(l.entries, e)
	} else {
		l.entries[int((l.next-1)%uint64(l.size))] = e
	}
	l.next++
}

// last returns the newest n decisions, oldest first.
func (l *decisionLog) last(n int) []decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.entries))
	out := make([]decision, 0, n)
	for id := l.next - uint64(n); id < l.next; id++ {
		out = append(out, l.entries[int((id-1)%uint64(l.size))])
	}
	return out
}

// verdictNames are the verdicts in words.
var verdictNames = map[policy.Verdict]string{
	policy.Allowed: "allowed", policy.ExplicitDeny: "explicit deny", policy.ImplicitDeny: "implicit deny",
}

func serviceOf(action string) string {
	service, _, _ := strings.Cut(action, ":")
	return service
}
