package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func mustParse(t *testing.T, kind Type, text string) *Document {
	t.Helper()
	d, err := Parse(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func TestQuotas(t *testing.T) {
	const (
		plain     = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::FILL"}}`
		principal = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::FILL"}}`
		trust     = `{"Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"FILL"}}}}`
	)
	for _, c := range []struct {
		kind       Type
		frame      string
		limit      int
		whiteSpace bool // counts
	}{
		{Identity, plain, maxText, true}, {Boundary, plain, maxText, true}, {Session, plain, 2048, true}, {SCP, plain, 5120, true},
		{Resource, principal, 20480, true}, {RCP, principal, 5120, true}, {Trust, trust, 4096, false},
	} {
		full := strings.Replace(c.frame, "FILL", strings.Repeat("x", c.limit-len(c.frame)+len("FILL")), 1)
		if _, err := Parse(c.kind, full); err != nil {
			t.Errorf("type %d at its quota of %d: %v", c.kind, c.limit, err)
		}
		_, err := Parse(c.kind, strings.Replace(full, "xxx", "xxxx", 1))
		if e, ok := err.(*SyntaxError); !ok || !e.TooLarge || !strings.Contains(e.Message, fmt.Sprint(c.limit)) {
			t.Errorf("type %d beyond its quota of %d: %v", c.kind, c.limit, err)
		}
		if _, err := Parse(c.kind, full+" "); (err != nil) != c.whiteSpace {
			t.Errorf("type %d with white space: %v", c.kind, err)
		}
	}
	if _, err := Parse(Identity, strings.Repeat(" ", maxText)+`{}`); err == nil || !err.(*SyntaxError).TooLarge {
		t.Errorf("white space without end: %v", err)
	}
	if got := Size("{ \"ä\" :\t1\r\n}"); got != len(`{"a":1}`) {
		t.Errorf("size %d", got)
	}
	if _, err := Parse(RCP+1, `{}`); err == nil {
		t.Error("an unknown type")
	}
}

func TestDuplicateAmongManyKeys(t *testing.T) {
	var members []string
	for i := range 100 {
		members = append(members, fmt.Sprintf(`"k%d":0`, i))
	}
	if _, err := scan("{" + strings.Join(members, ",") + "}"); err != nil {
		t.Error(err)
	}
	for _, i := range []int{0, 14, 15, 16, 17, 99} {
		if _, err := scan("{" + strings.Join(members, ",") + "," + members[i] + "}"); err == nil {
			t.Errorf("accepted k%d twice", i)
		}
	}
}

// A stored policy means the users and roles that there were, and shows the
// ids of those that are gone
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles).
func TestBind(t *testing.T) {
	const role, user = "arn:aws:iam::111122223333:role/app", "arn:aws:iam::111122223333:user/alice"
	source := `{"Version":"2012-10-17", "Statement":{"Effect":"Allow","Principal":{"AWS":["` + role + `","111122223333","` + user + `"]},"Action":"sts:AssumeRole"}}`
	d := mustParse(t, Trust, source)
	if got := d.PrincipalARNs(); !slices.Equal(got, []string{role, user}) {
		t.Errorf("principals %q", got)
	}
	bound := d.Bind(map[string]string{role: "AROAAPP00000000000001", user: ""})
	if got := bound.Text(func(string) bool { return true }); got != source {
		t.Errorf("all exist, and yet %s", got)
	}
	want := `{"Version":"2012-10-17","Statement":[{"Principal":{"AWS":["AROAAPP00000000000001","111122223333","` + user + `"]},"Effect":"Allow","Action":"sts:AssumeRole"}]}`
	if got := bound.Text(func(string) bool { return false }); got != want {
		t.Errorf("none exists: %s", got)
	}
	if d.Text(func(string) bool { return false }) != source {
		t.Error("binding changed the document it was made from")
	}
	// An ARN that had no id when the policy was stored means nobody, even a caller without one.
	alice := Principal{Kind: User, ARN: user, AccountID: "444455556666"}
	req := Request{Principal: alice, Action: "sts:AssumeRole", Resource: "arn:aws:iam::444455556666:role/target", ResourceAccountID: "444455556666"}
	for name, one := range map[string]*Document{"empty": bound, "nothing": d.Bind(nil)} {
		if got := Evaluate(&req, &Policies{Resource: []Policy{{Type: Trust, Document: one}}}); got.Allowed() {
			t.Errorf("bound to %s: %+v", name, got)
		}
	}
	if got := Evaluate(&req, &Policies{Resource: []Policy{{Type: Trust, Document: d}}}); !got.Allowed() {
		t.Errorf("not bound: %+v", got)
	}
}

func TestContextKeys(t *testing.T) {
	d := mustParse(t, Identity, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::home/${aws:username}/${aws:PrincipalTag/team, 'none'}/${*}"},
		{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:UserName":"${s3:prefix}","sts:ExternalId":"x"},"Null":{"aws:TokenIssueTime":"true"}}}]}`)
	want := []string{"aws:PrincipalTag/team", "aws:TokenIssueTime", "aws:username", "s3:prefix", "sts:ExternalId"}
	if got := d.ContextKeys(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatementsKnowTheirPlaces(t *testing.T) {
	text := "{\n \"Statement\": [\n  {\"Sid\":\"Ä\u00df\", \"Effect\":\"Allow\",\n   \"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"*\"}, {\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"111122223333\"},\"NotAction\":\"s3:*\",\"NotResource\":\"arn:aws:s3:::x\"}\n ]\n}"
	all := mustParse(t, Resource, text).Statements()
	if len(all) != 2 {
		t.Fatalf("%d statements", len(all))
	}
	place := func(s Statement) string {
		return fmt.Sprintf("%d:%d-%d:%d", s.Start.Line, s.Start.Column, s.End.Line, s.End.Column)
	}
	if got := place(all[0]); got != "3:3-4:51" {
		t.Errorf("the first is at %s", got)
	}
	if got := text[all[1].Start.Offset:all[1].End.Offset]; !strings.HasPrefix(got, `{"Effect":"Deny"`) || !strings.HasSuffix(got, `}`) || place(all[1])[:4] != "4:53" {
		t.Errorf("the second is at %s: %s", place(all[1]), got)
	}
	if s := all[1]; s.Allow || s.Principals != nil || s.NotPrincipals[0] != (NamedPrincipal{"AWS", "111122223333"}) || s.NotActions[0] != "s3:*" || s.NotResources[0] != "arn:aws:s3:::x" {
		t.Errorf("%+v", s)
	}
}

func TestString(t *testing.T) {
	d := mustParse(t, Resource, `{
		"Statement": {"Condition": {"Bool": {"a:b": [true]}, "StringEquals": {"c:d": [], "e:f": ["x", 1]}, "Null": {}},
			"Resource": ["arn:aws:s3:::a"], "Action": ["s3:*", "s3:Get*"], "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com", "AWS": ["*"]}, "Sid": "a \"quoted\"\tone\u0001"},
		"Id": "x", "Version": "2012-10-17"}`)
	want := `{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"a \"quoted\"\tone\u0001","Principal":{"AWS":"*","Service":"ec2.amazonaws.com"},"Effect":"Allow",` +
		`"Action":["s3:*","s3:Get*"],"Resource":"arn:aws:s3:::a","Condition":{"Bool":{"a:b":"true"},"StringEquals":{"c:d":[],"e:f":["x","1"]}}}]}`
	if got := d.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What is not understood is denied, whatever else allows.
func TestWhatIsNotUnderstoodIsDenied(t *testing.T) {
	all := Policy{Name: "all", Type: Identity, Document: mustParse(t, Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)}
	trust := Policy{Name: "trust", Type: Trust, Document: mustParse(t, Trust, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`)}
	alice := Principal{Kind: User, ARN: "arn:aws:iam::111122223333:user/alice", AccountID: "111122223333"}
	get := Request{Principal: alice, Action: "s3:GetObject", Resource: "arn:aws:s3:::data/a", ResourceAccountID: "111122223333"}
	if d := Evaluate(&get, &Policies{Identity: []Policy{all}}); !d.Allowed() {
		t.Fatalf("the request itself: %+v", d)
	}
	change := func(f func(r *Request)) Request { r := get; f(&r); return r }
	for name, c := range map[string]struct {
		req      Request
		policies Policies
		stage    string
	}{
		"a policy without a document":           {get, Policies{Identity: []Policy{all, {Name: "broken"}}}, "denied by unreadable policy"},
		"a trust policy among the identity's":   {get, Policies{Identity: []Policy{all, trust}}, "denied by unreadable policy"},
		"an identity policy for a resource":     {get, Policies{Resource: []Policy{all}}, "denied by unreadable policy"},
		"an identity policy for an SCP":         {get, Policies{Identity: []Policy{all}, SCP: [][]Policy{{all}}}, "denied by unreadable policy"},
		"an identity policy for an RCP":         {get, Policies{Identity: []Policy{all}, ResourceRCP: [][]Policy{{all}}}, "denied by unreadable policy"},
		"an unknown kind of principal":          {change(func(r *Request) { r.Principal.Kind = 99 }), Policies{Identity: []Policy{all}}, "denied by malformed request"},
		"an empty action":                       {change(func(r *Request) { r.Action = "" }), Policies{Identity: []Policy{all}}, "denied by malformed request"},
		"an action without a vendor":            {change(func(r *Request) { r.Action = ":GetObject" }), Policies{Identity: []Policy{all}}, "denied by malformed request"},
		"a principal and a resource of nobody":  {change(func(r *Request) { r.Principal.AccountID, r.ResourceAccountID = "", "" }), Policies{Identity: []Policy{all}}, "denied by resource policy"},
		"a principal of nobody and no resource": {change(func(r *Request) { r.Principal.AccountID, r.ResourceAccountID, r.Resource = "", "", "*" }), Policies{Identity: []Policy{all}}, "denied by resource policy"},
		"a resource of unknown account":         {change(func(r *Request) { r.ResourceAccountID = "" }), Policies{Identity: []Policy{all}}, "denied by resource policy"},
		"AssumeRole of no role":                 {change(func(r *Request) { r.Action, r.Resource = "sts:AssumeRole", "*" }), Policies{Identity: []Policy{all}}, "denied by trust policy"},
		"TagSession of a role without a policy": {change(func(r *Request) { r.Action, r.Resource = "sts:TagSession", "arn:aws:iam::111122223333:role/x" }), Policies{Identity: []Policy{all}}, "denied by trust policy"},
		"nothing at all":                        {Request{}, Policies{}, "denied by malformed request"},
	} {
		if got := outcome(Evaluate(&c.req, &c.policies)); got != c.stage {
			t.Errorf("%s: got %q, want %q", name, got, c.stage)
		}
	}
}

// Bytes that stand for wildcards in compiled patterns are none in requests.
func TestBytesOfARequestAreNoWildcards(t *testing.T) {
	d := mustParse(t, Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::home/${aws:username}/*"}}`)
	for _, name := range []string{"\xff", "\xfe", "a\xfd", "\xfc\xfc"} {
		req := Request{
			Principal: Principal{Kind: User, AccountID: "111122223333"}, Action: "s3:GetObject",
			Resource: "arn:aws:s3:::home/bob/x", ResourceAccountID: "111122223333", Context: Context{"aws:username": {name}},
		}
		if got := Evaluate(&req, &Policies{Identity: []Policy{{Document: d}}}); got.Allowed() {
			t.Errorf("the user name %q reaches into another home", name)
		}
	}
}
