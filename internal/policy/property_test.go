package policy

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// forWorlds tries a property on what the tables have and on made worlds.
func forWorlds(t *testing.T, try func(t *testing.T, g *generator, w *world)) {
	t.Helper()
	t.Parallel()
	g := newGenerator(t, 42)
	for _, c := range loadTable(t) {
		if c.parse == nil {
			try(t, g, &world{c.request, c.policies})
		}
	}
	for range 1500 {
		try(t, g, g.world())
		if t.Failed() {
			return
		}
	}
}

// narrower fails if changed allows what w denies.
func narrower(t *testing.T, w *world, changed Policies, how string) {
	t.Helper()
	before, after := Evaluate(&w.request, &w.policies), Evaluate(&w.request, &changed)
	if after.Allowed() && !before.Allowed() {
		t.Errorf("%s lets the request through\nrequest %+v\nbefore %s %s\nafter %s %s",
			how, w.request, outcome(before), show(w.policies), outcome(after), show(changed))
	}
}

func show(p Policies) string {
	text := ""
	list := func(name string, ps []Policy) {
		for _, one := range ps {
			text += fmt.Sprintf("\n  %s: %v", name, one.Document)
		}
	}
	for _, level := range p.SCP {
		list("SCP", level)
	}
	for _, level := range p.ResourceRCP {
		list("RCP", level)
	}
	list("resource", p.Resource)
	list("identity", p.Identity)
	list("boundary", p.Boundary)
	list("session", p.Session)
	return text
}

// The properties say nothing if all made worlds end alike.
func TestGeneratorReachesEveryStage(t *testing.T) {
	g := newGenerator(t, 42)
	seen := map[string]int{}
	for range 4000 {
		w := g.world()
		seen[outcome(Evaluate(&w.request, &w.policies))]++
	}
	for _, stage := range []string{
		"allowed by identity policy", "allowed by resource policy", "allowed by trust policy", "explicit deny", "denied by SCP",
		"denied by identity policy", "denied by resource policy", "denied by trust policy", "denied by permissions boundary", "denied by session policy",
	} {
		if seen[stage] < 20 {
			t.Errorf("%d worlds end in %q, want at least 20: %v", seen[stage], stage, seen)
		}
	}
}

func TestAddingADenyNeverWidens(t *testing.T) {
	forWorlds(t, func(t *testing.T, g *generator, w *world) {
		resource := pick(g, Resource, Trust)
		for _, add := range []func(p *Policies){
			func(p *Policies) { p.Identity = with(p.Identity, g.denyOnly(Identity)) },
			func(p *Policies) { p.Boundary = with(p.Boundary, g.denyOnly(Boundary)) },
			func(p *Policies) { p.Session = with(p.Session, g.denyOnly(Session)) },
			func(p *Policies) { p.Resource = with(p.Resource, g.denyOnly(resource)) },
			func(p *Policies) { p.SCP = with(p.SCP, []Policy{g.denyOnly(SCP)}) },
			func(p *Policies) { p.ResourceRCP = with(p.ResourceRCP, []Policy{g.denyOnly(RCP)}) },
		} {
			changed := w.policies
			add(&changed)
			narrower(t, w, changed, "adding a Deny")
		}
	})
}

func with[T any](s []T, more ...T) []T { return append(slices.Clip(s), more...) }

func TestAddingALimitNeverWidens(t *testing.T) {
	forWorlds(t, func(t *testing.T, g *generator, w *world) {
		for _, add := range []func(p *Policies){
			func(p *Policies) { p.SCP = with(p.SCP, []Policy{g.policy(SCP)}) },
			func(p *Policies) { p.ResourceRCP = with(p.ResourceRCP, []Policy{g.policy(RCP)}) },
			// Where there are some, another may allow more: they are one set.
			func(p *Policies) {
				if len(p.Boundary) == 0 {
					p.Boundary = []Policy{g.policy(Boundary)}
				}
			},
			func(p *Policies) {
				if len(p.Session) == 0 {
					p.Session = []Policy{g.policy(Session)}
				}
			},
		} {
			changed := w.policies
			add(&changed)
			narrower(t, w, changed, "adding a limit")
		}
	})
}

// eachPolicy calls change for each policy of p in turn, each time with a copy
// of p in which that policy may be changed.
func eachPolicy(p *Policies, change func(copied *Policies, one *Policy)) {
	sets := func(q *Policies) []*[]Policy {
		all := []*[]Policy{&q.Identity, &q.Boundary, &q.Session, &q.Resource}
		q.SCP, q.ResourceRCP = slices.Clone(q.SCP), slices.Clone(q.ResourceRCP)
		for i := range q.SCP {
			all = append(all, &q.SCP[i])
		}
		for i := range q.ResourceRCP {
			all = append(all, &q.ResourceRCP[i])
		}
		return all
	}
	original := *p
	for i, set := range sets(&original) {
		for j := range *set {
			copied := *p
			s := sets(&copied)[i]
			*s = slices.Clone(*s)
			change(&copied, &(*s)[j])
		}
	}
}

func TestRemovingAnAllowNeverWidens(t *testing.T) {
	forWorlds(t, func(t *testing.T, _ *generator, w *world) {
		eachPolicy(&w.policies, func(changed *Policies, one *Policy) {
			document := one.Document
			for i := range document.rules {
				if !document.rules[i].allow {
					continue
				}
				without := *document
				without.rules = slices.Delete(slices.Clone(document.rules), i, i+1)
				without.statements = slices.Delete(slices.Clone(document.statements), i, i+1)
				one.Document = &without
				narrower(t, w, *changed, "removing an Allow")
			}
		})
	})
}

func TestAPolicyThatCannotBeReadNeverWidens(t *testing.T) {
	forWorlds(t, func(t *testing.T, _ *generator, w *world) {
		eachPolicy(&w.policies, func(changed *Policies, one *Policy) {
			one.Document = nil
			if d := Evaluate(&w.request, changed); d.Allowed() {
				t.Errorf("a policy without a document is ignored: %+v", d)
			}
		})
	})
}

func TestOrderIsIrrelevant(t *testing.T) {
	forWorlds(t, func(t *testing.T, g *generator, w *world) {
		changed := w.policies
		shuffled := func(ps []Policy) []Policy {
			ps = slices.Clone(ps)
			g.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
			for i := range ps {
				d := *ps[i].Document
				d.rules, d.statements = slices.Clone(d.rules), slices.Clone(d.statements)
				g.Shuffle(len(d.rules), func(i, j int) {
					d.rules[i], d.rules[j] = d.rules[j], d.rules[i]
					d.statements[i], d.statements[j] = d.statements[j], d.statements[i]
				})
				ps[i].Document = &d
			}
			return ps
		}
		levels := func(ls [][]Policy) [][]Policy {
			ls = slices.Clone(ls)
			g.Shuffle(len(ls), func(i, j int) { ls[i], ls[j] = ls[j], ls[i] })
			for i := range ls {
				ls[i] = shuffled(ls[i])
			}
			return ls
		}
		changed.Identity, changed.Boundary = shuffled(changed.Identity), shuffled(changed.Boundary)
		changed.Session, changed.Resource = shuffled(changed.Session), shuffled(changed.Resource)
		changed.SCP, changed.ResourceRCP = levels(changed.SCP), levels(changed.ResourceRCP)
		before, after := Evaluate(&w.request, &w.policies), Evaluate(&w.request, &changed)
		if outcome(before) != outcome(after) || len(before.Reasons) != len(after.Reasons) {
			t.Errorf("another order, another outcome: %s, %s%s", outcome(before), outcome(after), show(w.policies))
		}
	})
}

func TestParsePrintParse(t *testing.T) {
	forWorlds(t, func(t *testing.T, _ *generator, w *world) {
		before := Evaluate(&w.request, &w.policies)
		eachPolicy(&w.policies, func(changed *Policies, one *Policy) {
			printed := one.Document.String()
			again, err := Parse(one.Document.Type(), printed)
			if err != nil {
				t.Fatalf("printed what does not parse: %v\n%s", err, printed)
			}
			if again.String() != printed {
				t.Errorf("printed again differently:\n%s\n%s", printed, again)
			}
			if !slices.Equal(again.ContextKeys(), one.Document.ContextKeys()) {
				t.Errorf("other keys: %v, %v", again.ContextKeys(), one.Document.ContextKeys())
			}
			if one.Document.ids != nil {
				again = again.Bind(one.Document.ids)
			}
			one.Document = again
			if after := Evaluate(&w.request, changed); !reflect.DeepEqual(unplaced(before), unplaced(after)) {
				t.Errorf("the printed policy judges differently:\n%+v\n%+v", before, after)
			}
		})
	})
}

// unplaced is d without line numbers.
func unplaced(d *Decision) *Decision {
	c := *d
	c.Reasons = slices.Clone(d.Reasons)
	for i := range c.Reasons {
		c.Reasons[i].Line = 0
	}
	return &c
}

func TestRenamingSidsChangesNothing(t *testing.T) {
	forWorlds(t, func(t *testing.T, _ *generator, w *world) {
		before := Evaluate(&w.request, &w.policies)
		eachPolicy(&w.policies, func(changed *Policies, one *Policy) {
			renamed := *one.Document
			renamed.statements = slices.Clone(renamed.statements)
			for i := range renamed.statements {
				renamed.statements[i].Sid = fmt.Sprintf("Renamed%d", i)
			}
			d, err := Parse(renamed.kind, renamed.String())
			if err != nil {
				t.Fatal(err)
			}
			d.ids = renamed.ids
			one.Document = d
			after := Evaluate(&w.request, changed)
			if outcome(before) != outcome(after) {
				t.Errorf("other Sids, another outcome: %s, %s", outcome(before), outcome(after))
			}
		})
	})
}

func TestEvaluateLeavesItsArgumentsAlone(t *testing.T) {
	forWorlds(t, func(t *testing.T, _ *generator, w *world) {
		before := fmt.Sprintf("%+v %s", w.request, show(w.policies))
		first := Evaluate(&w.request, &w.policies)
		second := Evaluate(&w.request, &w.policies)
		if !reflect.DeepEqual(first, second) {
			t.Errorf("two runs differ: %+v, %+v", first, second)
		}
		if after := fmt.Sprintf("%+v %s", w.request, show(w.policies)); before != after {
			t.Errorf("changed:\n%s\n%s", before, after)
		}
	})
}
