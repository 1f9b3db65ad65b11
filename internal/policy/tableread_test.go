package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// tableReader reads the "cases" file of one archive.
type tableReader struct {
	t     testing.TB
	file  string
	texts map[string]string // of the archive, by name
}

// draft is a case that is being read.
type draft struct {
	tableCase
	binds  map[string]string
	levels map[string]bool // of scp and rcp: whether this case has begun its own
}

func (r *tableReader) read(text string) []tableCase {
	r.t.Helper()
	defaults := draft{}
	defaults.request.Context = Context{}
	current := &defaults
	var drafts []*draft
	see := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "case":
			next := defaults
			next.file, next.name, next.see = r.file, rest, see
			next.request.Context = maps.Clone(defaults.request.Context)
			next.binds, next.levels = maps.Clone(defaults.binds), map[string]bool{}
			current = &next
			drafts = append(drafts, current)
		case "see":
			see, current.see = rest, rest
		default:
			if err := r.line(current, word, rest); err != nil {
				r.t.Fatalf("%s: line %d of cases: %v", r.file, i+1, err)
			}
		}
	}
	var cases []tableCase
	names := map[string]bool{}
	for _, d := range drafts {
		if names[d.name] {
			r.t.Errorf("%s: two cases %q", r.file, d.name)
		}
		names[d.name] = true
		d.finish()
		cases = append(cases, d.tableCase)
	}
	return cases
}

func (r *tableReader) line(d *draft, word, rest string) error {
	fields := strings.Fields(rest)
	p := &d.policies
	switch word {
	case "who":
		principal, err := readPrincipal(fields)
		d.request.Principal = principal
		return err
	case "id":
		d.request.Principal.UniqueID = rest
	case "canonical":
		d.request.Principal.CanonicalUserID = rest
	case "do":
		fields = append(fields, "", "")
		d.request.Action, d.request.Resource, d.request.ResourceAccountID = fields[0], fields[1], fields[2]
	case "with":
		return readContext(d.request.Context, rest)
	case "without":
		delete(d.request.Context, strings.ToLower(rest))
	case "identity":
		return r.set(&p.Identity, Identity, word, rest)
	case "if":
		return r.set(&p.Identity, Identity, word, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+rest+`}`)
	case "unless":
		all := `"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + rest
		return r.set(&p.Identity, Identity, word, `{"Version":"2012-10-17","Statement":[{`+all+`}]}`)
	case "old-if":
		one := `"Effect":"Allow","Action":"*","Resource":"*","Condition":` + rest
		return r.set(&p.Identity, Identity, "if", `{"Version":"2008-10-17","Statement":[{`+one+`}]}`)
	case "boundary":
		return r.set(&p.Boundary, Boundary, word, rest)
	case "session":
		return r.set(&p.Session, Session, word, rest)
	case "resource":
		return r.set(&p.Resource, Resource, word, rest)
	case "trust":
		return r.set(&p.Resource, Trust, word, rest)
	case "scp":
		return r.level(d, &p.SCP, SCP, word, rest)
	case "rcp":
		return r.level(d, &p.ResourceRCP, RCP, word, rest)
	case "bind":
		if d.binds == nil {
			d.binds = map[string]string{}
		}
		d.binds[fields[0]] = fields[1]
	case "=>":
		d.stage = rest
	case "because":
		d.because = append(slices.Clip(d.because), rest)
	default:
		return r.parseLine(d, word, rest)
	}
	return nil
}

func (r *tableReader) parseLine(d *draft, word, rest string) error {
	switch word {
	case "refuse", "accept":
		kind, text, _ := strings.Cut(rest, " ")
		t, ok := typeWords[kind]
		if !ok {
			return fmt.Errorf("unknown type %q", kind)
		}
		if file, ok := r.texts[text]; ok {
			text = file
		}
		d.parse = &parseCase{kind: t, text: text, refused: word == "refuse"}
	case "at":
		d.parse.at = rest
	case "on":
		d.parse.on = rest
	case "says":
		d.parse.phrase = rest
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return nil
}

var typeWords = map[string]Type{
	"identity": Identity, "boundary": Boundary, "session": Session, "resource": Resource,
	"trust": Trust, "scp": SCP, "rcp": RCP,
}

// set replaces a set of policies, or adds to it.
func (r *tableReader) set(into *[]Policy, t Type, word, rest string) error {
	rest, add := strings.CutPrefix(rest, "+ ")
	policies, err := r.policies(t, word, rest)
	if add {
		policies = slices.Concat(*into, policies)
	}
	*into = policies
	return err
}

func (r *tableReader) level(d *draft, into *[][]Policy, t Type, word, rest string) error {
	policies, err := r.policies(t, word, rest)
	if d.levels != nil && !d.levels[word] {
		*into = nil
		d.levels[word] = true
	}
	if rest != "none" {
		*into = append(slices.Clip(*into), policies)
	}
	return err
}

func (r *tableReader) policies(t Type, word, rest string) ([]Policy, error) {
	if rest == "none" {
		return nil, nil
	}
	if strings.HasPrefix(rest, "{") {
		p, err := r.policy(t, word, rest)
		return []Policy{p}, err
	}
	var all []Policy
	for _, name := range strings.Fields(rest) {
		text, ok := r.texts[name]
		if !ok {
			return nil, fmt.Errorf("no file %q", name)
		}
		p, err := r.policy(t, name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (r *tableReader) policy(t Type, name, text string) (Policy, error) {
	if !strings.Contains(text, `"Statement"`) {
		text = `{"Version":"2012-10-17","Statement":` + text + `}`
	}
	d, err := Parse(t, text)
	return Policy{Name: name, Type: t, Document: d}, err
}

func readPrincipal(f []string) (Principal, error) {
	switch {
	case len(f) == 3 && f[0] == "user":
		return Principal{Kind: User, AccountID: f[1], ARN: "arn:aws:iam::" + f[1] + ":user/" + f[2], UniqueID: idOf("AIDA", f[2])}, nil
	case len(f) == 4 && f[0] == "role":
		name := f[2][strings.LastIndexByte(f[2], '/')+1:]
		return Principal{
			Kind: RoleSession, AccountID: f[1], UniqueID: idOf("AROA", f[2]),
			RoleARN: "arn:aws:iam::" + f[1] + ":role/" + f[2],
			ARN:     "arn:aws:sts::" + f[1] + ":assumed-role/" + name + "/" + f[3],
		}, nil
	case len(f) == 2 && f[0] == "root":
		return Principal{Kind: Root, AccountID: f[1], ARN: "arn:aws:iam::" + f[1] + ":root"}, nil
	case len(f) == 2 && f[0] == "service":
		return Principal{Kind: Service, Service: f[1]}, nil
	case len(f) == 2 && f[0] == "web":
		return Principal{Kind: WebIdentity, Provider: f[1]}, nil
	case len(f) == 1 && f[0] == "anonymous":
		return Principal{Kind: Anonymous}, nil
	}
	return Principal{}, fmt.Errorf("unknown principal %q", f)
}

// idOf makes a unique id out of a name, such as AROAAPP0000000000000.
func idOf(prefix, name string) string {
	id := prefix
	for _, c := range strings.ToUpper(name[strings.LastIndexByte(name, '/')+1:]) {
		if 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			id += string(c)
		}
	}
	return (id + strings.Repeat("0", 21))[:21]
}

func readContext(c Context, line string) error {
	key, text, ok := strings.Cut(line, "=")
	if key, none := strings.CutSuffix(line, " none"); none && !ok {
		c.Set(key)
		return nil
	}
	if !ok {
		return fmt.Errorf("want KEY = VALUE, not %q", line)
	}
	var values []string
	for value := range strings.SplitSeq(text, "|") {
		values = append(values, strings.TrimSpace(value))
	}
	c.Set(strings.TrimSpace(key), values...)
	return nil
}

// finish fills in what depends on several lines.
func (d *draft) finish() {
	if d.request.ResourceAccountID == "" && d.request.Resource != "*" {
		arn, _ := splitARN(d.request.Resource)
		d.request.ResourceAccountID = arn[4]
		if arn[4] == "" {
			d.request.ResourceAccountID = d.request.Principal.AccountID
		}
	}
	if d.binds != nil {
		d.policies.Resource = slices.Clone(d.policies.Resource)
		for i := range d.policies.Resource {
			p := &d.policies.Resource[i]
			p.Document = p.Document.Bind(d.binds)
		}
	}
}
