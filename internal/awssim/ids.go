package awssim

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/podid/podid/internal/identity"
)

// The prefixes of unique ids and access keys
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
const (
	prefixUser      = "AIDA"
	prefixRole      = "AROA"
	prefixPolicy    = "ANPA"
	prefixLongTerm  = "AKIA"
	prefixTemporary = "ASIA"
)

const base32Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// newUniqueID makes the unique id of an entity: the prefix and 17 characters.
func newUniqueID(prefix string) string { return prefix + randomBase32(17) }

// newAccessKeyID makes the 20 characters of an access key's id.
func newAccessKeyID(prefix string) string { return prefix + randomBase32(16) }

func randomBase32(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails
	var b strings.Builder
	for _, c := range raw {
		b.WriteByte(base32Digits[c%32])
	}
	return b.String()
}

// newSecretKey makes a secret key: 40 characters.
func newSecretKey() identity.Secret {
	raw := make([]byte, 30)
	rand.Read(raw)
	return identity.Secret(base64.StdEncoding.EncodeToString(raw))
}
