//go:build linux

package agent_test

import (
	"cmp"
	"debug/elf"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTheBinary is static, small, and without what does not belong on every node.
func TestTheBinary(t *testing.T) {
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MiB", float64(info.Size())/(1<<20))
	if info.Size() >= 15<<20 {
		t.Errorf("%d bytes", info.Size())
	}
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("needs %v: %v", libraries, err)
	}
	out, err := exec.Command("go", "list", "-deps", "github.com/podid/podid/cmd/podid-agent").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, unwanted := range []string{"k8s.io/", "sigs.k8s.io/", "modernc.org/", "github.com/spf13/", "github.com/prometheus/", "google.golang.org/protobuf",
			"github.com/podid/podid/internal/awssim", "github.com/podid/podid/internal/association", "github.com/podid/podid/internal/policy"} {
			if strings.HasPrefix(dep, unwanted) {
				t.Errorf("it contains %s", dep)
			}
		}
		if dep == "database/sql" || dep == "net/http/pprof" || dep == "expvar" {
			t.Errorf("it contains %s", dep)
		}
	}
}

// TestStartAndMemory measures what users compare; the bounds leave room for
// slow machines.
func TestStartAndMemory(t *testing.T) {
	up := newEKSAuth(t)
	began := time.Now()
	p := command(t, "server", "-c", "example-cluster", "--link", "create", "--endpoint", up.URL)
	p.launch()
	for ask(0).id == "" {
		if time.Since(began) > 5*time.Second {
			t.Fatal("no first answer")
		}
	}
	t.Logf("first answer after %v", time.Since(began))
	idle := metric(t, "process_resident_memory_bytes")
	for n := range 2000 {
		mustAsk(t, n)
	}
	full := metric(t, "process_resident_memory_bytes")
	t.Logf("resident: %.1f MiB, with 2,000 pods %.1f MiB", idle/(1<<20), full/(1<<20))
	if idle > 24<<20 || full > 40<<20 {
		t.Errorf("resident: %.0f bytes, with 2,000 pods %.0f", idle, full)
	}
	if n := metric(t, "podid_agent_cached_pods"); n != 2000 {
		t.Errorf("%v pods", n)
	}
}

// TestTwoHundredAtOnce: with a token each, and with one token.
func TestTwoHundredAtOnce(t *testing.T) {
	const upstream = 20 * time.Millisecond
	up := newEKSAuth(t)
	var inFlight, most atomic.Int32
	slow := after(upstream, up.grants(time.Hour))
	up.becomes(func(w http.ResponseWriter, r *http.Request) {
		n := inFlight.Add(1)
		defer inFlight.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		slow(w, r)
	})
	start(t, "--link", "create", "--endpoint", up.URL)
	served, worst := counts(together(200))
	if served != 200 || worst > time.Second || most.Load() > 160 {
		t.Errorf("%d of 200 pods were served within %v, %d calls at once", served, worst, most.Load())
	}
	t.Logf("200 pods: within %v, %d calls at once", worst, most.Load())

	calls := up.calls.Load()
	answers := make([]answer, 200)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = ask(300) })
	}
	all.Wait()
	slices.SortFunc(answers, func(a, b answer) int { return cmp.Compare(a.took, b.took) })
	if served, _ := counts(answers); served != 200 || up.calls.Load()-calls != 1 {
		t.Errorf("one token: %d of 200 served, %d calls", served, up.calls.Load()-calls)
	}
	t.Logf("200 with one token: half within %v, all within %v", answers[100].took, answers[199].took)
}
