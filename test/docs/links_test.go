package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notInSlugs = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks wants every link within the repository to lead to a file, and to a
// heading that it has.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(read(t, page)), -1) {
			path, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, ":") {
				continue // of another place
			}
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			info, err := os.Stat(filepath.Join(top, target))
			switch {
			case err != nil:
				t.Errorf("%s links to %s, which is not there", page, m[1])
			case anchor != "" && !info.IsDir() && !headings(read(t, target))[anchor]:
				t.Errorf("%s links to %s, and that page has no such heading", page, m[1])
			}
		}
	}
}

// TestIndex wants every page of docs/ in its index and in the site's sidebar.
func TestIndex(t *testing.T) {
	index, config := read(t, "docs/README.md"), read(t, "site/.vitepress/config.mts")
	for _, page := range pages(t) {
		name, found := strings.CutPrefix(page, "docs/")
		if !found || name == "README.md" || strings.HasPrefix(name, "decisions/") {
			continue
		}
		if !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
		at := "'/" + strings.TrimSuffix(strings.TrimSuffix(name, ".md"), "README") + "'"
		if !strings.Contains(config, at) && !strings.HasPrefix(name, "install/") {
			t.Errorf("the sidebar of the site does not lead to %s", name)
		}
	}
}

var testName = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)`")

// TestNamedTests wants the tests that pages name as proof to be there.
func TestNamedTests(t *testing.T) {
	var code strings.Builder
	for _, root := range []string{"internal", "cmd", "test"} {
		err := filepath.WalkDir(filepath.Join(top, root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := code.String()
	for _, page := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(read(t, page), -1) {
			if !strings.Contains(all, "func "+m[1]+"(") {
				t.Errorf("%s names %s, and there is no such test", page, m[1])
			}
		}
	}
}

var inlineCode = regexp.MustCompile("`[^`\n]*`")

// withoutCode drops what only looks like links and headings.
func withoutCode(page string) string {
	var kept []string
	inside := false
	for _, line := range strings.Split(page, "\n") {
		if fence.MatchString(line) {
			inside = !inside
		} else if !inside {
			kept = append(kept, line)
		}
	}
	return inlineCode.ReplaceAllString(strings.Join(kept, "\n"), "")
}

// headings returns the anchors of a page, as forges make them.
func headings(page string) map[string]bool {
	var outside []string
	inside := false
	for _, line := range strings.Split(page, "\n") {
		if fence.MatchString(line) {
			inside = !inside
		} else if !inside {
			outside = append(outside, line)
		}
	}
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(strings.Join(outside, "\n"), -1) {
		slug := notInSlugs.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		all[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return all
}
