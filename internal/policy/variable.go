package policy

import (
	"strconv"
	"strings"
)

// template is a pattern or a plain text in which policy variables may stand
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html).
type template struct {
	text  string // all of it, where there are no variables
	parts []templatePart
}

// templatePart is a piece of compiled text, or a variable.
type templatePart struct {
	text       string // of a variable: its default
	key        string // of a variable, in lower case
	written    string // of a variable: "${...}"
	hasDefault bool
	inSegment  bool // of a variable: must not bring further colons into an ARN
}

// dialect says what is special in a text besides its letters.
type dialect struct {
	variables bool // ${...}; Version 2012-10-17 only
	wild      bool // * and ?
}

// compile reads s. Its error is a phrase for a SyntaxError.
func (d dialect) compile(s string) (template, string) {
	if !d.variables || !strings.Contains(s, "${") {
		return template{text: d.literal(s)}, ""
	}
	var parts []templatePart
	var text strings.Builder
	for s != "" {
		before, _, found := strings.Cut(s, "${")
		text.WriteString(d.literal(before))
		if !found {
			break
		}
		s = s[len(before):]
		written := variableAt(s)
		if written == "" {
			return template{}, "the policy variable " + strconv.Quote(s) + " is missing a closing curly brace"
		}
		s = s[len(written):]
		inner := written[2 : len(written)-1]
		if inner == "*" || inner == "?" || inner == "$" {
			text.WriteString(inner)
			continue
		}
		v, problem := d.variable(inner)
		if problem != "" {
			return template{}, problem
		}
		v.written = written
		if text.Len() > 0 {
			parts = append(parts, templatePart{text: text.String()})
			text.Reset()
		}
		parts = append(parts, v)
	}
	if parts == nil {
		return template{text: text.String()}, ""
	}
	if text.Len() > 0 {
		parts = append(parts, templatePart{text: text.String()})
	}
	return template{parts: parts}, ""
}

// variableAt returns the variable that s begins with, or "" if it does not
// end. A '}' within the quotes of a default belongs to the default.
func variableAt(s string) string {
	quoted := false
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case '\'':
			quoted = !quoted
		case '}':
			if !quoted {
				return s[:i+1]
			}
		}
	}
	return ""
}

func (d dialect) literal(s string) string {
	if d.wild {
		return wildcardBytes.Replace(s)
	}
	return s
}

// variable reads what stands between the braces: "key" or "key, 'default'".
func (d dialect) variable(inner string) (templatePart, string) {
	key, rest, hasDefault := strings.Cut(inner, ",")
	v := templatePart{key: strings.ToLower(key), hasDefault: hasDefault}
	switch {
	case key == "":
		return v, "the policy variable ${" + inner + "} is empty"
	case strings.ContainsAny(key, " '{}$*?"):
		return v, "the policy variable ${" + inner + "} has a character that names of keys do not have"
	case !hasDefault:
		return v, ""
	}
	value, ok := strings.CutPrefix(rest, " '")
	if ok {
		value, ok = strings.CutSuffix(value, "'")
	}
	if !ok || strings.Contains(value, "'") {
		return v, "the default of the policy variable ${" + inner + "} must follow a comma and a space, in single quotes"
	}
	v.text = value
	return v, ""
}

// value returns what stands for the part in a request, and whether anything does.
func (p *templatePart) value(c Context) (string, bool) {
	if p.key == "" {
		return p.text, true
	}
	values := c[p.key]
	switch {
	case len(values) == 0:
		return p.text, p.hasDefault
	case len(values) > 1, hasWildcard(values[0]), p.inSegment && strings.Contains(values[0], ":"):
		return "", false
	}
	return values[0], true
}

// resolve puts values in the places of variables. It reports false if one has
// none: it is absent without a default, or has several values.
func (t *template) resolve(c Context) (string, bool) {
	if t.parts == nil {
		return t.text, true
	}
	var out strings.Builder
	for i := range t.parts {
		text, ok := t.parts[i].value(c)
		if !ok {
			return "", false
		}
		out.WriteString(text)
	}
	return out.String(), true
}

// show is for reasons: the text with what is known of its variables filled in.
func (t *template) show(c Context) string {
	if t.parts == nil {
		return wildcardText.Replace(t.text)
	}
	var out strings.Builder
	for i := range t.parts {
		text, ok := t.parts[i].value(c)
		if !ok {
			text = t.parts[i].written
		}
		out.WriteString(text)
	}
	return wildcardText.Replace(out.String())
}
