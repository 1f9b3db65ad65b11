// Package docs holds the documentation against what it tells of: shell blocks
// run and print what they show, links lead somewhere, generated pages are those
// of the code, and every error text has its entry.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// top is the repository.
const top = "../.."

// A block is a fenced block of a page.
type block struct {
	line       int // of the fence
	lang, mark string
	text       string
}

var fence = regexp.MustCompile("^( *)(```+)(.*)$")

// blocks returns the fenced blocks of a page.
func blocks(page string) []block {
	var all []block
	var open *block
	var indent, ticks string
	for i, line := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == nil && m != nil:
			lang, mark, _ := strings.Cut(strings.TrimSpace(m[3]), " ")
			open, indent, ticks = &block{line: i + 1, lang: lang, mark: strings.TrimSpace(mark)}, m[1], m[2]
		case open != nil && m != nil && m[2] == ticks && m[3] == "":
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	return all
}

// pages are the Markdown files of the repository that are written for people,
// by their paths in it.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules", "testdata", "dist", ".cache"}, d.Name()):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			rel, err := filepath.Rel(top, path)
			all = append(all, rel)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
