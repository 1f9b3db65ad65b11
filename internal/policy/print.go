package policy

import (
	"strings"
	"unicode/utf8"
)

// String prints the document in canonical form: JSON without white space,
// elements in the order of IAM's grammar, a list of one value as the value.
// Parsing it again gives a document that prints and judges the same.
func (d *Document) String() string { return d.print(nil) }

// print puts the names of renamed in the place of principals.
func (d *Document) print(renamed map[string]string) string {
	var p printer
	p.open('{')
	if d.version != "" {
		p.key("Version")
		p.quoted(d.version)
	}
	if d.id != "" {
		p.key("Id")
		p.quoted(d.id)
	}
	p.key("Statement")
	p.open('[')
	for i := range d.statements {
		p.next()
		p.statement(&d.statements[i], renamed)
	}
	p.close(']')
	p.close('}')
	return p.out.String()
}

// printer writes JSON and knows where commas go.
type printer struct {
	out   strings.Builder
	comma bool
}

func (p *printer) open(bracket byte)  { p.out.WriteByte(bracket); p.comma = false }
func (p *printer) close(bracket byte) { p.out.WriteByte(bracket); p.comma = true }

// next goes to the next element of an array or object.
func (p *printer) next() {
	if p.comma {
		p.out.WriteByte(',')
	}
	p.comma = true
}

func (p *printer) key(name string) {
	p.next()
	p.quoted(name)
	p.out.WriteByte(':')
}

func (p *printer) quoted(s string) { p.out.WriteString(quote(s)) }

func (p *printer) list(name string, values []string) {
	if values == nil {
		return
	}
	p.key(name)
	if len(values) == 1 {
		p.quoted(values[0])
		return
	}
	p.open('[')
	for _, v := range values {
		p.next()
		p.quoted(v)
	}
	p.close(']')
}

func (p *printer) statement(s *Statement, renamed map[string]string) {
	p.open('{')
	if s.Sid != "" {
		p.key("Sid")
		p.quoted(s.Sid)
	}
	p.principals("Principal", s.Principals, renamed)
	p.principals("NotPrincipal", s.NotPrincipals, renamed)
	p.key("Effect")
	p.quoted(effectName(s.Allow))
	p.list("Action", s.Actions)
	p.list("NotAction", s.NotActions)
	p.list("Resource", s.Resources)
	p.list("NotResource", s.NotResources)
	p.conditions(s.Conditions)
	p.close('}')
}

func effectName(allow bool) string {
	if allow {
		return "Allow"
	}
	return "Deny"
}

func (p *printer) principals(name string, all []NamedPrincipal, renamed map[string]string) {
	if all == nil {
		return
	}
	p.key(name)
	if len(all) == 1 && all[0].Value == "*" {
		p.quoted("*")
		return
	}
	p.open('{')
	for _, kind := range principalKeys {
		var values []string
		for _, n := range all {
			if n.Kind != kind {
				continue
			}
			if id, ok := renamed[n.Value]; ok && kind == "AWS" {
				n.Value = id
			}
			values = append(values, n.Value)
		}
		p.list(kind, values)
	}
	p.close('}')
}

// conditions groups what is in order already: keys of one operator are neighbours.
func (p *printer) conditions(all []Condition) {
	if all == nil {
		return
	}
	p.key("Condition")
	p.open('{')
	for i, c := range all {
		if i == 0 || all[i-1].Operator != c.Operator {
			if i > 0 {
				p.close('}')
			}
			p.key(c.Operator)
			p.open('{')
		}
		p.list(c.Key, c.Values)
	}
	if len(all) > 0 {
		p.close('}')
	}
	p.close('}')
}

// quote writes s as a JSON string.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		out.WriteString(s[from:i])
		from = i + 1
		const hex = "0123456789abcdef"
		switch c {
		case '"', '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case '\n':
			out.WriteString(`\n`)
		case '\t':
			out.WriteString(`\t`)
		case '\r':
			out.WriteString(`\r`)
		default:
			out.WriteString(`\u00`)
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		}
	}
	out.WriteString(s[from:])
	out.WriteByte('"')
	return strings.ToValidUTF8(out.String(), string(utf8.RuneError))
}
