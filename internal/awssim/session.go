package awssim

import (
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// session is what a session token says: everything about an assumed role that
// is not in the state. Tokens are sealed, so the small AWS keeps no sessions.
type session struct {
	AccessKeyID    string            `json:"k"`
	RoleID         string            `json:"r"` // AROA...: a role made anew under the same name is another one
	Name           string            `json:"n"`
	Issued         time.Time         `json:"i"`
	Expires        time.Time         `json:"e"`
	Tags           []identity.Tag    `json:"t,omitempty"` // passed and inherited, without the role's own
	Transitive     []string          `json:"tt,omitempty"`
	Policy         string            `json:"p,omitempty"`  // session policy
	PolicyARNs     []string          `json:"pa,omitempty"` // managed session policies
	SourceIdentity string            `json:"s,omitempty"`
	Provider       string            `json:"f,omitempty"` // ARN of the OIDC provider, of a web identity's session
	WebIdentity    map[string]string `json:"w,omitempty"` // condition keys "ISSUER:sub" ... of a web identity's session
}

// sessionPolicies returns the session's policies. A managed one is followed as
// it stands now.
func (s *Sim) sessionPolicies(se *session) []policy.Policy {
	var all []policy.Policy
	if se.Policy != "" {
		d, err := policy.Parse(policy.Session, se.Policy)
		if err != nil { // it was parsed when the session began
			d = s.denyAll
		}
		all = append(all, policy.Policy{Name: "session policy", Type: policy.Session, Document: d})
	}
	for _, arn := range se.PolicyARNs {
		all = append(all, s.managed(arn, policy.Session, "session policy "+arn))
	}
	return all
}

// sessionARN drops the role's path, as AWS does
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
func sessionARN(r *role, name string) string {
	return "arn:aws:sts::" + r.AccountID + ":assumed-role/" + r.Name + "/" + name
}
