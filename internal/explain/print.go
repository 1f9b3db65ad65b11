package explain

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Print writes a report for people.
func Print(w io.Writer, r *Report, style Style) error {
	p := &printer{width: style.Width}
	if style.Color {
		p.green, p.red, p.yellow, p.dim, p.bold, p.plain = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
	}
	p.summary(r)
	for i := range r.Steps {
		p.step(&r.Steps[i])
	}
	p.fixes(r)
	p.warnings(r.Warnings)
	p.unseen(r.Unseen)
	p.live(r.Live)
	_, err := io.WriteString(w, p.out.String())
	return err
}

func (p *printer) mark(v Verdict) string {
	switch v {
	case Allowed:
		return p.green + "✓" + p.plain
	case Refused:
		return p.red + "✗" + p.plain
	}
	return p.yellow + "?" + p.plain
}

// summary is what one wants to know first.
func (p *printer) summary(r *Report) {
	var at []string
	fixes := 0
	for _, s := range r.Steps {
		if s.Verdict == r.Verdict && r.Verdict != Allowed {
			at = append(at, stepLabels[s.Name])
		}
		fixes += len(s.Fixes)
	}
	switch r.Verdict {
	case Allowed:
		p.sentence(0, 2, "%sALLOWED%s%s", p.green+p.bold, p.plain, plural(len(r.Warnings), ", with one warning", ", with %d warnings"))
	case Refused:
		where := " at " + strings.Join(at, " and ")
		if len(at) == 0 {
			where = " when it was tried, against the prediction"
		}
		p.sentence(0, 2, "%sREFUSED%s%s%s", p.red+p.bold, p.plain, where, plural(fixes, "; one change mends it", "; %d changes mend it"))
	default:
		if r.Live != nil && r.Live.Verdict == Allowed && !r.Live.Agrees {
			p.sentence(0, 2, "%sUNKNOWN%s: it worked when it was tried, against the prediction", p.yellow+p.bold, p.plain)
			return
		}
		p.sentence(0, 2, "%sUNKNOWN%s at %s: what could be seen allows it, and what could not be seen may still refuse it", p.yellow+p.bold, p.plain, strings.Join(at, " and "))
	}
}

var stepLabels = map[string]string{
	StepAssociation: "the association", StepWebhook: "the webhook", StepHop1: "hop 1", StepHop2: "hop 2", StepAction: "the action",
}

// plural picks the form for n; none for 0.
func plural(n int, one, many string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return one
	}
	return fmt.Sprintf(many, n)
}

func (p *printer) step(s *Step) {
	p.line(0, "")
	mark := p.mark(s.Verdict)
	if s.Name == StepWebhook {
		mark = "·" // nothing was judged
	}
	p.sentence(0, 2, "%s %s%s%s", mark, p.bold, s.Title, p.plain)
	width := 0
	for _, f := range s.Facts {
		width = max(width, len(f.Name))
	}
	for _, f := range s.Facts {
		p.sentence(4, 6+width, "%s%-*s  %s%s", p.dim, width, f.Name, f.Value, p.plain)
	}
	for i := 0; i < len(s.Findings); {
		actions := []string{s.Findings[i].Action}
		next := i + 1
		for ; next < len(s.Findings) && alike(&s.Findings[i], &s.Findings[next]); next++ {
			actions = append(actions, s.Findings[next].Action)
		}
		p.finding(strings.Join(actions, ", "), &s.Findings[i])
		i = next
	}
}

// alike tells whether the same is to be said of two findings but for the action.
func alike(a, b *Finding) bool {
	x, y := *a, *b
	x.Action, y.Action = "", ""
	x.Statements, y.Statements = withoutActions(x.Statements), withoutActions(y.Statements)
	return reflect.DeepEqual(x, y)
}

func withoutActions(all []Statement) []Statement {
	out := slices.Clone(all)
	for i := range out {
		out[i].Misses = slices.Clone(out[i].Misses)
		for j := range out[i].Misses {
			if out[i].Misses[j].Element == "Action" {
				out[i].Misses[j].Got = nil
			}
		}
	}
	return out
}

func (p *printer) finding(actions string, f *Finding) {
	if f.Action == "" {
		p.sentence(4, 6, "%s", f.Text)
		return
	}
	p.sentence(4, 8, "%s %s  %s", p.mark(f.Verdict), actions, f.Text)
	if f.Verdict != Refused {
		return
	}
	for _, s := range f.Statements {
		if s.Matched {
			continue // the text names it
		}
		line := ""
		if s.Line > 1 {
			line = fmt.Sprintf(", line %d", s.Line)
		}
		p.sentence(8, 10, "nearest to it: %s of the %s%s", statementName(s.Sid, s.Statement), s.Policy, line)
		for _, m := range s.Misses {
			p.miss(&m)
		}
	}
	if len(f.Statements) == 0 {
		p.line(8, "no statement comes near it")
	}
}

func (p *printer) miss(m *Miss) {
	name := m.Element
	if m.Key != "" {
		name += " " + m.Operator + " " + m.Key
	}
	p.line(10, "%s", name)
	p.sentence(12, 20, "wanted  %s", list(m.Wanted))
	if m.Absent {
		hint := m.Hint
		if hint == "" {
			hint = "the request has no such key"
		}
		p.sentence(12, 20, "got     %snothing: %s%s", p.red, hint, p.plain)
		return
	}
	p.sentence(12, 20, "got     %s%s%s", p.red, list(m.Got), p.plain)
}

// maxListed is how many values of a list are shown.
const maxListed = 4

func list(values []string) string {
	shown := values[:min(len(values), maxListed)]
	text := strings.Join(shown, ", ")
	if len(values) > len(shown) {
		text += fmt.Sprintf(" and %d more", len(values)-len(shown))
	}
	return text
}

func (p *printer) fixes(r *Report) {
	total, n := 0, 0
	for _, s := range r.Steps {
		total += len(s.Fixes)
	}
	if total == 0 {
		return
	}
	p.line(0, "")
	p.line(0, "%sTo mend it%s", p.bold, p.plain)
	for _, s := range r.Steps {
		for _, f := range s.Fixes {
			n++
			p.fix(n, stepLabels[s.Name], &f)
		}
	}
}

func (p *printer) fix(n int, at string, f *Fix) {
	p.line(0, "")
	where := ""
	if f.Account != "" {
		where = ", in account " + f.Account
	}
	p.sentence(2, 5, "%d. For %s%s: %s", n, at, where, f.Text)
	if f.Owner != "" {
		p.sentence(5, 5, "This is for %s.", f.Owner)
	}
	if f.Diff != "" {
		p.line(0, "")
		for line := range strings.Lines(f.Diff) {
			p.line(5, "%s", p.colored(strings.TrimSuffix(line, "\n")))
		}
	}
	if len(f.Commands) > 0 {
		p.line(0, "")
	}
	for _, c := range f.Commands {
		p.line(0, "%s", c) // at the margin, so that it can be copied
	}
}

func (p *printer) colored(line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return p.green + line + p.plain
	case strings.HasPrefix(line, "-"):
		return p.red + line + p.plain
	}
	return p.dim + line + p.plain
}

func (p *printer) warnings(all []Warning) {
	if len(all) == 0 {
		return
	}
	p.line(0, "")
	p.line(0, "%sIt works, but%s", p.bold, p.plain)
	for _, w := range all {
		forecast := ""
		if w.Forecast {
			forecast = " (a forecast)"
		}
		p.sentence(2, 4, "%s!%s %s%s", p.yellow, p.plain, w.Text, forecast)
		p.sentence(4, 4, "%s%s%s", p.dim, w.Where, p.plain)
	}
}

func (p *printer) unseen(all []Unseen) {
	if len(all) == 0 {
		return
	}
	p.line(0, "")
	p.line(0, "%sCould not see%s", p.bold, p.plain)
	for _, u := range all {
		p.sentence(2, 4, "%s?%s %s, and so not %s", p.yellow, p.plain, u.What, u.Without)
		p.sentence(4, 4, "%s%s%s", p.dim, u.Reason, p.plain)
	}
}

func (p *printer) live(l *Live) {
	if l == nil {
		return
	}
	p.line(0, "")
	p.line(0, "%sTried%s", p.bold, p.plain)
	p.sentence(2, 4, "%s %s", p.mark(l.Verdict), l.Answer)
	color := p.green
	if !l.Agrees {
		color = p.red + p.bold
	}
	p.sentence(4, 4, "%s%s%s", color, l.Text, p.plain)
}
