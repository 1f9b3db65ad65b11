package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
)

// folder is one of audit files, with a clock.
type folder struct {
	path string
	now  time.Time
	log  bytes.Buffer
}

func newFolder(t *testing.T) *folder {
	return &folder{path: filepath.Join(t.TempDir(), "audit.jsonl"), now: noon}
}

// keep opens the file, writes the events and closes it.
func (d *folder) keep(t *testing.T, c audit.FileConfig, ids ...string) {
	t.Helper()
	c.Path, c.Now, c.Logger = d.path, func() time.Time { return d.now }, slog.New(slog.NewTextHandler(&d.log, nil))
	f, err := audit.NewFile(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, id := range ids {
		e := event(id)
		e.EventTime = d.now
		if err := f.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		d.now = d.now.Add(time.Minute)
	}
}

func (d *folder) files(t *testing.T) []string {
	t.Helper()
	files, err := audit.Files(d.path)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// verify verifies all files by the noted head, and returns the fault in words.
func (d *folder) verify(t *testing.T) (audit.Verdict, string) {
	t.Helper()
	head, err := audit.NotedHead(d.path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := audit.Verify(d.files(t), head)
	if err != nil {
		t.Fatal(err)
	}
	if v.Fault == nil {
		return v, ""
	}
	return v, strings.TrimPrefix(v.Fault.Error(), filepath.Dir(d.path)+"/")
}

func TestFilesArePutAside(t *testing.T) {
	for name, c := range map[string]struct {
		config audit.FileConfig
		files  int
		lines  int
	}{
		"never":     {audit.FileConfig{}, 1, 9},
		"by size":   {audit.FileConfig{MaxBytes: 1000}, 5, 9},
		"by age":    {audit.FileConfig{MaxAge: 3 * time.Minute}, 3, 9},
		"keep two":  {audit.FileConfig{MaxAge: 3 * time.Minute, Keep: 1}, 2, 6},
		"each line": {audit.FileConfig{MaxBytes: 1}, 9, 9},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			d.keep(t, c.config, "1", "2", "3", "4")
			d.keep(t, c.config, "5", "6", "7", "8", "9") // after a restart
			v, fault := d.verify(t)
			if got := d.files(t); len(got) != c.files || v.Lines != c.lines || fault != "" {
				t.Errorf("%d lines in %v, %s; want %d in %d", v.Lines, got, fault, c.lines, c.files)
			}
			if first := uint64(9 - c.lines + 1); v.First.Sequence != first || v.Head.Sequence != 9 {
				t.Errorf("from line %d to %d of the chain, want %d to 9", v.First.Sequence, v.Head.Sequence, first)
			}
		})
	}
}

func TestOneProcessWrites(t *testing.T) {
	d := newFolder(t)
	open(t, d.path)
	if _, err := audit.OpenFile(d.path); err == nil || !strings.Contains(err.Error(), "another process writes") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestHeadIsLogged(t *testing.T) {
	d := newFolder(t)
	d.keep(t, audit.FileConfig{}, "1", "2", "3")
	v, _ := d.verify(t)
	if !strings.Contains(d.log.String(), "head="+v.Head.String()) {
		t.Errorf("the log does not hold %s:\n%s", v.Head, &d.log)
	}
	if got, err := audit.ParseHead(v.Head.String()); err != nil || got != v.Head {
		t.Errorf("%v, %v", got, err)
	}
}

// TestVerifyNamesTheFirstBadLine: what somebody may do to the files.
func TestVerifyNamesTheFirstBadLine(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(lines []string) []string // of 5 lines
		says   string
	}{
		"nothing":          {func(l []string) []string { return l }, ""},
		"a torn line":      {func(l []string) []string { return []string{l[0], l[1], `{"eventVersion":"1.1","ev`, l[2], l[3], l[4]} }, ""},
		"a changed line":   {func(l []string) []string { l[1] = strings.Replace(l[1], "granted", "refused", 1); return l }, "audit.jsonl, line 3: the line before it in the chain was changed"},
		"a removed line":   {func(l []string) []string { return append(l[:2], l[3:]...) }, "audit.jsonl, line 3: line 4 of the chain follows line 2"},
		"the first gone":   {func(l []string) []string { return l[1:] }, ""}, // as retention does; First says so
		"moved lines":      {func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, "audit.jsonl, line 2: line 3 of the chain follows line 1"},
		"a copy":           {func(l []string) []string { return []string{l[0], l[0], l[1], l[2], l[3], l[4]} }, "audit.jsonl, line 2: line 1 of the chain follows line 1"},
		"the last changed": {func(l []string) []string { l[4] = strings.Replace(l[4], "granted", "refused", 1); return l }, "audit.jsonl, line 5: the line was changed"},
		"the end cut off":  {func(l []string) []string { return l[:3] }, "audit.jsonl: the files end at line 3 of the chain, and line 5"},
		"a link taken out": {func(l []string) []string { l[2] = l[2][:strings.Index(l[2], `,"chain"`)] + "}"; return l }, "audit.jsonl, line 3: the line has no link"},
		"all gone":         {func([]string) []string { return nil }, "audit.jsonl: the files end at line 0"},
		"a new beginning": {func(l []string) []string {
			l[0] = strings.Replace(l[0], `"sequence":1,`, `"sequence":7,`, 1)
			return l[:1]
		}, "audit.jsonl, line 1: the line is no beginning"},
		"a long line": {func(l []string) []string { l[2] = strings.Repeat("x", 2<<20); return l }, "audit.jsonl, line 3: the line is longer than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			d.keep(t, audit.FileConfig{}, "1", "2", "3", "4", "5")
			text, err := os.ReadFile(d.path)
			if err != nil {
				t.Fatal(err)
			}
			lines := c.tamper(strings.Split(strings.TrimSpace(string(text)), "\n"))
			if err := os.WriteFile(d.path, []byte(strings.Join(append(lines, ""), "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			v, says := d.verify(t)
			if !strings.HasPrefix(says, c.says) || (says == "") != (c.says == "") {
				t.Errorf("%q, want %q", says, c.says)
			}
			if c.says == "" && v.First.Sequence != uint64(6-v.Lines) {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestForgeryAsAWhole: a chain made anew is whole, and only a head from elsewhere shows it.
func TestForgeryAsAWhole(t *testing.T) {
	d, forged := newFolder(t), newFolder(t)
	d.keep(t, audit.FileConfig{}, "1", "2")
	forged.keep(t, audit.FileConfig{}, "x", "y", "z")
	head, err := audit.NotedHead(d.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, says := forged.verify(t); says != "" {
		t.Error(says)
	}
	if v, err := audit.Verify(forged.files(t), head); err != nil || v.Fault == nil || v.Fault.Line != 2 {
		t.Errorf("got %+v, %v", v.Fault, err)
	}
}

// TestACutEndStaysVisible: also once new lines have come after it.
func TestACutEndStaysVisible(t *testing.T) {
	d := newFolder(t)
	d.keep(t, audit.FileConfig{}, "1", "2", "3")
	text, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.path, int64(bytes.IndexByte(text, '\n')+1)); err != nil {
		t.Fatal(err)
	}
	d.keep(t, audit.FileConfig{}, "4")
	if _, says := d.verify(t); !strings.HasPrefix(says, "audit.jsonl, line 2: line 4 of the chain follows line 1") {
		t.Errorf("got %q", says)
	}
	if !strings.Contains(d.log.String(), "lost its end") {
		t.Errorf("the log does not say so:\n%s", &d.log)
	}
}

// TestCrashes: whatever part of a line is left, the chain goes on and verifies.
func TestCrashes(t *testing.T) {
	d := newFolder(t)
	d.keep(t, audit.FileConfig{}, "1", "2", "3")
	text, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.IndexByte(text, '\n') + 1
	third := second + bytes.IndexByte(text[second:], '\n') + 1
	for _, put := range []string{".", ".20261101T110000.000000000Z"} { // the line is the first of its file, too
		for cut := third; cut < len(text); cut++ {
			crashed := newFolder(t)
			after := text[:cut]
			if put != "." {
				after = text[third:cut]
				if err := os.WriteFile(crashed.path+put, text[:third], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(crashed.path, after, 0o600); err != nil {
				t.Fatal(err)
			}
			crashed.keep(t, audit.FileConfig{}, "4", "5")
			v, says := crashed.verify(t)
			if says != "" || v.Lines < 4 || v.Lines+v.Torn > 5 {
				t.Fatalf("cut at %d of %d..%d: %+v, %s", cut, third, len(text), v, says)
			}
		}
	}
}

// TestADiskThatHasRoomAgain: what was not kept is no gap.
func TestADiskThatHasRoomAgain(t *testing.T) {
	d := newFolder(t)
	d.keep(t, audit.FileConfig{}, "1")
	real := d.path + ".real"
	if err := os.Rename(d.path, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", d.path); err != nil {
		t.Fatal(err)
	}
	f := open(t, d.path)
	for range 3 {
		if err := f.Write(t.Context(), event("lost")); err == nil {
			t.Error("written to a full disk")
		}
	}
	if err := os.Rename(real, d.path); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2", "3")
	want(t, read(t, d.path), "1", "2", "3")
	if _, says := d.verify(t); says != "" {
		t.Error(says)
	}
}

func TestWaitsNoLongerThanItsCaller(t *testing.T) {
	f := open(t, newFolder(t).path)
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	// The event may be on disk by now, or not.
	if err := f.Write(ctx, event("1")); err != nil && !strings.Contains(err.Error(), "canceled") {
		t.Error(err)
	}
}

func TestManyWritersKeepOneChain(t *testing.T) {
	d := newFolder(t)
	f, err := audit.NewFile(audit.FileConfig{Path: d.path, MaxBytes: 3000})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 4 {
				if err := f.Write(context.Background(), event(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if v, says := d.verify(t); says != "" || v.Lines != 200 {
		t.Errorf("%d lines, %s", v.Lines, says)
	}
}

func TestSearchFiles(t *testing.T) {
	d := newFolder(t)
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprint(i))
	}
	d.keep(t, audit.FileConfig{MaxBytes: 3000}, all...)
	if err := os.WriteFile(d.path+".other", []byte("{\n"), 0o600); err != nil { // is none of its files
		t.Fatal(err)
	}
	found, more, err := audit.Search(d.files(t), audit.Filter{Since: noon.Add(10 * time.Minute)}, 3)
	if err != nil || !more {
		t.Error(more, err)
	}
	want(t, ids(found), "29", "28", "27")
	found, more, err = audit.Search(d.files(t), audit.Filter{Until: noon.Add(3 * time.Minute)}, 3)
	if err != nil || more {
		t.Error(more, err)
	}
	want(t, ids(found), "2", "1", "0")
}

func TestNewestOfSeveral(t *testing.T) {
	var events []*audit.Event
	for i, at := range []int{3, 1, 2, 3} {
		e := audit.New(noon.Add(time.Duration(at)*time.Minute), "", "")
		e.RequestID = fmt.Sprint(i)
		events = append(events, e)
	}
	want(t, ids(audit.Newest(append(events, events[0]), 3)), "0", "3", "2")
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"eventVersion":"1.0","eventTime":"2026-11-01T12:00:00Z","outcome":"granted","hops":[{}],"chain":{"sequence":1,"previousHash":""}}` + "\n{"))
	f.Add([]byte("a log line\n\n{}\nnull\n[]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		skipped, err := audit.Read(bytes.NewReader(text), func(e *audit.Event) bool {
			n++
			filter := audit.Filter{Text: "x", Namespace: "n", Role: "r", Account: "a", AccessKeyID: "k", Pod: "p", User: "u"}
			filter.Match(e)
			if err := audit.NewWriter(io.Discard).Write(t.Context(), e); err != nil {
				t.Errorf("what was read cannot be written: %v", err)
			}
			return true
		})
		if err != nil || n+skipped > bytes.Count(text, []byte("\n"))+1 {
			t.Errorf("%d events, %d skipped, %v", n, skipped, err)
		}
	})
}

// FuzzOpenFile: whatever is there, events can be added.
func FuzzOpenFile(f *testing.F) {
	f.Add([]byte(`{"eventVersion":"1.0","eventTime":"2026-11-01T12:00:00Z","chain":{"sequence":1,"previousHash":""}}`))
	f.Add([]byte("{\n{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify([]string{path}); err != nil {
			t.Error(err)
		}
		file, err := audit.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, "1")
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); len(got) == 0 || got[len(got)-1] != "1" {
			t.Errorf("the event is not there: %v", got)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	f.Add("1:" + strings.Repeat("0", 64))
	f.Add("x")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := audit.ParseHead(text); err == nil {
			if again, err := audit.ParseHead(h.String()); err != nil || again != h {
				t.Errorf("%q: %v, %v", text, again, err)
			}
		}
	})
}

// BenchmarkFile writes from many requests at once, as issuing does.
func BenchmarkFile(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			f, err := audit.OpenFile(filepath.Join(b.TempDir(), "audit.jsonl"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			var all sync.WaitGroup
			jobs := make(chan struct{})
			for range writers {
				all.Go(func() {
					for range jobs {
						if err := f.Write(context.Background(), full()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				jobs <- struct{}{}
			}
			close(jobs)
			all.Wait()
		})
	}
}
