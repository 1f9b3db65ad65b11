package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// catalogue is the page that tells of every error text.
const catalogue = "docs/how-to/troubleshoot.md"

// plainErrors are the rooms whose every error reaches whoever typed a command,
// or reads the agent's answers. What identity.Errorf makes reaches callers from
// all rooms.
var plainErrors = []string{"cmd/podid", "cmd/podid-agent", "internal/agent", "internal/agent/link", "internal/devenv", "internal/explain",
	"internal/install", "internal/kubeconfig", "internal/podexec", "internal/token/request"}

// said are the fields that hold texts for users, by room.
var said = map[string][]string{
	"internal/agent": {"text"}, "internal/controller": {"Message"},
}

// leastLetters is how much of its own a text has to say; less only passes on
// what another error says.
const leastLetters = 12

var verbs = regexp.MustCompile(`%[-+# 0]*[0-9]*(\.[0-9]+)?(\[[0-9]+\])?[a-zA-Z]`)

// errorTexts returns the texts of the code, with … where something is filled
// in, and where each is.
func errorTexts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	files := token.NewFileSet()
	for _, root := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(top, root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			room, err := filepath.Rel(top, filepath.Dir(path))
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, text := range textsOf(n, room) {
					own := strings.ReplaceAll(verbs.ReplaceAllString(text, "…"), "%%", "%")
					letters := strings.Map(func(r rune) rune {
						if unicode.IsLetter(r) {
							return r
						}
						return -1
					}, own)
					if len(letters) >= leastLetters && !strings.HasPrefix(own, file.Name.Name+": ") { // those are for who calls the room
						texts[own] = files.Position(n.Pos()).String()
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

// textsOf are the texts for users that a node makes.
func textsOf(n ast.Node, room string) []string {
	switch n := n.(type) {
	case *ast.CallExpr:
		var arguments []ast.Expr
		switch name := called(n.Fun); {
		case name == "identity.Errorf" && len(n.Args) > 1:
			arguments = n.Args[1:2]
		case (name == "fmt.Errorf" || name == "errors.New") && slices.Contains(plainErrors, room),
			room == "internal/admission" && (strings.HasSuffix(name, "warn") || name == "add"):
			arguments = n.Args[:min(1, len(n.Args))]
		case room == "internal/agent" && name == "badToken" && len(n.Args) > 1:
			arguments = n.Args[1:2]
		}
		return literals(arguments)
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && slices.Contains(said[room], key.Name) {
			var found []string
			ast.Inspect(n.Value, func(v ast.Node) bool {
				if e, ok := v.(ast.Expr); ok {
					found = append(found, literals([]ast.Expr{e})...)
				}
				return true
			})
			return found
		}
	}
	return nil
}

func called(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

func literals(of []ast.Expr) []string {
	var all []string
	for _, e := range of {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				all = append(all, text)
			}
		}
	}
	return all
}

// entries are the texts of the catalogue: the first cells of its tables of texts.
func entries(page string) map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{}
	inside := false
	for line := range strings.Lines(page) {
		inside = strings.HasPrefix(line, "| text |") || inside && strings.HasPrefix(line, "|")
		cell, is := strings.CutPrefix(line, "| `")
		if !inside || !is {
			continue
		}
		cell, _, _ = strings.Cut(cell, "` |")
		for _, text := range strings.Split(cell, "`<br>`") {
			parts := strings.Split(strings.ReplaceAll(text, `\|`, "|"), "…")
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			all[text] = regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$")
		}
	}
	return all
}

// TestErrorTexts wants each error text that a user can see to have its entry in
// the catalogue, and each entry to be of a text that there is.
func TestErrorTexts(t *testing.T) {
	texts, all := errorTexts(t), entries(read(t, catalogue))
	if len(texts) < 150 {
		t.Fatalf("found %d error texts in the code", len(texts))
	}
	used := map[string]bool{}
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		found := false
		for entry, pattern := range all {
			if pattern.MatchString(text) {
				found, used[entry] = true, true
			}
		}
		if !found {
			t.Errorf("%s has no entry for %q (%s)", catalogue, text, texts[text])
		}
	}
	for entry := range all {
		if !used[entry] {
			t.Errorf("%s has an entry for %q, which the code does not say", catalogue, entry)
		}
	}
}
