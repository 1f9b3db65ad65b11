// Package policy judges requests by the IAM policy language. It is pure: no
// I/O, no clock; time and everything else comes with the request. Every
// decision carries all its reasons, because deciding and explaining are one run.
package policy

import "strings"

// Type is what a policy is attached as. It decides the grammar (which elements
// are required or refused), the size limit, and the part the policy plays.
type Type int

// The types of policies
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html).
const (
	Identity Type = iota // inline or managed, on a user, group or role
	Boundary             // permissions boundary
	Session              // passed to AssumeRole
	Resource             // on a resource such as a bucket
	Trust                // on a role: who may assume it
	SCP                  // service control policy
	RCP                  // resource control policy
)

// Policy is a parsed document under the name it goes by in reasons, such as
// "inline policy read-bucket of role arn:aws:iam::444455556666:role/target".
type Policy struct {
	Name     string
	Type     Type
	Document *Document
}

// PrincipalKind tells principals apart.
type PrincipalKind int

// The kinds of principals a request can come from.
const (
	Anonymous PrincipalKind = iota
	Root
	User
	RoleSession
	Service
	WebIdentity // the caller of AssumeRoleWithWebIdentity
)

// Principal is who makes a request.
type Principal struct {
	Kind      PrincipalKind
	ARN       string // of the user, the root or the assumed-role session; empty for services and anonymous
	AccountID string // empty for services and anonymous
	RoleARN   string // RoleSession: the role's ARN, path included
	UniqueID  string // AIDA... of a user, AROA... of a session's role
	Service   string // Service: "pods.eks.amazonaws.com"
	Provider  string // WebIdentity: ARN of the OIDC provider

	// CanonicalUserID is S3's name for the account, where it is known; see
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/finding-canonical-user-id.html.
	CanonicalUserID string
}

// Context holds condition keys and their values; a key that is absent is not
// in the map. Use Set and Get: keys are compared without regard to case.
type Context map[string][]string

// Set stores the values of a key, replacing what was there.
func (c Context) Set(key string, values ...string) { c[strings.ToLower(key)] = values }

// Get returns a key's values and whether the key is present.
func (c Context) Get(key string) ([]string, bool) { v, ok := c[strings.ToLower(key)]; return v, ok }

// Request is what is judged.
type Request struct {
	Principal         Principal
	Action            string // "sts:AssumeRole"
	Resource          string // ARN, or "*" where the action has no resource
	ResourceAccountID string // the account that owns the resource; may be empty if Resource is "*"
	Context           Context
}

// Policies are all policies that bear on a request.
type Policies struct {
	Identity    []Policy   // the principal's, inline and managed
	Boundary    []Policy   // permissions boundary of the user or role; none: no boundary
	Session     []Policy   // session policies: inline and managed together form one set; none: not limited
	Resource    []Policy   // the resource's: trust policy, bucket policy
	ResourceRCP [][]Policy // RCPs of the resource's account, level by level from the root; none: no organisation
	SCP         [][]Policy // SCPs of the principal's account, level by level from the root; none: no organisation
}

// Verdict is the outcome.
type Verdict int

// The verdicts. The zero value denies.
const (
	ImplicitDeny Verdict = iota
	ExplicitDeny
	Allowed
)

// Decision is a verdict with all its reasons.
type Decision struct {
	Verdict Verdict
	// Stage names what settled it: "explicit deny", "SCP", "resource policy", "trust policy",
	// "identity policy", "permissions boundary", "session policy"; or "unreadable policy" and
	// "malformed request" for what could not be understood. An RCP only ever denies explicitly.
	Stage   string
	Reasons []Reason // one for each statement of each policy consulted, in order
}

// Reason is what one statement had to say.
type Reason struct {
	Policy    string // Policy.Name
	Type      Type
	Sid       string // may be empty
	Statement int    // 0-based
	Line      int    // of the statement in its document, 1-based
	Allow     bool   // the statement's Effect
	Matched   bool
	Delegates bool   // it names only the caller's account, whose identity policies then have the say
	Misses    []Miss // why it did not match; empty if it did
}

// Miss is one element of a statement that did not match.
type Miss struct {
	Element  string   // "Principal", "Action", "Resource", "Condition" ...
	Operator string   // Condition: "StringEquals"
	Key      string   // Condition: "sts:ExternalId"
	Want     []string // as written in the policy, variables resolved
	Got      []string // as present in the request
	Absent   bool     // Condition: the key was not in the request
}
