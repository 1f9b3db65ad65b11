package policy

// What each type of policy must and must not have beyond the common grammar.

// prohibited returns IAM's words for an element that policies of the parser's
// type cannot have, or "".
func (p *parser) prohibited(element string) string {
	switch p.kind {
	case Identity, Boundary, Session:
		if element == "Principal" || element == "NotPrincipal" {
			return "Policy document should not specify a principal."
		}
	case SCP: // https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_syntax.html
		if element == "Principal" || element == "NotPrincipal" {
			return "SCPs do not support specifying principals."
		}
	case RCP: // https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_syntax.html
		if element == "NotPrincipal" || element == "NotAction" {
			return "RCPs do not support the " + element + " element."
		}
	case Trust: // https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html
		switch element {
		case "Resource", "NotResource":
			return "Has prohibited field " + element
		case "NotPrincipal":
			return "AssumeRole policy must not contain NotPrincipal field."
		}
	}
	return ""
}

// complete checks that a statement has one of each pair of elements that its
// type needs, and not both.
func (p *parser) complete(n *node) *SyntaxError {
	pair := func(element, missing string) *SyntaxError {
		one, not := n.member(element), n.member("Not"+element)
		switch {
		case one == nil && not == nil:
			return p.fail(n, missing)
		case one != nil && not != nil:
			return p.syntax(not, "a statement cannot have both "+element+" and Not"+element)
		}
		return nil
	}
	if n.member("Effect") == nil {
		return p.fail(n, "Missing required field Effect")
	}
	resourceBased := p.kind == Resource || p.kind == Trust || p.kind == RCP
	noAction, noResource := "Policy statement must contain actions.", "Policy statement must contain resources."
	if resourceBased {
		noAction, noResource = "Missing required field Action", "Missing required field Resource"
		if err := pair("Principal", "Missing required field Principal"); err != nil {
			return err
		}
	}
	if err := pair("Action", noAction); err != nil {
		return err
	}
	if p.kind == Trust {
		return nil
	}
	if err := pair("Resource", noResource); err != nil {
		return err
	}
	if principal := n.member("Principal"); p.kind == RCP && (principal.kind != stringNode || principal.text != "*") {
		return p.failIn("Principal", n, `an RCP must have "*" as its Principal`)
	}
	return nil
}

// fullAccess tells whether s is the statement of RCPFullAWSAccess, the one RCP
// that allows.
func fullAccess(s *Statement) bool {
	return len(s.Conditions) == 0 && len(s.Actions) == 1 && s.Actions[0] == "*" && len(s.Resources) == 1 && s.Resources[0] == "*"
}
