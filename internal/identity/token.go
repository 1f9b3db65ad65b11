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

// isPart is asked about every byte of every token, so it looks the bytes up in
// a set: one bit for each of ASCII's first half, and one for each of its second.
func isPart(s string) bool {
	const (
		first  = (1<<10-1)<<'0' | 1<<'-' | 1<<'='
		second = (1<<26-1)<<('a'-64) | (1<<26-1)<<('A'-64) | 1<<('_'-64)
	)
	for i := range len(s) {
		set := uint64(first)
		if s[i] >= 64 {
			set = second
		}
		if s[i] >= 128 || set>>(s[i]&63)&1 == 0 {
			return false
		}
	}
	return s != ""
}
