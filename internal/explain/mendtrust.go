package explain

import (
	"slices"
	"strings"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// trust lets the trust policy of the role allow a: by one value more in the
// statement that lacks only that, or by a statement for this association alone.
func (s *stage) trust(a *ask, d *policy.Decision) (change, bool) {
	if len(a.resource) == 0 {
		return change{}, false
	}
	doc := a.resource[0]
	for _, r := range nearest(d.Reasons, policy.Trust) {
		if why, ok := s.admit(a, doc, r); ok {
			return change{doc, why}, true
		}
	}
	why := "trust this association, in a statement of its own"
	if s.caller == nil {
		why = "trust EKS on behalf of this cluster, in a statement of its own"
	}
	if s.role.missing {
		why = "create the role, with no permissions yet, for this association alone; or, if its name is a mistake, name another in the association"
	}
	return change{doc, why}, doc.add(s.dedicated(a))
}

// admit changes a trust statement that misses one thing, where the change lets
// in this association and nobody else.
func (s *stage) admit(a *ask, d *document, r policy.Reason) (string, bool) {
	parts, err := d.draft()
	if err != nil || len(r.Misses) != 1 || r.Statement >= len(parts.statements) {
		return "", false
	}
	statement, miss := parts.statements[r.Statement], r.Misses[0]
	switch miss.Element {
	case "Action":
		// Who may be told apart by their tags may be tagged; nobody more may assume
		// the role. The external ID is no key of sts:TagSession
		// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
		if a.request.Action != "sts:TagSession" || len(statement.Principals) != 1 || !contains(statement.Actions, "sts:AssumeRole") {
			return "", false
		}
		if has(statement, "sts:ExternalId") {
			return "allow sts:TagSession in a statement of its own, as it knows no external ID", d.add(s.tagging(statement))
		}
		return "allow sts:TagSession beside sts:AssumeRole", d.edit(r.Statement, func(s *policy.Statement) { s.Actions = append(s.Actions, "sts:TagSession") })
	case "Principal":
		return s.admitPrincipal(a, d, r.Statement, statement)
	case "Condition":
		if !s.fits(a, statement, miss) {
			return "", false
		}
		return "accept " + a.value(miss.Key) + " too as " + miss.Key, d.edit(r.Statement, func(st *policy.Statement) { addValue(st, miss, a.value(miss.Key)) })
	}
	return "", false
}

// admitPrincipal names the caller in the place of principals that are nobody
// any more, or that a condition of the statement rules out.
func (s *stage) admitPrincipal(a *ask, d *document, index int, statement policy.Statement) (string, bool) {
	if s.caller == nil || statement.NotPrincipals != nil || !s.pinned(statement) && !goneAll(statement.Principals) {
		return "", false
	}
	caller := policy.NamedPrincipal{Kind: "AWS", Value: s.caller.arn.String()}
	onlyCaller := s.namesCaller(statement)
	why := "trust " + caller.Value
	var kept []policy.NamedPrincipal
	for _, p := range statement.Principals {
		switch {
		case gone(p):
			why += " in the place of " + p.Value + ", which is what is left of a role or user that was deleted"
		case onlyCaller:
			why += " in the place of " + p.Value + ", whom the condition on aws:PrincipalArn rules out"
		default:
			kept = append(kept, p)
		}
	}
	if len(kept) > 0 && !onlyOf(statement.Actions, s.needed()) {
		return "", false
	}
	return why, d.edit(index, func(s *policy.Statement) { s.Principals = append(kept, caller) })
}

// gone tells whether a principal is the unique id of somebody who was deleted:
// IAM shows the ARN of those who exist
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles).
func gone(p policy.NamedPrincipal) bool {
	return p.Kind == "AWS" && (strings.HasPrefix(p.Value, "AROA") || strings.HasPrefix(p.Value, "AIDA"))
}

func goneAll(all []policy.NamedPrincipal) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(p policy.NamedPrincipal) bool { return !gone(p) })
}

// pinned tells whether a statement asks for what only one association sends.
func (s *stage) pinned(statement policy.Statement) bool {
	return has(statement, "sts:ExternalId") || has(statement, "aws:RequestTag/kubernetes-service-account") ||
		has(statement, "aws:PrincipalTag/kubernetes-service-account") || s.caller == nil && has(statement, "aws:SourceArn")
}

// namesCaller tells whether a condition admits the Pod Identity role alone.
func (s *stage) namesCaller(statement policy.Statement) bool {
	return slices.ContainsFunc(statement.Conditions, func(c policy.Condition) bool {
		return strings.EqualFold(c.Key, "aws:PrincipalArn") && positive(c.Operator) && slices.Equal(c.Values, []string{s.caller.arn.String()})
	})
}

// fits tells whether one value more of one condition lets in nobody else:
// everything else in the statement has one value.
func (s *stage) fits(a *ask, statement policy.Statement, miss policy.Miss) bool {
	if !positive(miss.Operator) || miss.Absent || len(miss.Got) != 1 || a.open(miss.Key) || len(statement.Principals) != 1 || !s.pinned(statement) || !pinning(miss.Key) {
		return false
	}
	for _, c := range statement.Conditions {
		same := strings.EqualFold(c.Key, miss.Key) && c.Operator == miss.Operator
		if !same && len(c.Values) != 1 {
			return false
		}
	}
	return true
}

// pinning are the keys whose value says which association, role or cluster it is.
func pinning(key string) bool {
	lower := strings.ToLower(key)
	for _, prefix := range []string{"aws:requesttag/eks-", "aws:requesttag/kubernetes-", "aws:principaltag/eks-", "aws:principaltag/kubernetes-"} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return lower == "sts:externalid" || lower == "aws:principalarn" || lower == "aws:sourcearn"
}

// positive tells whether an operator compares for equality with any of its values.
func positive(operator string) bool {
	switch strings.TrimSuffix(operator, "IfExists") {
	case "StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike":
		return true
	}
	return false
}

func addValue(s *policy.Statement, miss policy.Miss, value string) {
	for i, c := range s.Conditions {
		if c.Operator == miss.Operator && c.Key == miss.Key {
			s.Conditions[i].Values = append(c.Values, value)
		}
	}
}

// value is the one value of a key in the request.
func (a *ask) value(key string) string {
	if values, ok := a.request.Context.Get(key); ok && len(values) == 1 {
		return values[0]
	}
	return ""
}

func has(s policy.Statement, key string) bool {
	return slices.ContainsFunc(s.Conditions, func(c policy.Condition) bool { return strings.EqualFold(c.Key, key) })
}

func contains(actions []string, action string) bool {
	return slices.ContainsFunc(actions, func(other string) bool { return strings.EqualFold(other, action) })
}

// tagging is the second statement of the user guide's form with an external ID
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html),
// under the conditions that hold for both actions.
func (s *stage) tagging(of policy.Statement) policy.Statement {
	out := clone(of)
	out.Sid, out.Actions = "", []string{"sts:TagSession"}
	out.Conditions = slices.DeleteFunc(out.Conditions, func(c policy.Condition) bool { return strings.EqualFold(c.Key, "sts:ExternalId") })
	return out
}

// dedicated is the statement of a trust policy that admits one association: in
// the user guide's forms, by the session tags or else by the external ID, or on
// the first hop by the cluster.
func (s *stage) dedicated(a *ask) policy.Statement {
	out := policy.Statement{Allow: true, Actions: s.needed()}
	equals := func(operator string, keys ...string) {
		for _, key := range keys {
			if value := a.value(key); value != "" {
				out.Conditions = append(out.Conditions, policy.Condition{Operator: operator, Key: key, Values: []string{value}})
			}
		}
	}
	if s.caller == nil {
		out.Sid = "AllowEksAuthToAssumeRoleForPodIdentity"
		out.Principals = []policy.NamedPrincipal{{Kind: "Service", Value: identity.ServicePrincipal}}
		equals("ArnEquals", "aws:SourceArn")
		return out
	}
	caller := s.caller.arn
	if caller.AccountID == s.role.arn.AccountID {
		out.Principals = []policy.NamedPrincipal{{Kind: "AWS", Value: caller.String()}}
	} else {
		// The account and the condition admit the role even after it was made anew.
		root := identity.ARN{Partition: caller.Partition, Service: "iam", AccountID: caller.AccountID, Resource: "root"}
		out.Principals = []policy.NamedPrincipal{{Kind: "AWS", Value: root.String()}}
		equals("ArnEquals", "aws:PrincipalArn")
	}
	if a.value("aws:RequestTag/kubernetes-service-account") != "" {
		equals("StringEquals", "aws:RequestTag/eks-cluster-arn", "aws:RequestTag/kubernetes-namespace", "aws:RequestTag/kubernetes-service-account")
	} else {
		equals("StringEquals", "sts:ExternalId")
	}
	return out
}
