package policy

// The tables in testdata/*.txtar are one archive for each theme. Its files are
// policies, and one file "cases". Lines before the first case are what all
// cases of the file begin with; a case then says what differs.
//
//	case NAME
//	see URL                        the page that states the rule; holds until the next see
//	who user ACCOUNT [PATH/]NAME   the caller; also: who role ACCOUNT [PATH/]NAME SESSION,
//	                               who root ACCOUNT, who service NAME, who web PROVIDER-ARN, who anonymous
//	id ID                          the caller's unique id; otherwise AIDA or AROA and the name in capitals
//	canonical ID                   the caller's canonical user id
//	do ACTION RESOURCE [OWNER]     OWNER, the account: that of the ARN, or else the caller's
//	with KEY = VALUE | VALUE       a condition key; nothing after "=" is one empty value
//	with KEY none                  a key without values
//	without KEY                    takes a key away
//	identity POLICY...             also: boundary, session, resource, trust. POLICY is a file of the archive,
//	                               or JSON: a document, or a statement of one with Version 2012-10-17.
//	                               "identity none" takes them away; "identity + POLICY" adds to them
//	if CONDITION                   an identity policy named "if" that allows everything under this Condition
//	unless CONDITION               one named "unless" that denies everything under it, besides one that allows
//	old-if CONDITION               like if, with Version 2008-10-17
//	scp POLICY...                  one level; a second line is the level below. rcp likewise. "scp none"
//	bind ARN ID                    binds principals of the resource's policies, as a store does
//	=> allowed by STAGE            the decision; also: => denied by STAGE, => explicit deny
//	because NAME[N] matches        a reason that must be there. NAME is the file, or for JSON the kind of policy
//	because NAME[N] delegates      matches, by naming the account alone
//	because NAME[N] misses ELEMENT [OPERATOR KEY] [want VALUE] [got VALUE | absent]
//
// Cases of the grammar:
//
//	refuse TYPE POLICY             Parse must fail; TYPE as above
//	at PATH                        where, such as Statement[0].Effect; "at document" for an empty path
//	on LINE:COLUMN
//	says TEXT                      what the message contains
//	accept TYPE POLICY             Parse must not fail

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

type tableCase struct {
	file, name, see string
	request         Request
	policies        Policies
	stage           string // with the verdict: "allowed by trust policy", "explicit deny"
	because         []string
	parse           *parseCase
}

type parseCase struct {
	kind           Type
	text           string
	refused        bool
	at, on, phrase string
}

func TestTable(t *testing.T) {
	cases := loadTable(t)
	if len(cases) < 300 {
		t.Errorf("the tables have %d cases, want at least 300", len(cases))
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.file+"/"+strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			if !strings.HasPrefix(c.see, "https://") {
				t.Error("the case cites no page")
			}
			if c.parse != nil {
				c.parse.check(t)
				return
			}
			c.checkDecision(t)
		})
	}
}

func (c *tableCase) checkDecision(t *testing.T) {
	if len(c.because) == 0 {
		t.Error("the case expects no reason")
	}
	d := Evaluate(&c.request, &c.policies)
	if got := outcome(d); got != c.stage {
		t.Errorf("got %q, want %q", got, c.stage)
	}
	if n := c.policies.statements(); len(d.Reasons) != n {
		t.Errorf("got %d reasons for %d statements", len(d.Reasons), n)
	}
	for _, want := range c.because {
		if !slices.ContainsFunc(d.Reasons, func(r Reason) bool { return says(&r, want) }) {
			t.Errorf("no reason says %q", want)
		}
	}
	if t.Failed() {
		for _, r := range d.Reasons {
			t.Logf("%+v", r)
		}
	}
}

// outcome is what a decision comes down to, in the words of the tables.
func outcome(d *Decision) string {
	switch d.Verdict {
	case Allowed:
		return "allowed by " + d.Stage
	case ImplicitDeny:
		return "denied by " + d.Stage
	}
	return d.Stage
}

// says tells whether r is what a because line asks for.
func says(r *Reason, line string) bool {
	name, rest, _ := strings.Cut(line, " ")
	if name != fmt.Sprintf("%s[%d]", r.Policy, r.Statement) {
		return false
	}
	switch rest {
	case "matches":
		return r.Matched && len(r.Misses) == 0
	case "delegates":
		return r.Matched && r.Delegates
	}
	want, ok := strings.CutPrefix(rest, "misses ")
	return ok && !r.Matched && slices.ContainsFunc(r.Misses, func(m Miss) bool { return missSays(&m, want) })
}

func missSays(m *Miss, line string) bool {
	line, absent := strings.CutSuffix(line, " absent")
	before, values, _ := strings.Cut(line+" ", " want ")
	before, got, hasGot := strings.Cut(before+" ", " got ")
	if values != "" {
		values, got, hasGot = strings.Cut(values, " got ")
	}
	element := strings.TrimSpace(m.Element + " " + strings.TrimSpace(m.Operator+" "+m.Key))
	return strings.TrimSpace(before) == element &&
		(!absent || m.Absent && len(m.Got) == 0) &&
		(values == "" || slices.Contains(m.Want, strings.TrimSpace(values))) &&
		(!hasGot || slices.Contains(m.Got, strings.TrimSpace(got)))
}

func (p *parseCase) check(t *testing.T) {
	d, err := Parse(p.kind, p.text)
	if !p.refused {
		if err != nil {
			t.Errorf("refused: %v", err)
		} else if d == nil {
			t.Error("no document")
		}
		return
	}
	if err == nil {
		t.Fatalf("accepted %s", p.text)
	}
	e := err.(*SyntaxError)
	at := e.Path
	if at == "" {
		at = "document"
	}
	if p.at == "" || at != p.at {
		t.Errorf("refused at %q, want %q: %v", at, p.at, e)
	}
	if on := fmt.Sprintf("%d:%d", e.Line, e.Column); p.on != "" && on != p.on {
		t.Errorf("refused on %s, want %s: %v", on, p.on, e)
	}
	if p.phrase == "" || !strings.Contains(e.Message, p.phrase) {
		t.Errorf("message %q does not contain %q", e.Message, p.phrase)
	}
}

func loadTable(t testing.TB) []tableCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	var all []tableCase
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		reader := tableReader{t: t, file: strings.TrimSuffix(filepath.Base(file), ".txtar"), texts: map[string]string{}}
		for _, f := range archive.Files {
			reader.texts[f.Name] = string(f.Data)
		}
		all = append(all, reader.read(reader.texts["cases"])...)
	}
	return all
}
