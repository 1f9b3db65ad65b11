package policy

import (
	"maps"
	"slices"
	"strings"
)

// Document is a parsed policy. It does not change.
type Document struct {
	kind       Type
	source     string
	version    string // empty if absent, which means 2008-10-17
	id         string
	statements []Statement
	rules      []rule // the statements, compiled
	ids        map[string]string
}

// Statement is one statement as it is written, for those who explain or print
// policies. Its slices belong to the document: do not change them.
type Statement struct {
	Sid           string
	Allow         bool             // Effect
	Principals    []NamedPrincipal // the Principal element; nil if there is none
	NotPrincipals []NamedPrincipal
	Actions       []string
	NotActions    []string
	Resources     []string
	NotResources  []string
	Conditions    []Condition
	Start, End    Position // of its braces in Source; End is just after the last
}

// NamedPrincipal is one value of a Principal element. "Principal": "*" is
// {AWS *}, which means the same.
type NamedPrincipal struct {
	Kind  string // "AWS", "Service", "Federated", "CanonicalUser"
	Value string
}

// Condition is one key under one operator, as written.
type Condition struct {
	Operator string // "ForAnyValue:StringLikeIfExists"
	Key      string
	Values   []string
}

// rule is what a statement means.
type rule struct {
	allow       bool
	principals  *principals // nil if there is no such element
	notAction   bool
	actions     []string // patterns
	notResource bool
	resources   []resource // empty only in trust policies
	conditions  []condition
}

// Type returns what the document was parsed as.
func (d *Document) Type() Type { return d.kind }

// Source returns the text that was parsed.
func (d *Document) Source() string { return d.source }

// Statements returns the statements in order.
func (d *Document) Statements() []Statement { return d.statements }

// ContextKeys returns the condition keys that the document refers to, in
// conditions and in variables, in alphabetical order, each once
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html).
func (d *Document) ContextKeys() []string {
	written := map[string]string{} // by its lower-case form
	add := func(key string) {
		if lower := strings.ToLower(key); written[lower] == "" {
			written[lower] = key
		}
	}
	for i := range d.statements {
		for _, c := range d.statements[i].Conditions {
			add(c.Key)
		}
		for _, t := range d.rules[i].templates() {
			for _, p := range t.parts {
				if p.key != "" {
					key, _, _ := strings.Cut(p.written[2:len(p.written)-1], ",")
					add(key)
				}
			}
		}
	}
	return slices.Sorted(maps.Values(written))
}

// templates returns every text of the rule in which variables may stand.
func (r *rule) templates() []template {
	var all []template
	for i := range r.resources {
		all = append(all, r.resources[i].patterns...)
	}
	for i := range r.conditions {
		for _, v := range r.conditions[i].values {
			all = append(all, v.text)
		}
	}
	return all
}

// PrincipalARNs returns the ARNs of the users and roles that the document
// names as principals, in alphabetical order, each once. They are what Bind
// needs the unique ids of; AWS refuses to store a policy that names one that
// does not exist.
func (d *Document) PrincipalARNs() []string {
	found := map[string]bool{}
	for i := range d.rules {
		ps := d.rules[i].principals
		if ps == nil {
			continue
		}
		for _, e := range ps.entries {
			if e.kind == userEntry || e.kind == roleEntry {
				found[e.value] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Bind returns a copy of d in which the ARN of a user or role as a principal
// means the one that has it now, by its unique id. This is what AWS does when
// it stores a resource-based policy: when the user or role is deleted, and
// even when another is made with the same ARN, the statement names nobody any
// more
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles).
//
// To store a policy, parse it, look up the id of each of PrincipalARNs, and
// keep Bind's result. An ARN that ids does not have then names nobody. A
// document that was never bound compares ARNs alone.
func (d *Document) Bind(ids map[string]string) *Document {
	bound := *d
	bound.ids = maps.Clone(ids)
	if bound.ids == nil {
		bound.ids = map[string]string{}
	}
	return &bound
}

// Text returns the document as AWS shows a stored one: as it was written, but
// with the unique id in the place of each bound ARN whose id exists says no of.
func (d *Document) Text(exists func(id string) bool) string {
	gone := map[string]string{}
	for arn, id := range d.ids {
		if id != "" && !exists(id) {
			gone[arn] = id
		}
	}
	if len(gone) == 0 {
		return d.source
	}
	return d.print(gone)
}
