package explain

import (
	"slices"
	"strings"

	"github.com/podid/podid/internal/policy"
)

// narrow makes a Deny let a through, and as little else as its document can say.
func (s *stage) narrow(a *ask, r policy.Reason) (change, bool) {
	d, ok := a.document(r.Policy)
	if !ok {
		return change{}, false
	}
	parts, err := d.draft()
	if err != nil || r.Statement >= len(parts.statements) || d.place.commands(cli{}, "") == nil && d.kind != policy.Session {
		return change{}, false
	}
	statement := parts.statements[r.Statement]
	if why, ok := s.except(a, d, r.Statement, statement); ok {
		return change{d, why}, true
	}
	if d.kind == policy.Identity || d.kind == policy.Boundary || d.kind == policy.Session {
		if why, ok := s.carve(a, d, r.Statement, parts); ok {
			return change{d, why}, true
		}
	}
	return s.exempt(a, d, r.Statement)
}

// except adds a value to a condition of the kind "unless the key is one of".
func (s *stage) except(a *ask, d *document, index int, statement policy.Statement) (string, bool) {
	for i, c := range statement.Conditions {
		value := a.value(c.Key)
		if !negative(c.Operator) || value == "" || a.open(c.Key) || !pinning(c.Key) {
			continue
		}
		if (d.kind == policy.SCP || d.kind == policy.RCP) && strings.HasPrefix(strings.ToLower(c.Key), "aws:requesttag/") {
			continue // for an organization, a tag is what anybody can send
		}
		return "do not deny it where " + c.Key + " is " + value,
			d.edit(index, func(s *policy.Statement) { s.Conditions[i].Values = append(s.Conditions[i].Values, value) })
	}
	return "", false
}

func negative(operator string) bool {
	switch strings.TrimSuffix(operator, "IfExists") {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike":
		return true
	}
	return false
}

// carve takes one action on one resource out of a Deny that is about a list of
// them, and leaves everything else denied.
func (s *stage) carve(a *ask, d *document, index int, parts *draft) (string, bool) {
	statement := parts.statements[index]
	if statement.NotActions != nil || statement.NotResources != nil || len(statement.Conditions) > 0 {
		return "", false
	}
	action, resource := a.request.Action, a.request.Resource
	otherActions := slices.DeleteFunc(slices.Clone(statement.Actions), func(x string) bool { return strings.EqualFold(x, action) })
	otherResources := slices.DeleteFunc(slices.Clone(statement.Resources), func(x string) bool { return x == resource })
	if len(otherActions) == len(statement.Actions) {
		return "", false // a pattern stands for it
	}
	var replacement []policy.Statement
	with := func(actions, resources, notResources []string) {
		if len(actions) == 0 || len(resources)+len(notResources) == 0 {
			return
		}
		part := clone(statement)
		part.Actions, part.Resources, part.NotResources = actions, resources, notResources
		if len(resources) == 0 {
			part.Resources = nil
		}
		if len(replacement) > 0 {
			part.Sid = "" // they are unique
		}
		replacement = append(replacement, part)
	}
	switch {
	case slices.Equal(statement.Resources, []string{"*"}):
		with(otherActions, statement.Resources, nil)
		with([]string{action}, nil, []string{resource})
	case len(otherResources) < len(statement.Resources):
		with(otherActions, statement.Resources, nil)
		with([]string{action}, otherResources, nil)
	default:
		return "", false
	}
	parts.statements = slices.Replace(parts.statements, index, index+1, replacement...)
	if len(parts.statements) == 0 {
		return "", false
	}
	return "do not deny " + action + " on " + resource, d.set(parts)
}

// exempt adds a condition to a Deny that lets through this association, role or
// cluster. A Deny that lacks the key still holds: its condition is negative.
func (s *stage) exempt(a *ask, d *document, index int) (change, bool) {
	operator, key := "ArnNotEquals", "aws:PrincipalArn"
	switch {
	case s.name == StepHop1 && s.caller == nil:
		key = "aws:SourceArn"
	case s.name == StepHop2 && a.request.Action == "sts:AssumeRole" && (d.kind == policy.Identity || d.kind == policy.Boundary || d.kind == policy.Trust):
		operator, key = "StringNotEquals", "sts:ExternalId"
	}
	value := a.value(key)
	if value == "" {
		return change{}, false
	}
	ok := d.edit(index, func(s *policy.Statement) {
		s.Conditions = append(s.Conditions, policy.Condition{Operator: operator, Key: key, Values: []string{value}})
	})
	return change{d, "do not deny it where " + key + " is " + value}, ok
}
