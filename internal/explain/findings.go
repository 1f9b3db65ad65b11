package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// judge makes the step of a stage.
func (s *stage) judge() Step {
	step := Step{Name: s.name, Title: s.title, Verdict: Allowed, Facts: s.facts}
	for _, r := range s.missing {
		step.Verdict = Refused
		step.Findings = append(step.Findings, Finding{Verdict: Refused, Text: "there is no " + r.noun() + ": " + r.arn.String() + "; STS answers access denied"})
	}
	for _, u := range s.blind {
		if len(s.asks) == 0 { // nothing could be asked at all
			step.Verdict = worse(step.Verdict, Unknown)
			step.Findings = append(step.Findings, Finding{Verdict: Unknown, Text: u.What + ": " + u.Reason})
		}
	}
	if len(s.missing) > 0 {
		return step // what its policies would say is no question
	}
	for _, a := range s.asks {
		for _, out := range a.outcomes() {
			f := s.finding(a, out)
			step.Verdict = worse(step.Verdict, f.Verdict)
			step.Findings = append(step.Findings, f)
		}
	}
	return step
}

// finding puts an outcome into words.
func (s *stage) finding(a *ask, out outcome) Finding {
	f := Finding{Verdict: out.verdict, Action: a.request.Action, Resource: a.request.Resource}
	reasons := out.decision.Reasons
	switch {
	case out.verdict == Allowed:
		f.Statements = a.statements(granting(reasons))
		f.Text = "allowed by " + policiesOf(granting(reasons))
	case out.verdict == Unknown:
		f.Statements = a.statements(granting(reasons))
		f.Text = s.unknownText(out)
	case out.decision.Verdict == policy.ExplicitDeny:
		denials := denying(reasons)
		f.Statements = a.statements(denials)
		f.Text = "explicitly denied by " + policiesOf(denials)
	default:
		f.Statements = a.statements(nearest(reasons, parts[out.decision.Stage]...))
		for i := range f.Statements {
			for j := range f.Statements[i].Misses {
				s.hint(&f.Statements[i].Misses[j])
			}
		}
		f.Text = s.missingText(a, out.decision.Stage)
	}
	return f
}

// hint says why a key is not in the request.
func (s *stage) hint(m *Miss) {
	key := strings.ToLower(m.Key)
	tag := strings.HasPrefix(key, "aws:requesttag/") || key == "aws:tagkeys" || s.name != StepHop1 && strings.HasPrefix(key, "aws:principaltag/")
	switch {
	case !m.Absent:
	case tag && len(s.inherited)+len(s.hop.Tags) == 0:
		m.Hint = "the association sends no session tags"
	case key == "sts:externalid" && s.name == StepHop1:
		m.Hint = "the external ID is sent on the second hop, to the target role"
	case key == "aws:sourcearn" && s.name == StepHop2:
		m.Hint = "a role makes this call, not a service"
	}
}

// parts are the types of the policies that a stage of the judge looks at.
var parts = map[string][]policy.Type{
	"SCP": {policy.SCP}, "trust policy": {policy.Trust}, "resource policy": {policy.Resource}, "identity policy": {policy.Identity},
	"permissions boundary": {policy.Boundary}, "session policy": {policy.Session},
}

// missingText says which kind of policy would have to allow it.
func (s *stage) missingText(a *ask, at string) string {
	switch at {
	case "trust policy":
		return "the trust policy of the role does not allow it"
	case "identity policy":
		return "no permission policy of " + s.actor() + " allows it"
	case "permissions boundary":
		return "the permissions boundary of " + s.actor() + " does not allow it"
	case "session policy":
		return "the association's session policy does not allow it"
	case "SCP":
		return "no service control policy allows it on every level above account " + a.request.Principal.AccountID
	case "resource policy":
		return "the resource is of account " + a.request.ResourceAccountID + ", and its policy does not allow it"
	}
	return at
}

// actor is the role whose own policies matter in this stage.
func (s *stage) actor() string {
	switch {
	case s.caller != nil:
		return s.caller.noun()
	case s.role != nil && s.name == StepAction:
		return s.role.noun()
	}
	return identity.ServicePrincipal
}

func (s *stage) unknownText(out outcome) string {
	var why []string
	if len(out.open) > 0 {
		why = append(why, "it hangs on "+strings.Join(out.open, ", ")+", known only once the call is made")
	}
	for _, u := range s.blind {
		why = append(why, "could not see: "+u.What)
	}
	return "as far as can be seen it is allowed; but " + strings.Join(why, "; ")
}

func granting(reasons []policy.Reason) []policy.Reason {
	return slices.DeleteFunc(slices.Clone(reasons), func(r policy.Reason) bool {
		// SCPs allow nothing by themselves, they only do not stand in the way.
		return !r.Matched || !r.Allow || r.Type == policy.SCP || r.Policy == notSeen
	})
}

func denying(reasons []policy.Reason) []policy.Reason {
	return slices.DeleteFunc(slices.Clone(reasons), func(r policy.Reason) bool { return !r.Matched || r.Allow })
}

// maxNearest is how many statements are shown that nearly allow it.
const maxNearest = 2

// nearest returns the Allow statements of policies of the given types that lack
// least, those that are about the action first.
func nearest(reasons []policy.Reason, types ...policy.Type) []policy.Reason {
	all := slices.DeleteFunc(slices.Clone(reasons), func(r policy.Reason) bool {
		return r.Matched || !r.Allow || !slices.Contains(types, r.Type) || r.Policy == notSeen
	})
	slices.SortStableFunc(all, func(a, b policy.Reason) int { return distance(a) - distance(b) })
	for i, r := range all {
		if i > 0 && distance(r) > distance(all[0]) || i == maxNearest {
			return all[:i]
		}
	}
	return all
}

// distance counts what a statement lacks; another action is farther away than
// another value of a condition.
func distance(r policy.Reason) int {
	n := 0
	for _, m := range r.Misses {
		n++
		if strings.HasSuffix(m.Element, "Action") || strings.HasSuffix(m.Element, "Principal") {
			n += 2
		}
	}
	return n
}

func policiesOf(reasons []policy.Reason) string {
	var names []string
	for _, r := range reasons {
		name := fmt.Sprintf("%s (%s)", r.Policy, statementName(r.Sid, r.Statement+1))
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

func statementName(sid string, number int) string {
	if sid != "" {
		return fmt.Sprintf("statement %d, %s", number, sid)
	}
	return fmt.Sprintf("statement %d", number)
}

// statements turns reasons into the report's. Lines are those of the text as it
// is kept, not as it was judged.
func (a *ask) statements(reasons []policy.Reason) []Statement {
	var all []Statement
	for _, r := range reasons {
		s := Statement{Policy: r.Policy, Sid: r.Sid, Statement: r.Statement + 1, Line: r.Line, Effect: effect(r.Allow), Matched: r.Matched}
		if d, ok := a.document(r.Policy); ok {
			if parsed, err := d.parse(); err == nil && parsed != nil && r.Statement < len(parsed.Statements()) {
				s.Line = parsed.Statements()[r.Statement].Start.Line
			}
		}
		for _, m := range r.Misses {
			s.Misses = append(s.Misses, Miss{Element: m.Element, Operator: m.Operator, Key: m.Key, Wanted: m.Want, Got: shownValues(m.Got), Absent: m.Absent})
		}
		all = append(all, s)
	}
	return all
}

// shownValues leaves out names that hold what is random: of role sessions, where
// the role is named too.
func shownValues(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return len(values) > 1 && strings.Contains(v, aSession) })
}

// unseen collects what no stage could see, each thing once.
func (w *walk) unseen(stages []*stage) {
	for _, s := range stages {
		for _, u := range s.blind {
			if !slices.ContainsFunc(w.report.Unseen, func(other Unseen) bool { return other.What == u.What }) {
				w.report.Unseen = append(w.report.Unseen, u)
			}
		}
	}
}
