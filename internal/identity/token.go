package identity

import "strings"

// IsToken tells whether raw has the form of a service account token: three
// parts in base64url joined by dots. This is JwtToken in the model of EKS Auth
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html),
// without a regular expression, which for a thousand bytes takes as long as
// verifying the signature.
func IsToken(raw string) bool {
	header, rest, ok := strings.Cut(raw, ".")
	payload, signature, more := strings.Cut(rest, ".")
	return ok && more && isPart(header) && isPart(payload) && isPart(signature)
}

func isPart(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '=':
		default:
			return false
		}
	}
	return s != ""
}
