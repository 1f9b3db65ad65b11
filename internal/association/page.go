package association

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/podid/podid/internal/identity"
)

// Page asks for one page of a list.
type Page struct {
	MaxResults *int   // 1-100; nil: 100
	Token      string // of the page before; empty: from the start
}

// maxPage is the largest page and the usual one
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_ListPodIdentityAssociations.html).
const maxPage = 100

// scopeLength is how much of the scope's digest a token carries, in bytes.
const scopeLength = 16

// open returns the size of the page and the key it comes after. scope is all
// that makes the list what it is.
func (p Page) open(scope []string) (size int, after string, err error) {
	size = maxPage
	if p.MaxResults != nil {
		size = *p.MaxResults
	}
	if size < 1 || size > maxPage {
		return 0, "", identity.Errorf(identity.InvalidParameter, "maxResults must be from 1 to %d.", maxPage)
	}
	if p.Token == "" {
		return size, "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Token)
	if err != nil || len(raw) <= scopeLength || string(raw[:scopeLength]) != scopeDigest(scope) {
		return 0, "", identity.Errorf(identity.InvalidParameter,
			"nextToken is not valid for this list. Send the token of the page before with the same cluster and filters, or none.")
	}
	return size, string(raw[scopeLength:]), nil
}

// pageToken makes the token of the page after key. It is no secret and grants
// nothing, and so is not signed: a forged one only starts elsewhere in a list
// that the caller may read.
func pageToken(scope []string, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(scopeDigest(scope) + key))
}

func scopeDigest(scope []string) string {
	sum := sha256.Sum256([]byte(strings.Join(scope, "\x00")))
	return string(sum[:scopeLength])
}
