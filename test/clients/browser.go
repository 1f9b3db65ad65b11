package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Scenarios are what a browser is to try. File is required.
type Scenarios struct {
	// File is their script in console/tests.
	File string
	// Asked is what they read of their world: at least urls, of consoles by name.
	Asked map[string]any
	// Do does what one wants done outside of the browser, with a text of its own.
	Do func(t *testing.T, what, with string)
}

// report is a line that console/tests/run.mjs writes: what became of a
// scenario, or something that it wants done meanwhile.
type report struct {
	Scenario string   `json:"scenario"`
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
	Do       string   `json:"do"`
	With     string   `json:"with"`
}

// Browser is Chromium, driven by Node.js. Make it with NewBrowser.
type Browser struct{ node, chromium, page, pictures string }

// NewBrowser skips a test loudly where there is no browser. Screenshots are kept in
// PODID_SCREENSHOTS, or a folder that the test names.
func NewBrowser(t *testing.T) *Browser {
	t.Helper()
	b := &Browser{pictures: os.Getenv("PODID_SCREENSHOTS")}
	var err error
	if b.page, err = consoleFolder(); err != nil {
		t.Fatal(err)
	}
	b.node, err = exec.LookPath("node")
	Require(t, "browser", err == nil, "no node on the PATH")
	b.chromium, err = exec.LookPath("chromium")
	Require(t, "browser", err == nil, "no chromium on the PATH: run 'make browser'")
	_, err = os.Stat(filepath.Join(b.page, "node_modules", "playwright-core"))
	Require(t, "browser", err == nil, "run 'make console-check' first")
	if b.pictures == "" {
		if b.pictures, err = os.MkdirTemp("", "podid-console-"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("screenshots are in %s (PODID_SCREENSHOTS chooses another folder)", b.pictures)
	return b
}

// Run runs the scenarios, each as a test of its own; with PODID_SCENARIO, those
// that have it in their names.
func (b *Browser) Run(t *testing.T, s Scenarios) {
	t.Helper()
	all := map[string]any{"scenarios": s.File, "chromium": b.chromium, "screenshots": b.pictures, "only": os.Getenv("PODID_SCENARIO")}
	maps.Copy(all, s.Asked)
	asked, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), b.node, filepath.Join(b.page, "tests", "run.mjs"), string(asked))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ran := s.follow(t, out, in)
	if err := cmd.Wait(); err != nil || ran == 0 && os.Getenv("PODID_SCENARIO") == "" {
		t.Errorf("the browser's script ran %d scenarios: %v", ran, err)
	}
}

// follow reads what the script writes until it ends, and counts its scenarios.
func (s Scenarios) follow(t *testing.T, out io.Reader, in io.Writer) (ran int) {
	t.Helper()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Errorf("the browser's script wrote %q", lines.Text())
			continue
		}
		if r.Do != "" {
			s.Do(t, r.Do, r.With)
			if _, err := io.WriteString(in, "done\n"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		ran++
		t.Run(r.Scenario, func(t *testing.T) {
			for _, n := range r.Notes {
				t.Log(n)
			}
			for _, p := range r.Problems {
				t.Error(p)
			}
		})
	}
	if lines.Err() != nil {
		t.Error(lines.Err())
	}
	return ran
}

// consoleFolder finds the page's folder above the test's.
func consoleFolder() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		page := filepath.Join(folder, "console")
		if _, err := os.Stat(filepath.Join(page, "package.json")); err == nil {
			return page, nil
		}
		above := filepath.Dir(folder)
		if above == folder {
			return "", errors.New("there is no folder console above that of the test")
		}
		folder = above
	}
}
