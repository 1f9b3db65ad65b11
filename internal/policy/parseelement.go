package policy

import (
	"slices"
	"strings"
)

// The elements of a statement. Each method reads one, as written and compiled.

func (p *parser) effect(n *node, allow *bool) *SyntaxError {
	*allow = n.text == "Allow"
	if n.kind != stringNode || !*allow && n.text != "Deny" {
		return p.syntax(n, "Effect must be Allow or Deny")
	}
	return nil
}

func (p *parser) sid(n *node, s *Statement, d *Document) *SyntaxError {
	if err := p.str(n, &s.Sid); err != nil {
		return err
	}
	// Other services take more in the Sids of their policies, S3 for one spaces.
	if p.kind != Resource && !only(s.Sid, letters+digits) {
		return p.fail(n, "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	}
	for i := range d.statements {
		if s.Sid != "" && d.statements[i].Sid == s.Sid {
			return p.fail(n, "Statement IDs (SID) in a single policy must be unique.")
		}
	}
	return nil
}

func (p *parser) actions(n *node, into *[]string, r *rule) *SyntaxError {
	*into = []string{}
	err := p.list(n, func(n *node) *SyntaxError {
		if err := p.expect(n, stringNode); err != nil {
			return err
		}
		pattern, problem := compileAction(n.text)
		if problem != "" {
			return p.fail(n, problem)
		}
		if p.kind == Trust && !trustAction(pattern) {
			return p.fail(n, "AssumeRole policy may only specify STS AssumeRole actions.")
		}
		*into = append(*into, n.text)
		r.actions = append(r.actions, pattern)
		return nil
	})
	if err == nil && len(r.actions) == 0 {
		return p.fail(n, "Policy statement must contain actions.")
	}
	return err
}

func (p *parser) resources(n *node, into *[]string, r *rule) *SyntaxError {
	*into = []string{}
	err := p.list(n, func(n *node) *SyntaxError {
		if err := p.expect(n, stringNode); err != nil {
			return err
		}
		complete := p.kind != Session && p.kind != Resource
		compiled, problem := compileResource(n.text, dialect{variables: p.variables, wild: true}, complete)
		if problem != "" {
			return p.fail(n, problem)
		}
		*into = append(*into, n.text)
		r.resources = append(r.resources, compiled)
		return nil
	})
	if err == nil && len(r.resources) == 0 {
		return p.fail(n, "Policy statement must contain resources.")
	}
	return err
}

// principalKeys are the keys of a principal map, in the order in which they print.
var principalKeys = []string{"AWS", "Service", "Federated", "CanonicalUser"}

func (p *parser) notPrincipals(n *node, s *Statement, r *rule) *SyntaxError {
	if err := p.principals(n, &s.NotPrincipals, r); err != nil {
		return err
	}
	r.principals.negated = true
	for _, e := range r.principals.entries {
		if e.kind == everyone {
			return p.syntax(n, `NotPrincipal "*" leaves nobody`)
		}
	}
	return nil
}

func (p *parser) principals(n *node, into *[]NamedPrincipal, r *rule) *SyntaxError {
	ps := &principals{}
	if n.kind == stringNode {
		if n.text != "*" {
			return p.fail(n, "Invalid principal in policy: "+quote(n.text))
		}
		*into = []NamedPrincipal{{"AWS", "*"}}
		ps.entries = []principalEntry{{kind: everyone, value: "*"}}
		r.principals = ps
		return nil
	}
	err := p.each(n, func(key string, n *node) (bool, *SyntaxError) {
		return slices.Contains(principalKeys, key), p.principalValues(n, key, into, ps)
	})
	if err != nil {
		return err
	}
	if len(ps.entries) == 0 {
		return p.fail(n, "Missing required field Principal cannot be empty!")
	}
	r.principals = ps
	return nil
}

// principalValues reads what stands under one key of a principal map.
func (p *parser) principalValues(n *node, key string, into *[]NamedPrincipal, ps *principals) *SyntaxError {
	before := len(ps.entries)
	err := p.list(n, func(n *node) *SyntaxError {
		if err := p.expect(n, stringNode); err != nil {
			return err
		}
		entry, ok := compilePrincipal(p.kind, key, n.text)
		if !ok {
			return p.fail(n, "Invalid principal in policy: "+quote(key)+":"+quote(n.text))
		}
		ps.entries = append(ps.entries, entry)
		*into = append(*into, NamedPrincipal{key, n.text})
		return nil
	})
	if err == nil && len(ps.entries) == before {
		return p.fail(n, "Invalid principal in policy: "+quote(key)+" is empty")
	}
	return err
}

func (p *parser) conditions(n *node, s *Statement, r *rule) *SyntaxError {
	if err := p.expect(n, objectNode); err != nil {
		return err
	}
	s.Conditions = []Condition{}
	for i := range n.members {
		m := &n.members[i]
		op, ok := parseOperator(m.key)
		if !ok {
			return p.syntax(&node{start: m.start}, "unknown condition operator "+quote(m.key))
		}
		err := p.in(m.key, func() *SyntaxError { return p.keys(&m.value, m.key, op, s, r) })
		if err != nil {
			return err
		}
	}
	return nil
}

// keys reads what stands under one condition operator.
func (p *parser) keys(n *node, name string, op operator, s *Statement, r *rule) *SyntaxError {
	if err := p.expect(n, objectNode); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range n.members {
		m := &n.members[i]
		c := condition{operator: op, key: strings.ToLower(m.key)}
		at := &node{start: m.start}
		// Keys of identity providers have colons and slashes before the last colon.
		vendor, key, found := strings.Cut(m.key, ":")
		switch {
		case !found || vendor == "" || key == "":
			return p.fail(at, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		case seen[c.key]:
			return p.syntax(at, "the condition key "+quote(m.key)+" appears more than once with different capitalization")
		}
		seen[c.key] = true
		written := Condition{Operator: name, Key: m.key, Values: []string{}}
		err := p.in(m.key, func() *SyntaxError {
			return p.list(&m.value, func(n *node) *SyntaxError { return p.conditionValue(n, &c, &written) })
		})
		if err != nil {
			return err
		}
		s.Conditions = append(s.Conditions, written)
		r.conditions = append(r.conditions, c)
	}
	return nil
}

// conditionValue reads a string; numbers and booleans need no quotes.
func (p *parser) conditionValue(n *node, c *condition, written *Condition) *SyntaxError {
	if n.kind != stringNode && n.kind != numberNode && n.kind != booleanNode {
		return p.expect(n, stringNode)
	}
	value, problem := c.compile(n.text, p.variables)
	if problem != "" {
		return p.syntax(n, problem)
	}
	c.values = append(c.values, value)
	if c.family == nullFamily {
		absent, _ := parseBool(n.text)
		c.wantAbsent = append(c.wantAbsent, absent)
	}
	written.Values = append(written.Values, n.text)
	return nil
}
