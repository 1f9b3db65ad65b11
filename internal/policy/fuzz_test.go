package policy

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func seedPolicies(f *testing.F, add func(t Type, text string)) {
	for _, c := range loadTable(f) {
		if c.parse != nil {
			add(c.parse.kind, c.parse.text)
			continue
		}
		for _, set := range [][]Policy{c.policies.Identity, c.policies.Resource, c.policies.Session} {
			for _, p := range set {
				add(p.Document.Type(), p.Document.Source())
			}
		}
	}
}

// What Parse accepts prints and reads again as the same, and can be judged.
func FuzzParse(f *testing.F) {
	seedPolicies(f, func(t Type, text string) { f.Add(int(t), text) })
	f.Fuzz(func(t *testing.T, kind int, text string) {
		d, err := Parse(Type(kind), text)
		if err != nil {
			e := err.(*SyntaxError)
			if e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(text, "\n") || e.Message == "" {
				t.Errorf("no place in the text: %#v", e)
			}
			return
		}
		for _, s := range d.Statements() {
			if written := text[s.Start.Offset:s.End.Offset]; written[0] != '{' || written[len(written)-1] != '}' || !json.Valid([]byte(written)) {
				t.Errorf("not a statement: %q", written)
			}
		}
		printed := d.String()
		again, err := Parse(Type(kind), printed)
		if e, ok := err.(*SyntaxError); ok && e.TooLarge {
			return // an escape can be shorter than what it stands for
		}
		if err != nil {
			// A character beyond Latin-1 can only be written as an escape.
			if strings.Contains(text, `\u`) && strings.Contains(err.Error(), "not allowed") {
				return
			}
			t.Fatalf("printed what does not parse: %v\n%s", err, printed)
		}
		if again.String() != printed || !reflect.DeepEqual(again.ContextKeys(), d.ContextKeys()) || !reflect.DeepEqual(again.PrincipalARNs(), d.PrincipalARNs()) {
			t.Errorf("read again differently:\n%s\n%s", printed, again)
		}
		judgeAll(t, d)
	})
}

// judgeAll puts d in every part that takes it, and checks what must hold of
// every decision.
func judgeAll(t *testing.T, d *Document) {
	one := []Policy{{Name: "fuzzed", Type: d.Type(), Document: d}}
	for _, p := range []Policies{{Identity: one}, {Resource: one}, {Boundary: one}, {Session: one}, {SCP: [][]Policy{one}}, {ResourceRCP: [][]Policy{one}}} {
		for _, who := range []Principal{
			{}, {Kind: Service, Service: "pods.eks.amazonaws.com"}, {Kind: Root, AccountID: "111122223333", ARN: "arn:aws:iam::111122223333:root"},
			{Kind: User, AccountID: "111122223333", ARN: "arn:aws:iam::111122223333:user/alice", UniqueID: "AIDAALICE000000000001"},
		} {
			req := Request{
				Principal: who, Action: "sts:AssumeRole", Resource: "arn:aws:iam::111122223333:role/target",
				ResourceAccountID: "111122223333", Context: Context{"aws:username": {"alice"}, "aws:tagkeys": {"a", "b"}},
			}
			got := Evaluate(&req, &p)
			for _, r := range got.Reasons {
				if r.Matched != (len(r.Misses) == 0) {
					t.Errorf("a reason says both: %+v", r)
				}
				if r.Matched && !r.Allow && got.Verdict != ExplicitDeny {
					t.Errorf("a Deny matched and did not deny: %+v", got)
				}
			}
			if got.Allowed() && (d.Type() != Trust || who.Kind == Root || who.Kind == Anonymous) {
				t.Errorf("AssumeRole without a trust policy, or for %v: %+v", who.Kind, got)
			}
		}
	}
}

// The scanner accepts nothing that encoding/json does not, and reads the same.
func FuzzScan(f *testing.F) {
	seedPolicies(f, func(_ Type, text string) { f.Add(text) })
	for _, s := range []string{`"\ud83d\ude00\/\b"`, `[1,-0.5e+3,true,false,null,{}]`, `{"a":{"a":[]}}`, "\"\xff\"", `"` + "\x00" + `"`, "[1 2]", "-", "01", "\ufeff{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, refused := scan(text)
		if refused != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if got := plain(&n); !reflect.DeepEqual(got, want) {
			t.Errorf("read %#v, want %#v", got, want)
		}
	})
}

func plain(n *node) any {
	switch n.kind {
	case objectNode:
		object := map[string]any{}
		for i := range n.members {
			object[n.members[i].key] = plain(&n.members[i].value)
		}
		return object
	case arrayNode:
		array := []any{}
		for i := range n.items {
			array = append(array, plain(&n.items[i]))
		}
		return array
	case stringNode:
		return n.text
	case numberNode:
		return json.Number(n.text)
	case booleanNode:
		return n.text == "true"
	}
	return nil
}

// Matching agrees with regular expressions, for every kind of wildcard.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{
		{"", ""}, {"*", "abc"}, {"a*c", "abc"}, {"*?", "ä"}, {"??", "€"}, {"*a*b", "aaab"}, {"a+b", "axyb"}, {"+:+", "a:b:c"}, {"*+:-", "a:b:c"}, {"-", ":"},
		{"*??*", "€"}, {"a*a*a", "aa"}, {"+*+", "::"},
	} {
		f.Add(s[0], s[1])
	}
	// + and - stand for the wildcards that stop at colons.
	segments := strings.NewReplacer("+", string([]byte{segmentRun}), "-", string([]byte{segmentOne}))
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) || len(pattern) > 200 {
			return
		}
		compiled := segments.Replace(wildcardBytes.Replace(pattern))
		want := globExpression(pattern).MatchString(text)
		if got := globMatch(compiled, text); got != want {
			t.Errorf("%q and %q: %v, want %v", pattern, text, got, want)
		}
	})
}

func globExpression(pattern string) *regexp.Regexp {
	var e strings.Builder
	for _, r := range pattern {
		switch r {
		case '*':
			e.WriteString("(?:.*)")
		case '?':
			e.WriteString("(?:.)")
		case '+':
			e.WriteString("(?:[^:]*)")
		case '-':
			e.WriteString("(?:[^:])")
		default:
			e.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(`\A(?s:` + e.String() + `)\z`)
}

// A resource matches as the rules of the page say, written as an expression.
func FuzzResource(f *testing.F) {
	for _, s := range [][2]string{
		{"arn:aws:s3:::data/*", "arn:aws:s3:::data/a:b"}, {"arn:aws:sqs:us-*4:a:q", "arn:aws:sqs:us-west-2:4:a:q"}, {"arn:aws:sqs", "arn:aws:sqs:r:a:q"},
		{"arn:*:iam::*:role/x-?", "arn:aws:iam::1:role/x-1"}, {"arn:aws:dynamodb:*:table/x", "arn:aws:dynamodb:r:a:table/x"}, {"arn:aws:a:b", "arn:aws:a:b:c:d"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, arn string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(arn) || strings.ContainsAny(pattern, "+-") || len(pattern) > 200 {
			return
		}
		r, problem := compileResource(pattern, dialect{wild: true}, true)
		if problem != "" || r.any {
			return
		}
		want := resourceExpression(pattern).MatchString(arn)
		if missing := 5 - strings.Count(pattern, ":"); missing > 0 {
			want = want || resourceExpression(pattern+strings.Repeat(":*", missing)).MatchString(arn)
		}
		if got := r.matches(arn, nil); got != want {
			t.Errorf("%q and %q: %v, want %v", pattern, arn, got, want)
		}
	})
}

func resourceExpression(pattern string) *regexp.Regexp {
	parts := strings.SplitN(pattern, ":", arnParts)
	for i := range parts {
		if i == arnParts-1 {
			break
		}
		last := strings.HasSuffix(parts[i], "*")
		parts[i] = strings.NewReplacer("*", "+", "?", "-").Replace(parts[i])
		if last {
			parts[i] = parts[i][:len(parts[i])-1] + "*"
		}
	}
	return globExpression(strings.Join(parts, ":"))
}
