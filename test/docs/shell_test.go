package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podid/podid/test/clients"
)

// What the mark of a shell block says: site/README.md.
const (
	markNone   = ""
	markFails  = "fails"
	markServer = "server"
)

// notRun are the marks of blocks that cannot run here, with the reason.
var notRun = map[string]string{
	"cluster": "is for a cluster (the tutorials' run in test/kubernetes/server, the README's there by make e2e)",
	"aws":     "needs an AWS account",
	"ci":      "is what runs this test",
}

// limit is how long one block may take; compiling podid is in one of them.
const limit = 10 * time.Minute

// shellPages are those whose shell blocks run.
func shellPages(t *testing.T) []string {
	all := []string{"README.md", "docs/quick-start.md", "docs/questions.md"}
	for _, folder := range []string{"tutorials", "how-to"} {
		found, err := filepath.Glob(filepath.Join(top, "docs", folder, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			all = append(all, filepath.Join("docs", folder, filepath.Base(path)))
		}
	}
	return slices.DeleteFunc(all, func(page string) bool {
		_, err := os.Stat(filepath.Join(top, page))
		return err != nil
	})
}

// TestShellBlocks runs what the pages tell their readers to.
func TestShellBlocks(t *testing.T) {
	bin := build(t)
	for _, page := range shellPages(t) {
		t.Run(page, func(t *testing.T) {
			text := read(t, page)
			for _, client := range []string{"aws", "terraform", "kubectl", "python3"} {
				if runs(text, client) {
					_, err := exec.LookPath(client)
					clients.Require(t, client, err == nil, "no "+client+" on the PATH")
				}
			}
			s := newShell(t, bin)
			if strings.Contains(text, "./cmd/podid") {
				s.standInClone()
			}
			s.run(page, blocks(text))
		})
	}
}

// TestMarks wants the marks of all shell blocks to be known, also where the
// clients that the blocks need are missing.
func TestMarks(t *testing.T) {
	for _, page := range shellPages(t) {
		all := blocks(read(t, page))
		for i, b := range all {
			_, known := notRun[b.mark]
			switch {
			case b.lang == "sh" && !known && !slices.Contains([]string{markNone, markFails, markServer}, b.mark):
				t.Errorf("%s:%d: no such mark of a shell block: %q", page, b.line, b.mark)
			case slices.Contains([]string{"bash", "shell", "console"}, b.lang):
				t.Errorf("%s:%d: call a shell block sh, or else it is not run", page, b.line)
			case b.lang == "output" && (i == 0 || all[i-1].lang != "sh"):
				t.Errorf("%s:%d: output without a shell block before it", page, b.line)
			}
		}
	}
}

// runs tells whether a block that runs calls a client.
func runs(page, client string) bool {
	called := regexp.MustCompile(`(?m)(^|[|;&(] *|-- )` + client + ` `)
	return slices.ContainsFunc(blocks(page), func(b block) bool {
		_, skipped := notRun[b.mark]
		return b.lang == "sh" && !skipped && called.MatchString(b.text)
	})
}

// programs is where podid and podid-agent are, which the tests of this package
// share; compile puts them there.
var (
	programs string
	compile  = sync.OnceValue(func() error {
		cmd := exec.Command("go", "build", "-o", programs, "./cmd/podid", "./cmd/podid-agent")
		cmd.Dir = top
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building podid: %w\n%s", err, out)
		}
		return nil
	})
)

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "podid-docs-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(programs) // what is left is in the folder for temporary files
	os.Exit(code)
}

// build returns the folder of podid and podid-agent.
func build(t *testing.T) string {
	t.Helper()
	if err := compile(); err != nil {
		t.Fatal(err)
	}
	return programs
}

// shell is what a reader has: a folder, and an environment that a block leaves
// to the next.
type shell struct {
	t    *testing.T
	dir  string
	home string // also for what is none of the reader's business
	env  []string
}

func newShell(t *testing.T, bin string) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir(), home: t.TempDir()}
	s.env = []string{
		"HOME=" + s.home, "PATH=" + bin + ":" + os.Getenv("PATH"), "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GOFLAGS=" + os.Getenv("GOFLAGS"), "CHECKPOINT_DISABLE=1",
	}
	for _, name := range []string{"PYENV_VERSION", "PYENV_ROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			s.env = append(s.env, name+"="+value)
		}
	}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOCACHE", "GOPATH", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		s.env = append(s.env, []string{"GOMODCACHE=", "GOCACHE=", "GOPATH=", "GOPROXY="}[i]+value)
	}
	if mirror := "/opt/tf-plugins"; exists(mirror) {
		rc := filepath.Join(s.home, ".terraformrc")
		if err := os.WriteFile(rc, fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// goHere is a go command for a folder that stands for a clone: it compiles the
// repository, where what is compiled already is found again, and leaves what it
// makes in the folder.
const goHere = `#!/bin/sh
if [ "$1 $2" = "build -o" ]; then out="$PWD/$3"; shift 3; set -- build -o "$out" "$@"; fi
cd "%s" && PATH="%s" exec go "$@"
`

// standInClone has the reader stand in a clone of the repository.
func (s *shell) standInClone() {
	s.t.Helper()
	repository, err := filepath.Abs(top)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.home, "go"), fmt.Appendf(nil, goHere, repository, os.Getenv("PATH")), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+s.home+":"+os.Getenv("PATH"))
}

// run runs the blocks of a page, in order.
func (s *shell) run(page string, all []block) {
	ran := 0
	for i, b := range all {
		if b.lang != "sh" {
			continue
		}
		if why, skipped := notRun[b.mark]; skipped {
			s.t.Logf("NOT RUN: %s:%d, which %s: %s", page, b.line, why, firstLine(b.text))
			continue
		}
		ran++
		if b.mark == markServer {
			s.serve(fmt.Sprintf("%s:%d", page, b.line), b.text)
			continue
		}
		out, err := s.block(b)
		switch failed := err != nil; {
		case failed && b.mark != markFails:
			s.t.Fatalf("%s:%d: %v\n%s\n%s", page, b.line, err, b.text, out)
		case !failed && b.mark == markFails:
			s.t.Errorf("%s:%d succeeds\n%s\n%s", page, b.line, b.text, out)
		}
		if i+1 < len(all) && all[i+1].lang == "output" && !shows(all[i+1].text, out) {
			s.t.Errorf("%s:%d prints\n%s\nand not what the page shows\n%s", page, b.line, out, all[i+1].text)
		}
	}
	s.t.Logf("%s: %d shell blocks ran", page, ran)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// prologue takes on what the block before left, and epilogue leaves it to the next.
const (
	prologue = `if [ -f "$HOME/state" ]; then . "$HOME/state"; fi; cd -- "$(cat "$HOME/cwd" 2>/dev/null || pwd)"; ` +
		`trap 'status=$?; export -p > "$HOME/state"; pwd > "$HOME/cwd"; exit $status' EXIT; set -a` + "\n"
	strict = "set -eo pipefail\n"
)

// block runs one block and returns all that it prints.
func (s *shell) block(b block) (string, error) {
	script := prologue + strict + b.text
	if b.mark == markFails {
		script = prologue + b.text
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	return out.String(), err
}

// serve runs a server until the test ends, and returns when it is ready. It
// listens at free ports, as others may do the same on this machine.
func (s *shell) serve(where, text string) {
	s.t.Helper()
	text = strings.ReplaceAll(text, "podid dev", "podid dev --listen 127.0.0.1:0 --agent-listen 127.0.0.1:0")
	cmd := exec.Command("bash", "-c", prologue+text)
	cmd.Dir, cmd.Env = s.dir, s.env
	out := newAwaited("podid dev is ready")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it may be gone
		<-ended
	})
	select {
	case <-out.seen:
	case err := <-ended:
		ended <- err
		s.t.Fatalf("%s ended: %v\n%s", where, err, out)
	case <-time.After(limit):
		s.t.Fatalf("%s is not ready\n%s", where, out)
	}
}

// awaited keeps what is written, and closes seen when a text is in it.
type awaited struct {
	text string
	seen chan struct{}

	mu   sync.Mutex // guards what is below
	all  bytes.Buffer
	done bool
}

func newAwaited(text string) *awaited { return &awaited{text: text, seen: make(chan struct{})} }

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all.Write(p)
	if !a.done && bytes.Contains(a.all.Bytes(), []byte(a.text)) {
		a.done = true
		close(a.seen)
	}
	return len(p), nil
}

func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all.String()
}

var spaces = regexp.MustCompile(" +")

// shows tells whether out is what a page shows. There … stands for any text
// within a line, and on a line of its own for any lines. How many spaces there
// are between words does not count: columns are as wide as what is in them.
func shows(page, out string) bool {
	var pattern strings.Builder
	pattern.WriteString("^")
	for _, line := range strings.Split(strings.TrimSpace(page), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?s:.*)`)
			continue
		}
		parts := strings.Split(strings.TrimRight(line, " "), "…")
		for i := range parts {
			parts[i] = spaces.ReplaceAllString(regexp.QuoteMeta(parts[i]), " +")
		}
		pattern.WriteString(strings.Join(parts, `.*`) + ` *\n`)
	}
	return regexp.MustCompile(pattern.String() + "$").MatchString(strings.TrimSpace(out) + "\n")
}

func TestShows(t *testing.T) {
	for _, c := range []struct {
		page, out string
		want      bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\n", "a\nb\n", false},
		{"id a-…\n", "id a-12ab\n", true},
		{"id a-…\n", "id a-12ab\nmore\n", false},
		{"first\n…\nlast\n", "first\nx\ny\nlast\n", true},
		{"first\n…\nlast\n", "first\nlast\n", true},
		{"…\nlast\n", "first\n", false},
		{"a.c\n", "abc\n", false},
		{"a  b\n", "a    b\n", true},
		{"a b\n", "ab\n", false},
	} {
		if got := shows(c.page, c.out); got != c.want {
			t.Errorf("%q shows %q: %t", c.page, c.out, got)
		}
	}
}
