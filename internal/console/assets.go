package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// assets is the page as console/ builds it.
//
//go:embed all:assets
var assets embed.FS

// asset is one file of the page.
type asset struct {
	text   []byte
	packed func() []byte // gzip, made once it is wanted
	media  string
	tag    string
	hashed bool // its name says what is in it
}

// page serves the files. A path that names none and has no extension is one of
// the page's own places, and gets index.html.
type page map[string]*asset

func newPage(files fs.FS) (page, error) {
	p := page{}
	err := fs.WalkDir(files, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		rel := strings.TrimPrefix(name, "assets/")
		p[rel] = &asset{
			text: text, packed: sync.OnceValue(func() []byte { return gzipped(text, gzip.BestCompression) }),
			media: mediaType(rel), tag: `"` + hex.EncodeToString(sum[:12]) + `"`,
			hashed: strings.HasPrefix(rel, "assets/"), // Vite puts there what it names by content
		}
		return nil
	})
	if err == nil && p["index.html"] == nil {
		err = fmt.Errorf("console: there is no assets/index.html")
	}
	return p, err
}

// mediaTypes are those of the files that there are: what the machine's own table
// says does not matter.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".woff": "font/woff", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
}

func mediaType(name string) string {
	if t, ok := mediaTypes[path.Ext(name)]; ok {
		return t
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func (a *asset) packs() bool {
	return len(a.text) > 1400 && (strings.HasPrefix(a.media, "text/") || strings.HasPrefix(a.media, "application/json") || strings.HasPrefix(a.media, "image/svg"))
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page is read only", http.StatusMethodNotAllowed)
		return
	}
	name, below := strings.CutPrefix(r.URL.Path, Path)
	a, found := p[name]
	switch {
	case r.URL.Path+"/" == Path:
		http.Redirect(w, r, Path, http.StatusPermanentRedirect)
		return
	case !below, !found && path.Ext(name) != "":
		http.NotFound(w, r)
		return
	case !found:
		a = p["index.html"]
	}
	h := w.Header()
	h.Set("ETag", a.tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if a.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if strings.Contains(r.Header.Get("If-None-Match"), a.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.media)
	body := a.text
	if a.packs() && takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = a.packed()
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // an error here is the reader's going away
	}
}

func takesGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

func gzipped(text []byte, level int) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, level)
	if err != nil { // the levels above are
		return nil
	}
	_, _ = z.Write(text) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}
