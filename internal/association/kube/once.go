package kube

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/association"
)

// tokensAnnotation remembers the requests that an object came from, so that a
// request which is sent again is not done again.
const tokensAnnotation = "podid.dev/client-request-tokens"

// maxTokens bounds what an object remembers: some 3 KB.
const maxTokens = 50

// request is one request that is remembered. Token and digest are hashes: a
// token is whatever a client chose, and need not be readable by all who may see the object.
type request struct {
	token, digest string
	at            time.Time
}

// requests are those that an object remembers, the oldest first.
type requests []request

// tokensOf reads the annotation. Whoever may change the object may change it as
// well; what is not of its form is as if it were not there.
func tokensOf(o *v1alpha1.PodIdentityAssociation) requests {
	return parseTokens(o.Annotations[tokensAnnotation])
}

func parseTokens(text string) (all requests) {
	for field := range strings.FieldsSeq(text) {
		parts := strings.Split(field, ".")
		if len(parts) != 3 || len(parts[0]) != hashLength || len(parts[1]) != hashLength {
			continue
		}
		at, err := strconv.ParseInt(parts[2], 36, 64)
		if err != nil {
			continue
		}
		all = append(all, request{parts[0], parts[1], time.Unix(at, 0)})
	}
	return all[max(0, len(all)-maxTokens):]
}

func (r requests) String() string {
	var fields []string
	for _, one := range r {
		fields = append(fields, one.token+"."+one.digest+"."+strconv.FormatInt(one.at.Unix(), 36))
	}
	return strings.Join(fields, " ")
}

func (r requests) keys() (tokens []string) {
	for _, one := range r {
		tokens = append(tokens, one.token)
	}
	return tokens
}

// recall says whether once is known, and if so, whether it was the same request.
func (r requests) recall(once association.Once) (known bool, err error) {
	if once.Token == "" {
		return false, nil
	}
	for _, one := range r {
		if one.token != hash(once.Token) || once.At.Sub(one.at) > association.OnceLifetime {
			continue
		}
		if one.digest != hash(once.Digest) {
			return true, association.TokenReused()
		}
		return true, nil
	}
	return false, nil
}

// remember writes once into the object's annotation.
func remember(o *v1alpha1.PodIdentityAssociation, once association.Once) {
	if once.Token == "" {
		return
	}
	var kept requests
	for _, one := range tokensOf(o) {
		if one.token != hash(once.Token) && once.At.Sub(one.at) <= association.OnceLifetime {
			kept = append(kept, one)
		}
	}
	kept = append(kept, request{hash(once.Token), hash(once.Digest), once.At})
	annotate(o, tokensAnnotation, kept[max(0, len(kept)-maxTokens):].String())
}

// hashLength is that of 15 bytes in base64.
const hashLength = 20

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}
