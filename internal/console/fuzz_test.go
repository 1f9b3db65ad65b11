package console

import (
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

// FuzzQuery: whatever is asked for is read within its bounds, or refused with a
// reason that may be shown.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "q=a+b&namespace=x&namespace=y&state=working&sort=-created", "before=eyJhIjoiMSJ9&after=e30", "from=1h&to=2026-01-01T00:00:00Z", "from=-1h", "q=%zz",
		"before=bnVsbA", "limit=99999999999999999999", "wait=25&buckets=0", strings.Repeat("role=a&", 25),
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw string) {
		q := parseQuery(raw)
		filter := q.associations()
		if len(filter.Query) > maxWords || len(filter.Role) > maxValues {
			t.Errorf("%+v", filter)
		}
		m := matcher{filter, Scope{All: true}}
		m.matches(newEntry(record("shop/web")))
		activities := q.activities(now)
		activities.matches(Scope{})(event(1, "shop", "granted"))
		if n := q.number("limit", 1, 500, 50); n < 1 || n > 500 {
			t.Errorf("limit %d", n)
		}
		for _, name := range []string{"before", "after"} {
			if c := q.cursor(name); c != nil {
				again := (&query{values: map[string][]string{name: {c.String()}}, known: map[string]bool{}}).cursor(name)
				if len(again) != len(c) {
					t.Errorf("%v is read again as %v", c, again)
				}
			}
		}
		if err := q.done(); err != nil && (identity.KindOf(err) != identity.InvalidParameter || identity.SafeMessage(err) == "") {
			t.Errorf("%v", err)
		}
	})
}
