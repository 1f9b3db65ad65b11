package explain

import (
	"slices"
	"strings"

	"github.com/podid/podid/internal/policy"
)

// ask is one permission that a step needs, with every document that bears on it.
type ask struct {
	request policy.Request
	// open tells whether the value of a condition key is not known before the
	// call is made; given tells whether the key is known to be there all the same.
	open, given func(key string) bool

	identity, boundary, session, resource []*document
	scp, rcp                              [][]*document

	// unseen: some policy that bears on it could not be read, and it may deny. The
	// kinds of those that may also allow are in mayAllow.
	unseen   bool
	mayAllow []policy.Type
}

// outcome is what the judge says of an ask.
type outcome struct {
	verdict  Verdict
	decision *policy.Decision // the most favourable one
	open     []string         // keys that it hangs on, if verdict is Unknown
}

// judge has an ask judged twice: once as if everything that is open or unseen
// were favourable, and once as if none of it were. Where both say the same,
// that is the answer.
func (a *ask) judge() outcome {
	best := policy.Evaluate(&a.request, a.policies(true))
	out := outcome{decision: best, verdict: Refused}
	if !best.Allowed() {
		return out
	}
	worst := policy.Evaluate(&a.request, a.policies(false))
	if worst.Allowed() && !a.unseen {
		out.verdict = Allowed
		return out
	}
	out.verdict = Unknown
	if !worst.Allowed() {
		out.open = a.openKeys()
	}
	return out
}

// outcomes are all that stands in an ask's way: after each kind of policy that
// does not allow it, it is judged again as if that kind did.
func (a *ask) outcomes() []outcome {
	all := []outcome{a.judge()}
	rest := *a
	for last := all[0]; last.verdict == Refused && last.decision.Verdict == policy.ImplicitDeny && len(all) < len(parts); {
		switch last.decision.Stage {
		case "trust policy", "resource policy", "identity policy":
			rest.mayAllow = append(slices.Clone(rest.mayAllow), parts[last.decision.Stage]...)
		case "permissions boundary":
			rest.boundary = nil
		case "session policy":
			rest.session = nil
		case "SCP":
			rest.scp = nil
		default:
			return all
		}
		if last = rest.judge(); last.verdict == Refused {
			all = append(all, last)
		}
	}
	return all
}

// everything stands in for policies that were not seen.
var everything = map[policy.Type]string{
	policy.Identity: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	policy.Trust:    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"}]}`,
	policy.Resource: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`,
}

const notSeen = "(a policy that was not seen)"

func (a *ask) policies(favourable bool) *policy.Policies {
	view := func(all []*document) []policy.Policy {
		var out []policy.Policy
		for _, d := range all {
			if d.text != "" {
				out = append(out, policy.Policy{Name: d.name, Type: d.kind, Document: a.view(d, favourable)})
			}
		}
		return out
	}
	p := &policy.Policies{Identity: view(a.identity), Boundary: view(a.boundary), Session: view(a.session), Resource: view(a.resource)}
	for _, level := range a.scp {
		p.SCP = append(p.SCP, view(level))
	}
	for _, level := range a.rcp {
		p.ResourceRCP = append(p.ResourceRCP, view(level))
	}
	if !favourable {
		return p
	}
	for _, t := range a.mayAllow {
		d, err := policy.Parse(t, everything[t])
		if err != nil {
			continue // then it is refused, which is the safe side
		}
		stand := policy.Policy{Name: notSeen, Type: t, Document: d}
		if t == policy.Identity {
			p.Identity = append(p.Identity, stand)
		} else {
			p.Resource = append(p.Resource, stand)
		}
	}
	return p
}

// view is the document with every condition on an open key decided, either in
// the request's favour or against it.
func (a *ask) view(d *document, favourable bool) *policy.Document {
	parsed, err := d.parse()
	if err != nil || parsed == nil {
		return nil // the judge denies what it cannot read
	}
	if !slices.ContainsFunc(parsed.ContextKeys(), a.open) {
		return parsed
	}
	parts, err := d.draft()
	if err != nil {
		return nil
	}
	for i := range parts.statements {
		s := &parts.statements[i]
		if !a.hangs(s) {
			continue
		}
		if s.Allow == favourable {
			a.settle(s)
		} else {
			// It does not match: no request is without a time.
			s.Conditions = append(s.Conditions, policy.Condition{Operator: "Null", Key: "aws:CurrentTime", Values: []string{"true"}})
		}
	}
	settled, err := policy.Parse(d.kind, parts.String())
	if err != nil {
		return nil
	}
	return settled
}

// hangs tells whether a statement matches or not depending on an open key.
func (a *ask) hangs(s *policy.Statement) bool {
	return slices.ContainsFunc(s.Conditions, a.hangsOn) || slices.ContainsFunc(s.Resources, a.mentions) || slices.ContainsFunc(s.NotResources, a.mentions)
}

func (a *ask) hangsOn(c policy.Condition) bool {
	if a.open(c.Key) && !(c.Operator == "Null" && a.given(c.Key)) {
		return true
	}
	return slices.ContainsFunc(c.Values, a.mentions)
}

// mentions tells whether a text has a variable whose value is open.
func (a *ask) mentions(text string) bool {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "${")
		if !found {
			return false
		}
		name, tail, _ := strings.Cut(after, "}")
		name, _, _ = strings.Cut(name, ",")
		if a.open(strings.TrimSpace(name)) {
			return true
		}
		rest = tail
	}
}

// settle takes what is open out of a statement, so that the rest decides.
func (a *ask) settle(s *policy.Statement) {
	s.Conditions = slices.DeleteFunc(s.Conditions, a.hangsOn)
	if slices.ContainsFunc(s.Resources, a.mentions) {
		s.Resources = []string{"*"}
	}
	if slices.ContainsFunc(s.NotResources, a.mentions) {
		s.NotResources = slices.DeleteFunc(s.NotResources, a.mentions)
		if len(s.NotResources) == 0 {
			s.NotResources, s.Resources = nil, []string{"*"}
		}
	}
}

// openKeys lists the open keys of all documents of the ask.
func (a *ask) openKeys() []string {
	var keys []string
	for _, d := range a.documents() {
		if parsed, err := d.parse(); err == nil && parsed != nil {
			for _, key := range parsed.ContextKeys() {
				if a.open(key) && !slices.Contains(keys, key) {
					keys = append(keys, key)
				}
			}
		}
	}
	slices.Sort(keys)
	return keys
}

func (a *ask) documents() []*document {
	all := slices.Concat(a.resource, a.identity, a.boundary, a.session)
	for _, level := range slices.Concat(a.scp, a.rcp) {
		all = append(all, level...)
	}
	return all
}

// document finds a document of the ask by its name.
func (a *ask) document(name string) (*document, bool) {
	for _, d := range a.documents() {
		if d.name == name {
			return d, true
		}
	}
	return nil, false
}
