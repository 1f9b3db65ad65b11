package explain

import (
	"slices"
	"strings"

	"github.com/podid/podid/internal/policy"
)

// permit lets policies of the caller's own allow a: by one more action or
// resource in a statement that is about nothing else, or by a statement more.
func (s *stage) permit(a *ask, d *policy.Decision, t policy.Type, documents []*document) (change, bool) {
	var home *document // of a new statement
	for _, r := range nearest(d.Reasons, t) {
		doc, ok := a.document(r.Policy)
		if !ok || !ownDocument(doc, t) {
			continue
		}
		if why, ok := s.extend(a, doc, r); ok {
			return change{doc, why}, true
		}
		if !missed(r, "Action") && home == nil {
			home = doc
		}
	}
	for _, doc := range documents {
		if home == nil && (doc.text == "" || t != policy.Identity) && ownDocument(doc, t) {
			home = doc
		}
	}
	if home == nil && t == policy.Boundary && len(documents) > 0 {
		// AWS's own policies cannot be changed: a copy takes the place of the boundary.
		home = documents[0]
		home.place = newBoundaryPlace{of: s.callerRole().arn, policy: spareName + "-boundary"}
	}
	if home == nil {
		return change{}, false
	}
	actions := s.needed()
	ok := home.add(policy.Statement{Allow: true, Actions: actions, Resources: []string{a.request.Resource}})
	return change{home, "allow " + strings.Join(actions, " and ") + " on " + a.request.Resource}, ok
}

// ownDocument tells whether a document may be changed for the sake of one role:
// managed policies are shared, unless they are the boundary that stands in the way.
func ownDocument(d *document, t policy.Type) bool {
	managed, ok := d.place.(managedPlace)
	return !ok || t == policy.Boundary && managed.arn.AccountID != "aws"
}

// callerRole is the role whose own policies the stage consults.
func (s *stage) callerRole() *role {
	if s.caller != nil {
		return s.caller
	}
	return s.role
}

// extend adds an action or a resource to a statement, where that gives nothing
// else to anybody.
func (s *stage) extend(a *ask, d *document, r policy.Reason) (string, bool) {
	parts, err := d.draft()
	if err != nil || len(r.Misses) != 1 || r.Statement >= len(parts.statements) {
		return "", false
	}
	statement := parts.statements[r.Statement]
	switch r.Misses[0].Element {
	case "Action":
		if !slices.Equal(statement.Resources, []string{a.request.Resource}) || statement.Actions == nil {
			return "", false
		}
		return "allow " + a.request.Action + " beside " + strings.Join(statement.Actions, ", "),
			d.edit(r.Statement, func(s *policy.Statement) { s.Actions = append(s.Actions, a.request.Action) })
	case "Resource":
		if statement.Resources == nil || !onlyOf(statement.Actions, s.needed()) {
			return "", false
		}
		return "allow it on " + a.request.Resource + " too",
			d.edit(r.Statement, func(s *policy.Statement) { s.Resources = append(s.Resources, a.request.Resource) })
	}
	return "", false
}

// onlyOf tells whether actions are some of allowed, and no wildcards.
func onlyOf(actions, allowed []string) bool {
	return len(actions) > 0 && !slices.ContainsFunc(actions, func(action string) bool {
		return !slices.ContainsFunc(allowed, func(other string) bool { return strings.EqualFold(action, other) })
	})
}

func missed(r policy.Reason, element string) bool {
	return slices.ContainsFunc(r.Misses, func(m policy.Miss) bool { return strings.HasSuffix(m.Element, element) })
}

// permitAbove lets the first level of the organization that allows nothing allow a.
func (s *stage) permitAbove(a *ask, d *policy.Decision) (change, bool) {
	for _, level := range a.scp {
		allows := slices.ContainsFunc(d.Reasons, func(r policy.Reason) bool {
			return r.Allow && r.Matched && slices.ContainsFunc(level, func(d *document) bool { return d.name == r.Policy })
		})
		if allows || len(level) == 0 {
			continue
		}
		statement := policy.Statement{Allow: true, Actions: s.needed(), Resources: []string{a.request.Resource}}
		return change{level[0], "allow " + strings.Join(s.needed(), " and ") + " on " + a.request.Resource}, level[0].add(statement)
	}
	return change{}, false
}

// permitAtResource adds a statement for the role to the policy of a bucket.
func (s *stage) permitAtResource(a *ask) (change, bool) {
	if len(a.resource) == 0 {
		return change{}, false
	}
	d := a.resource[0]
	return change{d, "let the role in"}, d.add(policy.Statement{
		Allow: true, Principals: []policy.NamedPrincipal{{Kind: "AWS", Value: s.callerRole().arn.String()}},
		Actions: s.needed(), Resources: []string{a.request.Resource},
	})
}
