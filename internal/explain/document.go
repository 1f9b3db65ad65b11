package explain

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/podid/podid/internal/policy"
)

// document is one policy along the path, and the place where it is kept.
type document struct {
	name  string // unique; what it goes by in reasons
	kind  policy.Type
	text  string // "": there is none so far
	place place
}

// parse returns the document as the judge reads it; nil where there is none.
func (d *document) parse() (*policy.Document, error) {
	if d.text == "" {
		return nil, nil
	}
	return policy.Parse(d.kind, d.text)
}

// draft is a policy's text taken apart, to be changed and put together again.
type draft struct {
	version, id string
	statements  []policy.Statement
}

// draft takes d apart. The statements are copies.
func (d *document) draft() (*draft, error) {
	parsed, err := d.parse()
	if err != nil {
		return nil, err
	}
	if parsed == nil {
		return &draft{version: "2012-10-17"}, nil
	}
	var head struct{ Version, Id string }
	if err := json.Unmarshal([]byte(d.text), &head); err != nil {
		return nil, err
	}
	out := &draft{version: head.Version, id: head.Id}
	for _, s := range parsed.Statements() {
		out.statements = append(out.statements, clone(s))
	}
	return out, nil
}

func clone(s policy.Statement) policy.Statement {
	s.Principals, s.NotPrincipals = slices.Clone(s.Principals), slices.Clone(s.NotPrincipals)
	s.Actions, s.NotActions = slices.Clone(s.Actions), slices.Clone(s.NotActions)
	s.Resources, s.NotResources = slices.Clone(s.Resources), slices.Clone(s.NotResources)
	s.Conditions = slices.Clone(s.Conditions)
	for i := range s.Conditions {
		s.Conditions[i].Values = slices.Clone(s.Conditions[i].Values)
	}
	return s
}

// The shape of a policy in JSON, members in the order of IAM's grammar
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
type wireDocument struct {
	Version   string          `json:",omitempty"`
	ID        string          `json:"Id,omitempty"`
	Statement []wireStatement `json:""`
}

type wireStatement struct {
	Sid          string                          `json:",omitempty"`
	Effect       string                          `json:""`
	Principal    any                             `json:",omitempty"`
	NotPrincipal any                             `json:",omitempty"`
	Action       oneOrMany                       `json:",omitempty"`
	NotAction    oneOrMany                       `json:",omitempty"`
	Resource     oneOrMany                       `json:",omitempty"`
	NotResource  oneOrMany                       `json:",omitempty"`
	Condition    map[string]map[string]oneOrMany `json:",omitempty"`
}

// oneOrMany writes a list of one as the value.
type oneOrMany []string

func (l oneOrMany) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return encode(l[0], "")
	}
	return encode(append([]string{}, l...), "")
}

// String puts the draft together, in one line.
func (d *draft) String() string { return d.print("") }

// pretty is how people get to see it.
func (d *draft) pretty() string { return d.print("  ") }

func (d *draft) print(indent string) string {
	out := wireDocument{Version: d.version, ID: d.id, Statement: []wireStatement{}}
	for _, s := range d.statements {
		w := wireStatement{
			Sid: s.Sid, Effect: effect(s.Allow), Principal: wirePrincipals(s.Principals), NotPrincipal: wirePrincipals(s.NotPrincipals),
			Action: s.Actions, NotAction: s.NotActions, Resource: s.Resources, NotResource: s.NotResources,
		}
		for _, c := range s.Conditions {
			if w.Condition == nil {
				w.Condition = map[string]map[string]oneOrMany{}
			}
			if w.Condition[c.Operator] == nil {
				w.Condition[c.Operator] = map[string]oneOrMany{}
			}
			w.Condition[c.Operator][c.Key] = c.Values
		}
		out.Statement = append(out.Statement, w)
	}
	text, err := encode(out, indent)
	if err != nil { // strings, lists and maps of them always encode
		return ""
	}
	return string(text)
}

func effect(allow bool) string {
	if allow {
		return "Allow"
	}
	return "Deny"
}

func wirePrincipals(all []policy.NamedPrincipal) any {
	if len(all) == 0 {
		return nil
	}
	if len(all) == 1 && all[0].Value == "*" {
		return "*"
	}
	kinds := map[string]oneOrMany{}
	for _, p := range all {
		kinds[p.Kind] = append(kinds[p.Kind], p.Value)
	}
	return kinds
}

// encode leaves <, > and & as they are: policies are full of them.
func encode(v any, indent string) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// lines is the pretty text of a document, for a diff.
func (d *document) lines() []string {
	parts, err := d.draft()
	if err != nil || d.text == "" {
		return nil
	}
	return strings.Split(parts.pretty(), "\n")
}
