package explain_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/policy"
)

// decision is a line of the small AWS's decision log.
type decision struct {
	Caller, Action, Resource string
	Context                  map[string][]string
}

func (w *world) decisions() []decision {
	w.t.Helper()
	res, err := http.Get(w.info.URL + "/_podid/decisions")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var all []decision
	dec := json.NewDecoder(res.Body)
	for dec.More() {
		var page struct{ Decisions []decision }
		if err := dec.Decode(&page); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Decisions...)
	}
	return all
}

// TestSameRequest: explain judges the very request that AWS gets: in every
// world, each condition key of a role assumption is the one that the small AWS
// saw, but for what only the moment of the call can tell.
func TestSameRequest(t *testing.T) {
	momentary := []string{"aws:currenttime", "aws:epochtime", "aws:tokenissuetime", "aws:useragent", "aws:referer", "aws:sourceip"}
	for _, path := range worlds(t, "*.yaml", 28) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			w := start(t, path)
			w.credentials()
			seen := w.decisions()
			requests, err := explain.Requests(t.Context(), w.config(), w.question())
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, r := range requests {
				i := slices.IndexFunc(seen, func(d decision) bool { return d.Action == r.Action && d.Resource == r.Resource })
				if i < 0 {
					continue // the hop before it was refused
				}
				compared++
				compareContexts(t, r, seen[i].Context, momentary)
			}
			if compared == 0 {
				t.Error("no request was compared")
			}
		})
	}
}

func compareContexts(t *testing.T, r policy.Request, seen map[string][]string, momentary []string) {
	t.Helper()
	for key, want := range seen {
		if slices.Contains(momentary, strings.ToLower(key)) {
			continue
		}
		got, ok := r.Context.Get(key)
		if !ok || !slices.Equal(withoutUUID(got), withoutUUID(want)) {
			t.Errorf("%s on %s: %s is %q, and AWS got %q", r.Action, r.Resource, key, got, want)
		}
	}
	for key := range r.Context {
		if _, ok := (policy.Context)(seen).Get(key); !ok {
			t.Errorf("%s on %s: AWS got no %s", r.Action, r.Resource, key)
		}
	}
}

var uuidAtEnd = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// withoutUUID cuts off the random end of session names.
func withoutUUID(values []string) []string {
	out := slices.Clone(values)
	for i := range out {
		out[i] = uuidAtEnd.ReplaceAllString(out[i], "")
	}
	return out
}
