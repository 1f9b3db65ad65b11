package policy

// Each function here adds why one element of a statement did not match. They
// do all work that only reasons need, so that a match costs nothing.

func (e *evaluation) missPrincipal(d *Document, s *Statement) {
	m := Miss{Element: "Principal"}
	named := s.Principals
	if named == nil {
		m.Element, named = "NotPrincipal", s.NotPrincipals
	}
	p := &e.req.Principal
	for _, n := range named {
		want := n.Value
		// Somebody else has the ARN now: show what AWS would, the id that is gone.
		if (want == p.ARN || want == p.RoleARN) && d.ids[want] != "" && d.ids[want] != p.UniqueID {
			want = d.ids[want]
		}
		m.Want = append(m.Want, want)
	}
	if e.principal == nil {
		e.principal = p.describe()
	}
	m.Got = e.principal
	e.misses = append(e.misses, m)
}

// describe lists the names by which a policy could mean p.
func (p *Principal) describe() []string {
	names := []string{}
	for _, name := range []string{p.ARN, p.RoleARN, p.UniqueID, p.Service, p.Provider} {
		if name != "" {
			names = append(names, name)
		}
	}
	if p.Kind == Anonymous {
		names = append(names, "anonymous")
	}
	return names
}

func (e *evaluation) missAction(s *Statement) {
	m := Miss{Element: "Action", Want: s.Actions}
	if s.NotActions != nil {
		m.Element, m.Want = "NotAction", s.NotActions
	}
	if e.gotAction == nil {
		e.gotAction = []string{e.req.Action}
	}
	m.Got = e.gotAction
	e.misses = append(e.misses, m)
}

func (e *evaluation) missResource(s *Statement, r *rule) {
	m := Miss{Element: "Resource", Want: s.Resources}
	if s.NotResources != nil {
		m.Element, m.Want = "NotResource", s.NotResources
	}
	for i := range r.resources {
		if !r.resources[i].any && r.resources[i].patterns[0].parts != nil {
			m.Want = e.resolvedResources(m.Want, r)
			break
		}
	}
	if e.gotResource == nil {
		e.gotResource = []string{e.req.Resource}
	}
	m.Got = e.gotResource
	e.misses = append(e.misses, m)
}

func (e *evaluation) resolvedResources(written []string, r *rule) []string {
	shown := make([]string, len(written))
	for i := range r.resources {
		shown[i] = written[i]
		if !r.resources[i].any {
			shown[i] = r.resources[i].patterns[0].show(e.req.Context)
		}
	}
	return shown
}

func (e *evaluation) missCondition(c *condition, written *Condition) {
	got := e.req.Context[c.key]
	m := Miss{
		Element: "Condition", Operator: written.Operator, Key: written.Key,
		Want: written.Values, Got: got, Absent: len(got) == 0,
	}
	for i := range c.values {
		if c.values[i].text.parts == nil {
			continue
		}
		m.Want = make([]string, len(c.values))
		for j := range c.values {
			m.Want[j] = c.values[j].text.show(e.req.Context)
		}
		break
	}
	e.misses = append(e.misses, m)
}
