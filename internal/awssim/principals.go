package awssim

import (
	"fmt"

	"github.com/podid/podid/internal/policy"
)

// invalidPrincipal is a principal that names nobody.
type invalidPrincipal struct{ principal string }

func (e *invalidPrincipal) Error() string {
	return fmt.Sprintf("Invalid principal in policy: %q:%q", "AWS", e.principal)
}

// bind parses a trust or bucket policy as it is to be stored. The users and
// roles that it names as principals are meant as they are now: others made
// later under the same names are not
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles).
// Its error is a *policy.SyntaxError or an *invalidPrincipal.
func (s *state) bind(t policy.Type, text string) (document, error) {
	return bindWith(t, text, s.uniqueID)
}

// uniqueID returns the unique id of the user or role that an ARN names.
func (s *state) uniqueID(arn string) (id string, ok bool) {
	if r, ok := s.roleByARN(arn); ok {
		return r.ID, true
	}
	if u, ok := s.userByARN(arn); ok {
		return u.ID, true
	}
	return "", false
}

func bindWith(t policy.Type, text string, uniqueID func(arn string) (string, bool)) (document, error) {
	parsed, err := policy.Parse(t, text)
	if err != nil {
		return document{}, err
	}
	ids := map[string]string{}
	for _, arn := range parsed.PrincipalARNs() {
		id, ok := uniqueID(arn)
		if !ok {
			return document{}, &invalidPrincipal{arn}
		}
		ids[arn] = id
	}
	return document{Text: text, IDs: ids, parsed: parsed.Bind(ids)}, nil
}

// shown returns a trust or bucket policy as its readers see it: with the
// unique id in the place of each principal that is gone.
func (s *state) shown(d document) string {
	return d.parsed.Text(func(id string) bool {
		_, role := s.roleByID(id)
		_, user := s.userByID(id)
		return role || user
	})
}
