// Package arch holds the import table of docs/architecture.md as a test.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/podid/podid/"

// mayImport says which of our own packages each room may import. A package
// that is not listed may import nothing of ours; "..." stands for all below.
var mayImport = map[string][]string{
	"api/v1alpha1":                {},
	"internal/identity":           {},
	"internal/policy":             {},
	"internal/sigv4":              {},
	"internal/shell":              {},
	"internal/rolepolicy":         {"internal/identity", "internal/shell"},
	"internal/httpd":              {},
	"internal/audit":              {},
	"internal/awswire":            {"internal/identity", "internal/sigv4"},
	"internal/token":              {"internal/identity"},
	"internal/token/issuer":       {"internal/identity"},
	"internal/token/review":       {"internal/identity"},
	"internal/token/request":      {"internal/identity"},
	"internal/issue":              {"internal/trace", "internal/identity", "internal/audit"},
	"internal/sts":                {"internal/trace", "internal/identity", "internal/issue"},
	"internal/chain":              {"internal/trace", "internal/identity", "internal/issue"},
	"internal/association":        {"internal/identity", "internal/policy", "internal/audit"},
	"internal/association/sqlite": {"internal/identity", "internal/association"},
	"internal/association/kube":   {"api/v1alpha1", "internal/identity", "internal/association"},
	"internal/admission":          {"api/v1alpha1", "internal/ack", "internal/association", "internal/association/kube", "internal/audit", "internal/identity"},
	"internal/controller":         {"api/v1alpha1", "internal/ack", "internal/association", "internal/association/kube", "internal/audit", "internal/identity"},
	"internal/ack":                {"internal/identity"},
	"internal/accesskey":          {"internal/identity", "internal/sigv4"},
	"internal/certificate":        {},
	"internal/promise":            {"internal/identity"},
	"internal/install":            {"internal/identity", "deploy"},
	"deploy":                      {},
	"internal/rbac":               {"internal/identity"},
	"internal/eks":                {"internal/identity", "internal/association", "internal/awswire", "internal/audit"},
	"internal/changes":            {"internal/identity"},
	"internal/eksauth":            {"internal/trace", "internal/identity", "internal/issue", "internal/awswire", "internal/changes"},
	"internal/explain":            {"internal/identity", "internal/policy", "internal/issue", "internal/eksauth", "internal/shell"},
	"internal/console/kube":       {"api/v1alpha1", "internal/association", "internal/association/kube", "internal/certificate", "internal/console", "internal/identity"},
	"internal/console": {"internal/identity", "internal/association", "internal/audit", "internal/chain", "internal/explain", "internal/issue",
		"internal/rolepolicy"},
	"internal/trace":      {"internal/httpd", "internal/identity"},
	"internal/trace/otlp": {"internal/trace"},
	"internal/metrics":    {"internal/identity", "internal/audit", "internal/issue", "internal/chain", "internal/changes", "internal/httpd"},
	"internal/agent":      {"internal/trace", "internal/identity", "internal/eksauth", "internal/httpd"},
	"internal/agent/link": {},
	"internal/podexec":    {"internal/identity"},
	"internal/kubeconfig": {"api/v1alpha1", "internal/identity", "internal/association/kube", "internal/accesskey", "internal/token/request",
		"internal/eksauth", "internal/agent", "internal/podexec"},
	"internal/awssim": {"internal/identity", "internal/policy", "internal/sigv4", "internal/awswire"},
	"cmd/podid-agent": {"internal/trace", "internal/agent", "internal/agent/link", "internal/eksauth", "internal/httpd", "internal/identity"},
}

// roots compose the rooms and may import any of them.
var roots = []string{"cmd/podid", "internal/devenv", "internal/demo", "internal/server"}

// pure packages judge; they may do no I/O and read no clock.
var pure = []string{"internal/identity", "internal/policy"}

var impure = []string{"net", "net/http", "os", "os/exec", "io/fs", "database/sql", "log"}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		seen[room] = true
		if slices.Contains(p.Imports, module+"internal/awssim") && !simulates(room) {
			t.Errorf("%s imports awssim: what runs in front of accounts does without", room)
		}
		if slices.Contains(roots, room) || strings.HasPrefix(room, "test/") || room == "internal/arch" {
			continue
		}
		allowed, listed := mayImport[room]
		if !listed {
			t.Errorf("%s is not in the import table", room)
		}
		for _, imp := range p.Imports {
			ours, found := strings.CutPrefix(imp, module)
			if found && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the import table does not allow", room, ours)
			}
		}
	}
	for room := range mayImport {
		if !seen[room] {
			t.Errorf("the import table lists %s, which does not exist", room)
		}
	}
}

// simulates tells whether a room may bring the small AWS.
func simulates(room string) bool {
	return room == "internal/devenv" || room == "internal/demo" || strings.HasPrefix(room, "test/")
}

func TestPureRoomsDoNoIO(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, strings.TrimPrefix(p.ImportPath, module)) {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains(impure, imp) || strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s: it must stay pure", p.ImportPath, imp)
			}
		}
	}
}
