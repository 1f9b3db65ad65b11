package changes

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/eksauth"
)

// change updates the association n, or deletes it, and returns how long after
// the acknowledgement each agent had dropped what it made old.
func (w *world) change(tb testing.TB, n int, deleted bool) []time.Duration {
	tb.Helper()
	a := w.all[n]
	var err error
	version := ""
	if deleted {
		_, err = w.associations.Delete(tb.Context(), anybody{}, cluster.Name, a.ID)
	} else {
		role := roleNamed(fmt.Sprint("second-", n))
		a, err = w.associations.Update(tb.Context(), anybody{}, association.UpdateInput{Cluster: cluster.Name, ID: a.ID, RoleARN: &role})
		version = a.Version()
	}
	acknowledged := time.Now()
	if err != nil {
		tb.Fatal(err)
	}
	sequence := w.feed.Sequence()
	var took []time.Duration
	done := make([]bool, len(w.agents))
	for limit := time.After(time.Minute); len(took) < len(w.agents); {
		select {
		case t := <-w.told:
			heard := t.said.Kind == eksauth.Changed && t.said.AssociationID == a.ID && t.said.Version == version
			// A stream that was cut and resumed has said it otherwise.
			resumed := t.said.Kind == eksauth.Current && t.said.Sequence >= sequence
			if (heard || resumed) && !done[t.agent] {
				done[t.agent] = true
				took = append(took, max(0, t.at.Sub(acknowledged)))
			}
		case <-limit:
			tb.Fatalf("%d of %d agents have heard after a minute", len(took), len(w.agents))
		}
	}
	return took
}

// nobodyHandsOut asks every agent for a pod of the association n.
func (w *world) nobodyHandsOut(tb testing.TB, n int, deleted bool) {
	tb.Helper()
	asked := 0
	for _, node := range w.agents {
		for _, token := range node.pods {
			subject, err := claimed{}.Verify(tb.Context(), "", token)
			if err != nil || subject.ServiceAccount != fmt.Sprint("app-", n) {
				continue
			}
			asked++
			key, err := node.ask(token)
			if want := fmt.Sprint("ASIA-second-", n); err != nil || !deleted && key != want || deleted && !strings.HasPrefix(key, "404") {
				tb.Errorf("a pod got %s, %v", key, err)
			}
		}
	}
	if asked == 0 {
		tb.Error("no pod has that association")
	}
}

// quantile of what is sorted.
func quantile(of []time.Duration, q float64) time.Duration {
	return of[min(len(of)-1, int(q*float64(len(of))))]
}

// measured is how long changes took to reach the last agent, and each.
type measured struct{ last, each []time.Duration }

// next changes the next association: every other one is deleted.
func (m *measured) next(tb testing.TB, w *world) {
	tb.Helper()
	n := len(m.last)
	deleted := n%2 == 1
	took := w.change(tb, n, deleted)
	m.last, m.each = append(m.last, slices.Max(took)), append(m.each, took...)
	if n < 10 {
		w.nobodyHandsOut(tb, n, deleted)
	}
}

func (m *measured) sort() {
	slices.Sort(m.last)
	slices.Sort(m.each)
}

// TestChangesReachAgents is the small case, as on one machine.
func TestChangesReachAgents(t *testing.T) {
	w := newWorld(t, 3, 60, 20)
	m := &measured{}
	for range 20 {
		m.next(t, w)
	}
	m.sort()
	t.Logf("3 agents, 60 pods: until no agent handed out the old credentials %v at the median, %v at the most", quantile(m.last, 0.5), m.last[19])
	if p50 := quantile(m.last, 0.5); p50 > 100*time.Millisecond {
		t.Errorf("%v at the median, want less than 100 ms", p50)
	}
}

// BenchmarkChanges is 1,000 agents with 50,000 pods; an operation is a change.
func BenchmarkChanges(b *testing.B) {
	const agents, pods, subjects = 1000, 50_000, 1000
	began := time.Now()
	w := newWorld(b, agents, pods, subjects)
	b.Logf("%d agents and %d pods had their credentials after %v", agents, pods, time.Since(began).Round(time.Second))
	m := &measured{}
	used := processTime(b)
	for b.Loop() && len(m.last) < subjects {
		m.next(b, w)
	}
	used = (processTime(b) - used) / time.Duration(len(m.last))
	m.sort()
	b.Logf("%d changes, until the last agent: %v at the median, %v at the 99th percentile, %v at the most; each agent: %v and %v; %v of processor time for a change",
		len(m.last), quantile(m.last, 0.5), quantile(m.last, 0.99), m.last[len(m.last)-1], quantile(m.each, 0.5), quantile(m.each, 0.99), used)
	for name, d := range map[string]time.Duration{
		"p50-last-ms": quantile(m.last, 0.5), "p99-last-ms": quantile(m.last, 0.99), "max-last-ms": m.last[len(m.last)-1],
		"p50-each-ms": quantile(m.each, 0.5), "p99-each-ms": quantile(m.each, 0.99), "cpu-ms": used,
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, name)
	}
	if p99 := quantile(m.last, 0.99); p99 > time.Second {
		b.Errorf("%v until the last agent at the 99th percentile, want less than a second", p99)
	}
}

// processTime is what this process, which is server and agents, has had of the processors.
func processTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
