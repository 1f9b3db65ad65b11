package explain

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/podid/podid/internal/policy"
	"github.com/podid/podid/internal/shell"
)

// FuzzDraft: taking a policy apart and putting it together loses nothing.
func FuzzDraft(f *testing.F) {
	for _, text := range []string{
		`{"Version":"2012-10-17","Id":"x","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}`,
		`{"Statement":[{"Sid":"A","Effect":"Deny","NotPrincipal":{"AWS":["111122223333"],"Service":"ec2.amazonaws.com"},"NotAction":["s3:Get*"],"NotResource":["arn:aws:s3:::b/<&>"]}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["a:b"],"Resource":"*","Condition":{"StringLike":{"aws:x":["a","b"],"aws:y":[]},"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"s3:max-keys":10}}}]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, err := policy.Parse(policy.Resource, text)
		if err != nil {
			return
		}
		d := &document{kind: policy.Resource, text: text}
		parts, err := d.draft()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, printed := range []string{parts.String(), parts.pretty()} {
			after, err := policy.Parse(policy.Resource, printed)
			if err != nil {
				t.Fatalf("%s\nbecame\n%s\n%v", text, printed, err)
			}
			if a, b := canonical(before), canonical(after); !reflect.DeepEqual(a, b) {
				t.Errorf("%s\nbecame\n%s\n%+v\n%+v", text, printed, a, b)
			}
		}
	})
}

// canonical are a document's statements without their places, conditions sorted.
func canonical(d *policy.Document) []policy.Statement {
	var all []policy.Statement
	for _, s := range d.Statements() {
		s = clone(s)
		s.Start, s.End = policy.Position{}, policy.Position{}
		slices.SortFunc(s.Conditions, func(a, b policy.Condition) int {
			return cmp.Or(cmp.Compare(a.Operator, b.Operator), cmp.Compare(a.Key, b.Key))
		})
		for _, list := range []*[]policy.NamedPrincipal{&s.Principals, &s.NotPrincipals} {
			slices.SortStableFunc(*list, func(a, b policy.NamedPrincipal) int { return cmp.Compare(a.Kind, b.Kind) })
		}
		for i := range s.Conditions {
			if len(s.Conditions[i].Values) == 0 {
				s.Conditions[i].Values = nil
			}
		}
		if len(s.Conditions) == 0 {
			s.Conditions = nil // an empty element asks for nothing
		}
		all = append(all, s)
	}
	return all
}

// TestUnified applies each diff, and gets the other text.
func TestUnified(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := func() []string {
		out := make([]string, r.IntN(30))
		for i := range out {
			out[i] = string(rune('a' + r.IntN(4)))
		}
		return out
	}
	for range 2000 {
		from, to := lines(), lines()
		diff := unified("policy", from, to)
		if slices.Equal(from, to) != (diff == "") {
			t.Fatalf("%q and %q differ by %q", from, to, diff)
		}
		if got := apply(t, from, diff); !slices.Equal(got, to) {
			t.Fatalf("%q patched with\n%s\nis %q, want %q", from, diff, got, to)
		}
	}
}

func apply(t *testing.T, from []string, diff string) []string {
	t.Helper()
	var out []string
	at := 0
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		case strings.HasPrefix(line, "@@"):
			start := 0
			for _, c := range line[len("@@ -"):] {
				if c < '0' || c > '9' {
					break
				}
				start = start*10 + int(c-'0')
			}
			if !strings.HasPrefix(line[strings.Index(line, ","):], ",0 ") {
				start--
			}
			out = append(out, from[at:start]...)
			at = start
		case line[0] == '+':
			out = append(out, line[1:])
		default:
			if at >= len(from) || from[at] != line[1:] {
				t.Fatalf("line %d of %q is not %q", at, from, line[1:])
			}
			if line[0] == ' ' {
				out = append(out, line[1:])
			}
			at++
		}
	}
	return append(out, from[at:]...)
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"": "''", "plain-1.txt": "plain-1.txt", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "*": "'*'", "arn:aws:iam::1:role/x": "arn:aws:iam::1:role/x",
	} {
		if got := shell.Word(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}

// TestNarrowest: what a fix lets in, and what it still keeps out.
func TestNarrowest(t *testing.T) {
	statement := policy.Statement{Actions: []string{"sts:AssumeRole", "sts:TagSession"}, Resources: []string{"*"}}
	s := &stage{name: StepHop2}
	const target = "arn:aws:iam::444455556666:role/target"
	a := &ask{request: policy.Request{Action: "sts:AssumeRole", Resource: target, Context: policy.Context{}}, open: func(string) bool { return false }}
	d := &document{kind: policy.Identity, name: "p", place: inlinePlace{}, text: (&draft{version: "2012-10-17", statements: []policy.Statement{statement}}).String()}
	parts, err := d.draft()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.carve(a, d, 0, parts); !ok {
		t.Fatal("nothing was carved out")
	}
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:TagSession","Resource":"*"},{"Effect":"Deny","Action":"sts:AssumeRole","NotResource":"` + target + `"}]}`
	if d.text != want {
		t.Errorf("the Deny became\n%s\nwant\n%s", d.text, want)
	}
}
