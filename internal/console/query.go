package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/podid/podid/internal/identity"
)

// The bounds of queries.
const (
	maxQuery  = 16 << 10 // bytes
	maxValues = 20       // of one parameter
	maxWords  = 10       // of q
)

// query is the query of a request, whose first problem is kept.
type query struct {
	values url.Values
	known  map[string]bool
	err    error
}

func queryOf(r *http.Request) *query { return parseQuery(r.URL.RawQuery) }

func parseQuery(raw string) *query {
	q := &query{known: map[string]bool{}}
	if len(raw) > maxQuery {
		q.fail("The query has more than %d bytes.", maxQuery)
		return q
	}
	var err error
	if q.values, err = url.ParseQuery(raw); err != nil {
		q.fail("The query cannot be read.")
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = identity.Errorf(identity.InvalidParameter, format, args...)
	}
}

// done says what is wrong with the query. A parameter that nobody asked for is a
// mistake that would otherwise look like an answer.
func (q *query) done() error {
	for name := range q.values {
		if !q.known[name] {
			q.fail("%.50s is none of the parameters.", name)
		}
	}
	return q.err
}

// all returns the values of a parameter.
func (q *query) all(name string) []string {
	q.known[name] = true
	values := slices.DeleteFunc(slices.Clone(q.values[name]), func(v string) bool { return v == "" })
	if len(values) > maxValues {
		q.fail("%s: at most %d values.", name, maxValues)
		return nil
	}
	return values
}

// one returns the value of a parameter that may be given once.
func (q *query) one(name string) string {
	values := q.all(name)
	if len(values) > 1 {
		q.fail("%s: one value alone.", name)
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (q *query) number(name string, least, most, byDefault int) int {
	text := q.one(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		q.fail("%s: want a number from %d to %d.", name, least, most)
		return byDefault
	}
	return n
}

// words are the lower-case words of a parameter.
func (q *query) words(name string) []string {
	words := strings.Fields(strings.ToLower(q.one(name)))
	if len(words) > maxWords {
		q.fail("%s: at most %d words.", name, maxWords)
		return nil
	}
	return words
}

// associations reads an AssociationFilter.
func (q *query) associations() AssociationFilter {
	f := AssociationFilter{
		Query: q.words("q"), Cluster: q.all("cluster"), Namespace: q.all("namespace"), ServiceAccount: q.all("serviceAccount"),
		Role: q.all("role"), Account: q.all("account"), Tag: q.all("tag"),
	}
	for _, s := range q.all("state") {
		switch State(s) {
		case Working, Failing, NotReady, Unknown:
			f.State = append(f.State, State(s))
		default:
			q.fail("state: want %s, %s, %s or %s.", Working, Failing, NotReady, Unknown)
		}
	}
	return f
}

// matcher is a filter and what its user may see.
type matcher struct {
	AssociationFilter
	scope Scope
}

// all tells whether it matches everything.
func (m *matcher) all() bool {
	return m.scope.All && len(m.Query)+len(m.Cluster)+len(m.Namespace)+len(m.ServiceAccount)+len(m.Role)+len(m.Account)+len(m.State)+len(m.Tag) == 0
}

func (m *matcher) matches(e *entry) bool {
	return m.scope.sees(e.Namespace) &&
		is(m.Cluster, e.Cluster.Name) && is(m.Namespace, e.Namespace) && is(m.ServiceAccount, e.ServiceAccount) && is(m.State, e.State) &&
		(is(m.Role, e.RoleARN) || is(m.Role, e.TargetRoleARN)) && (is(m.Account, e.account) || is(m.Account, e.targetAccount)) &&
		tagged(m.Tag, e.Tags) && hasAll(e.text, m.Query)
}

// is tells whether v is one of wanted, or nothing is wanted.
func is[T comparable](wanted []T, v T) bool { return len(wanted) == 0 || slices.Contains(wanted, v) }

func tagged(wanted []string, tags map[string]string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool {
		key, value, withValue := strings.Cut(w, "=")
		has, ok := tags[key]
		return ok && (!withValue || has == value)
	})
}

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
