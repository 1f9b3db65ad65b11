package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// signer computes signatures, of a request and then of its chunks.
type signer struct {
	key      []byte
	date     string
	scope    string
	previous string // the signature before, in hex; each chunk's covers it
}

// newSigner derives the signing key
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key).
func newSigner(secret string, sig *signature) *signer {
	parts := []string{sig.scope.Date, sig.scope.Region, sig.scope.Service, terminator}
	key := []byte("AWS4" + secret)
	for _, part := range parts {
		key = hmacSHA256(key, part)
	}
	return &signer{key: key, date: sig.time.Format(timeFormat), scope: strings.Join(parts, "/")}
}

// sign returns the signature, in hex, of the string to sign with the given
// algorithm in its first line and the given last lines.
func (s *signer) sign(algorithm string, lines ...string) string {
	toSign := algorithm + "\n" + s.date + "\n" + s.scope + "\n" + strings.Join(lines, "\n")
	s.previous = hex.EncodeToString(hmacSHA256(s.key, toSign))
	return s.previous
}

func hmacSHA256(key []byte, data string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(data))
	return mac.Sum(nil)
}

func hexHash(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

// canonicalRequest is what the signature of r covers
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request).
func canonicalRequest(r *http.Request, sig *signature, payloadHash string) (string, error) {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	b.WriteString(canonicalPath(r.URL.EscapedPath(), sig.scope.Service) + "\n")
	b.WriteString(canonicalQuery(sig) + "\n")
	for _, name := range sig.signedHeaders {
		values := headerValues(r, name)
		if len(values) == 0 {
			return "", &Error{Failure: Mismatch} // signed, and then taken away
		}
		b.WriteString(name + ":")
		for i, value := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(collapseSpaces(value))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n" + strings.Join(sig.signedHeaders, ";") + "\n" + payloadHash)
	return b.String(), nil
}

// headerValues returns the values of a header, those that net/http moves
// elsewhere included.
func headerValues(r *http.Request, name string) []string {
	switch {
	case name == "host":
		return []string{r.Host}
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	return r.Header.Values(name)
}

// collapseSpaces trims a header's value and makes one space of several.
func collapseSpaces(s string) string {
	s = strings.Trim(s, " \t")
	if !strings.Contains(s, "  ") {
		return s
	}
	return strings.Join(slices.DeleteFunc(strings.Split(s, " "), func(word string) bool { return word == "" }), " ")
}

// canonicalPath encodes the path as it was sent. S3 signs it encoded once and
// as it stands, since a key may hold any dots and slashes; all others resolve
// dots and doubled slashes, and encode once more.
func canonicalPath(escaped, service string) string {
	if service == s3Service {
		if escaped == "" {
			return "/"
		}
		return encodeOnce(escaped)
	}
	return encode(normalizePath(escaped), "/")
}

// normalizePath resolves "." and "..", and drops empty segments (RFC 3986, 5.2.4).
func normalizePath(path string) string {
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	normal := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") && normal != "/" {
		normal += "/"
	}
	return normal
}

// encodeOnce brings a path that is escaped somehow into AWS's way of escaping
// it. It does not unescape "/", so no two paths become the same unless they
// are by RFC 3986, 6.2.2.
func encodeOnce(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '/' {
			b.WriteByte(c)
			continue
		}
		if c == '%' && i+2 < len(escaped) {
			if n, err := strconv.ParseUint(escaped[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		b.WriteString(encode(string([]byte{c}), ""))
	}
	return b.String()
}

// encode percent-encodes all but RFC 3986's unreserved characters and those in keep.
func encode(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

// canonicalQuery encodes the parameters, all but the signature itself, and
// sorts them once they are encoded.
func canonicalQuery(sig *signature) string {
	encoded := make([]param, 0, len(sig.query))
	for _, p := range sig.query {
		if !sig.presigned || p.name != "X-Amz-Signature" {
			encoded = append(encoded, param{encode(p.name, ""), encode(p.value, "")})
		}
	}
	slices.SortFunc(encoded, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}
