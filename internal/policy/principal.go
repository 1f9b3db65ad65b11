package policy

import "strings"

// principalKind says how a value of a Principal element names callers.
type principalKind int

const (
	everyone       principalKind = iota // "*"
	accountEntry                        // 111122223333 or arn:aws:iam::111122223333:root
	userEntry                           // arn:aws:iam::111122223333:user/path/name
	roleEntry                           // arn:aws:iam::111122223333:role/path/name
	sessionEntry                        // arn:aws:sts::111122223333:assumed-role/name/session, or federated-user/name
	idEntry                             // AIDA..., AROA...: who is left of a principal that was deleted
	serviceEntry                        // "Service"
	providerEntry                       // "Federated"
	canonicalEntry                      // "CanonicalUser"
)

// principalEntry is one value of a Principal or NotPrincipal element.
type principalEntry struct {
	kind    principalKind
	value   string
	account string // of account entries
}

// maxPrincipal is the longest value taken; ARNs have at most 2048 characters.
const maxPrincipal = 2048

// compilePrincipal reads one value under a key of a principal map. Wildcards
// stand for everyone or for nothing
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html).
func compilePrincipal(t Type, key, value string) (principalEntry, bool) {
	if len(value) > maxPrincipal || value != "*" && strings.ContainsAny(value, "*?") {
		return principalEntry{}, false
	}
	switch key {
	case "AWS":
		return awsPrincipal(t, value)
	case "Service":
		return principalEntry{kind: serviceEntry, value: value}, isDomain(value)
	case "Federated":
		return principalEntry{kind: providerEntry, value: value}, isProvider(value)
	case "CanonicalUser":
		ok := t == Resource && len(value) == 64 && only(value, digits+"abcdef")
		return principalEntry{kind: canonicalEntry, value: value}, ok
	}
	return principalEntry{}, false
}

func awsPrincipal(t Type, value string) (principalEntry, bool) {
	switch {
	case value == "*":
		return principalEntry{kind: everyone, value: value}, true
	case isAccountID(value):
		return principalEntry{kind: accountEntry, value: value, account: value}, true
	case isUniqueID(value):
		return principalEntry{kind: idEntry, value: value}, true
	}
	arn, ok := splitARN(value)
	if !ok || arn[0] != "arn" || arn[3] != "" || !partitionPattern(arn[1]) {
		return principalEntry{}, false
	}
	account, name := arn[4], arn[5]
	entry := principalEntry{value: value}
	switch {
	// CloudFront's origin access identities are users of an account that is none.
	case !isAccountID(account) && (t != Resource || account != "cloudfront"):
		return principalEntry{}, false
	case arn[2] == "iam" && name == "root":
		entry.kind, entry.account = accountEntry, account
	case arn[2] == "iam" && hasName(name, "user/"):
		entry.kind = userEntry
	case arn[2] == "iam" && hasName(name, "role/"):
		entry.kind = roleEntry
	case arn[2] == "sts" && hasName(name, "assumed-role/") && strings.Count(name, "/") == 2:
		entry.kind = sessionEntry
	case arn[2] == "sts" && hasName(name, "federated-user/") && strings.Count(name, "/") == 1:
		entry.kind = sessionEntry
	default:
		return principalEntry{}, false
	}
	return entry, true
}

// hasName tells whether resource is prefix with something after it that ends in a name.
func hasName(resource, prefix string) bool {
	return strings.HasPrefix(resource, prefix) && !strings.HasSuffix(resource, "/") && !strings.Contains(resource, ":")
}

func isAccountID(s string) bool { return len(s) == 12 && only(s, digits) }

// isUniqueID tells whether s is the unique id of a user or a role
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids).
func isUniqueID(s string) bool {
	return len(s) >= 16 && len(s) <= 128 && (strings.HasPrefix(s, "AIDA") || strings.HasPrefix(s, "AROA")) &&
		only(s, digits+"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

func isDomain(s string) bool {
	return strings.Contains(s, ".") && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".") &&
		!strings.Contains(s, "..") && only(s, letters+digits+"-.")
}

// isProvider tells whether s may stand under "Federated": a built-in web
// identity provider by its domain, or the ARN of an OIDC or SAML provider.
func isProvider(s string) bool {
	arn, ok := splitARN(s)
	if !ok {
		return isDomain(s)
	}
	return arn[0] == "arn" && partitionPattern(arn[1]) && arn[2] == "iam" && arn[3] == "" && isAccountID(arn[4]) &&
		(strings.HasPrefix(arn[5], "oidc-provider/") || strings.HasPrefix(arn[5], "saml-provider/")) &&
		!strings.HasSuffix(arn[5], "/")
}

// grant is how directly a resource-based policy names a caller, weakest first.
// Within one account it decides what else must allow the request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html).
type grant int

const (
	notNamed    grant = iota
	delegated         // the account: its identity policies have the say
	namedRole         // the role: boundary and session policies still limit
	namedDirect       // the user or session itself, or everyone
)

// names returns how e names the caller p in a document of type t. ids binds
// ARNs to unique ids (see Document.Bind). unsure is the answer to give where
// the request does not tell.
func (e *principalEntry) names(p *Principal, t Type, ids map[string]string, unsure bool) grant {
	switch e.kind {
	case everyone:
		if t == Trust {
			// AWS documents that permissions granted to "*" are not limited by
			// boundaries and session policies, but not that this holds for trust
			// policies; the stricter reading is taken.
			return namedRole
		}
		return namedDirect
	case accountEntry:
		return grantIf(p.hasAccount() && p.AccountID == e.account, delegated)
	case userEntry:
		return grantIf(p.Kind == User && p.ARN == e.value && bound(ids, e.value, p.UniqueID), namedDirect)
	case roleEntry:
		return grantIf(p.Kind == RoleSession && p.RoleARN == e.value && bound(ids, e.value, p.UniqueID), namedRole)
	case sessionEntry:
		return grantIf((p.Kind == RoleSession || p.Kind == User) && p.ARN == e.value, namedDirect)
	case idEntry:
		if p.Kind == User {
			return grantIf(p.UniqueID == e.value, namedDirect)
		}
		return grantIf(p.Kind == RoleSession && p.UniqueID == e.value, namedRole)
	case serviceEntry:
		return grantIf(p.Kind == Service && p.Service == e.value, namedDirect)
	case providerEntry:
		return grantIf(p.Kind == WebIdentity && p.Provider == e.value, namedDirect)
	case canonicalEntry:
		if p.CanonicalUserID == "" {
			return grantIf(unsure, delegated)
		}
		return grantIf(p.CanonicalUserID == e.value, delegated)
	}
	return notNamed
}

func grantIf(condition bool, g grant) grant {
	if condition {
		return g
	}
	return notNamed
}

func bound(ids map[string]string, arn, id string) bool {
	return ids == nil || id != "" && ids[arn] == id
}

// hasAccount tells whether p is one of an account's own identities.
func (p *Principal) hasAccount() bool {
	return (p.Kind == Root || p.Kind == User || p.Kind == RoleSession) && p.AccountID != ""
}

// principals is a Principal or NotPrincipal element.
type principals struct {
	negated bool
	entries []principalEntry
}

// grants returns how the element lets an Allow or Deny of a document reach
// the caller; notNamed if it does not.
func (ps *principals) grants(allow bool, p *Principal, d *Document, hasBoundary bool) grant {
	if ps.negated {
		return ps.grantsOthers(allow, p, d, hasBoundary)
	}
	best := notNamed
	for i := range ps.entries {
		best = max(best, ps.entries[i].reaches(allow, p, d))
	}
	return best
}

// reaches is names without the callers whom an Allow of a trust policy cannot
// mean: the root user and unsigned callers cannot call AssumeRole
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html),
// and a web identity is let in by its provider alone.
func (e *principalEntry) reaches(allow bool, p *Principal, d *Document) grant {
	if allow && d.kind == Trust {
		unsigned := p.Kind == Anonymous || p.Kind == WebIdentity
		if p.Kind == Root || unsigned && e.kind != providerEntry {
			return notNamed
		}
	}
	return e.names(p, d.kind, d.ids, !allow)
}

// grantsOthers is for NotPrincipal, which means everyone but those named. With
// Allow, whoever is named in any way is left out. With Deny, a caller is
// spared only if the caller and its account are both named, and never if it
// has a permissions boundary
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html).
func (ps *principals) grantsOthers(allow bool, p *Principal, d *Document, hasBoundary bool) grant {
	var account, role, direct, session, otherSession bool
	for i := range ps.entries {
		e := &ps.entries[i]
		g := e.names(p, d.kind, d.ids, allow)
		account = account || g == delegated
		role = role || g == namedRole
		direct = direct || g == namedDirect
		if e.kind == sessionEntry {
			session = session || g == namedDirect
			otherSession = otherSession || g == notNamed && sessionOf(e.value, p)
		}
	}
	spared := direct
	switch {
	case allow:
		spared = account || role || direct
	case p.Kind == Root:
		spared = account
	case p.Kind == User:
		spared = account && direct && !hasBoundary
	case p.Kind == RoleSession:
		// A session alone does not spare its role; and where sessions of the
		// role are named, only those are meant.
		spared = account && role && (session || !otherSession) && !hasBoundary
	}
	if spared {
		return notNamed
	}
	// What an Allow with NotPrincipal does in the caller's own account is not
	// documented; the account's identity policies keep the say.
	return delegated
}

// sessionOf tells whether arn is that of some session of p's role.
func sessionOf(arn string, p *Principal) bool {
	i := strings.LastIndexByte(p.ARN, '/')
	return p.Kind == RoleSession && i >= 0 && strings.HasPrefix(arn, p.ARN[:i+1])
}
