package policy

import (
	"slices"
	"strconv"
)

// Parse reads a policy document of the given type, as strictly as IAM does
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html):
// what IAM refuses with MalformedPolicyDocument is refused here. Values that
// IAM accepts and can never evaluate, such as a date that is none, are refused
// too. Its error is a *SyntaxError.
func Parse(t Type, text string) (*Document, error) {
	d, err := parse(t, text)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func parse(t Type, text string) (*Document, *SyntaxError) {
	if t < Identity || t > RCP {
		return nil, &SyntaxError{Line: 1, Column: 1, Message: "unknown type of policy"}
	}
	if err := checkSize(t, text); err != nil {
		return nil, err
	}
	if err := checkCharacters(t, text); err != nil {
		return nil, err
	}
	root, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := parser{kind: t, text: text, at: Position{Line: 1, Column: 1}}
	return p.document(&root)
}

// parser turns JSON into statements. Its methods return nil or the first error.
type parser struct {
	kind      Type
	text      string
	variables bool
	path      []string
	at        Position // the end of the last statement
}

// fail makes an error at n, under the path that is being read.
func (p *parser) fail(n *node, message string) *SyntaxError {
	err := errorAt(p.text, n.start, message)
	for _, key := range slices.Backward(p.path) {
		err.under(key)
	}
	return err
}

// failIn makes an error at an element of the statement n.
func (p *parser) failIn(element string, n *node, message string) *SyntaxError {
	return p.in(element, func() *SyntaxError { return p.fail(n.member(element), message) })
}

// syntax is fail with IAM's text for whatever has none of its own.
func (p *parser) syntax(n *node, what string) *SyntaxError {
	return p.fail(n, "Syntax errors in policy: "+what)
}

// in reads a part of the document with key at the end of the path.
func (p *parser) in(key string, read func() *SyntaxError) *SyntaxError {
	p.path = append(p.path, key)
	err := read()
	p.path = p.path[:len(p.path)-1]
	return err
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

func (p *parser) expect(n *node, kind nodeKind) *SyntaxError {
	if n.kind != kind {
		return p.syntax(n, "expected "+nodeNames[kind]+", not "+nodeNames[n.kind])
	}
	return nil
}

// each reads the elements of an object, and refuses those that read does not
// know. Keys count with their case.
func (p *parser) each(n *node, read func(key string, value *node) (known bool, err *SyntaxError)) *SyntaxError {
	if err := p.expect(n, objectNode); err != nil {
		return err
	}
	for i := range n.members {
		m := &n.members[i]
		p.path = append(p.path, m.key)
		known, err := read(m.key, &m.value)
		p.path = p.path[:len(p.path)-1]
		if !known {
			return p.syntax(&node{start: m.start}, "unknown element "+quote(m.key))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list reads a value or an array of values.
func (p *parser) list(n *node, read func(*node) *SyntaxError) *SyntaxError {
	if n.kind != arrayNode {
		return read(n)
	}
	for i := range n.items {
		if err := p.in(index(i), func() *SyntaxError { return read(&n.items[i]) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) str(n *node, into *string) *SyntaxError {
	*into = n.text
	return p.expect(n, stringNode)
}

func (p *parser) document(root *node) (*Document, *SyntaxError) {
	d := &Document{kind: p.kind, source: p.text}
	err := p.each(root, func(key string, n *node) (bool, *SyntaxError) {
		switch key {
		case "Version":
			return true, p.version(n, &d.version)
		case "Id":
			return true, p.str(n, &d.id)
		}
		return key == "Statement", nil
	})
	statements := root.member("Statement")
	switch {
	case err != nil:
		return nil, err
	case statements == nil:
		return nil, p.syntax(root, "missing required field Statement")
	case statements.kind == arrayNode && len(statements.items) == 0:
		return nil, p.syntax(statements, "Statement is empty")
	case (p.kind == SCP || p.kind == RCP) && d.version != "2012-10-17":
		return nil, p.fail(root, "Policy document must be version 2012-10-17 or greater.")
	}
	p.variables = d.version == "2012-10-17"
	err = p.in("Statement", func() *SyntaxError {
		return p.list(statements, func(n *node) *SyntaxError { return p.statement(n, d) })
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (p *parser) version(n *node, into *string) *SyntaxError {
	*into = n.text
	if n.kind != stringNode || n.text != "2012-10-17" && n.text != "2008-10-17" {
		return p.syntax(n, "Version must be 2012-10-17 or 2008-10-17")
	}
	return nil
}

func (p *parser) statement(n *node, d *Document) *SyntaxError {
	s := Statement{Start: p.at.to(p.text, n.start)}
	s.End = s.Start.to(p.text, n.end)
	p.at = s.End
	var r rule
	err := p.each(n, func(key string, n *node) (bool, *SyntaxError) {
		if message := p.prohibited(key); message != "" {
			return true, p.fail(n, message)
		}
		switch key {
		case "Sid":
			return true, p.sid(n, &s, d)
		case "Effect":
			return true, p.effect(n, &s.Allow)
		case "Principal":
			return true, p.principals(n, &s.Principals, &r)
		case "NotPrincipal":
			return true, p.notPrincipals(n, &s, &r)
		case "Action":
			return true, p.actions(n, &s.Actions, &r)
		case "NotAction":
			return true, p.actions(n, &s.NotActions, &r)
		case "Resource":
			return true, p.resources(n, &s.Resources, &r)
		case "NotResource":
			return true, p.resources(n, &s.NotResources, &r)
		case "Condition":
			return true, p.conditions(n, &s, &r)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if err := p.complete(n); err != nil {
		return err
	}
	r.allow, r.notAction, r.notResource = s.Allow, s.NotActions != nil, s.NotResources != nil
	if p.kind == RCP && s.Allow && !fullAccess(&s) {
		return p.failIn("Effect", n, "an RCP can only deny: Allow is for RCPFullAWSAccess alone")
	}
	d.statements = append(d.statements, s)
	d.rules = append(d.rules, r)
	return nil
}
