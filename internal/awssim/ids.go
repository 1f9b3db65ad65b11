package awssim

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
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

// newAccessKeyID makes the 20 characters of an access key's id. As in AWS, the
// account can be read from them: 40 bits after the first one.
func newAccessKeyID(prefix, account string) string {
	raw := make([]byte, 10)
	rand.Read(raw) // never fails
	n, err := strconv.ParseUint(account, 10, 40)
	if err != nil {
		n = 0 // no account; the id is as unique without it
	}
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], 1<<47|n<<7|uint64(raw[5]&0x7f))
	copy(raw, head[2:])
	return prefix + base32.StdEncoding.EncodeToString(raw)
}

// accountOfKey reads the account from an access key's id.
func accountOfKey(accessKeyID string) (account string, ok bool) {
	if len(accessKeyID) != 20 {
		return "", false
	}
	raw, err := base32.StdEncoding.DecodeString(accessKeyID[4:])
	if err != nil {
		return "", false
	}
	n := binary.BigEndian.Uint64(append([]byte{0, 0}, raw[:6]...)) >> 7 & (1<<40 - 1)
	account = fmt.Sprintf("%012d", n)
	return account, identity.IsAccountID(account)
}

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
