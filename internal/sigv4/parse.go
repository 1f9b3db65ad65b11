package sigv4

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	s3Service  = "s3"
)

// signature is what a request says about how it was signed.
type signature struct {
	scope         Scope
	presigned     bool
	signedHeaders []string // lower-case, sorted, no duplicates
	hex           string   // 64 lower-case hex digits
	time          time.Time
	expires       time.Duration // of a presigned request; 0 if it does not say
	token         string        // session token
	query         []param
}

// param is one parameter of the query, decoded.
type param struct{ name, value string }

// parse reads the signature of r; nil if it has none. Its error is an *Error, Incomplete.
func parse(r *http.Request) (*signature, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	inQuery := slices.ContainsFunc(query, func(p param) bool { return p.name == "X-Amz-Algorithm" || p.name == "X-Amz-Signature" })
	headers := r.Header.Values("Authorization")
	switch {
	case inQuery && len(headers) > 0, len(headers) > 1:
		return nil, refuse(Incomplete, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case inQuery:
		return parsePresigned(query)
	case len(headers) == 1:
		return parseHeader(r.Header, headers[0], query)
	}
	return nil, nil
}

// parseQuery splits a raw query as net/url does, but keeps the order, refuses
// what is not well escaped, and takes ";" for an ordinary character.
func parseQuery(raw string) ([]param, error) {
	var query []param
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, errName := url.QueryUnescape(name)
		v, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			return nil, refuse(Incomplete, "The query string is not URL-encoded.")
		}
		query = append(query, param{n, v})
	}
	return query, nil
}

// parseHeader reads
// AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html).
func parseHeader(h http.Header, authorization string, query []param) (*signature, error) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if scheme != algorithm {
		return nil, refuse(Incomplete, "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !ok || twice {
			return nil, refuse(Incomplete, "%.64q not a valid key=value pair (missing equal-sign) in Authorization header.", strings.TrimSpace(field))
		}
		fields[name] = value
	}
	date := h.Get("X-Amz-Date")
	if date == "" {
		date = h.Get("Date")
	}
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	if date == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if missing != nil {
		return nil, refuse(Incomplete, "%s", strings.Join(missing, " "))
	}
	for _, name := range []string{"X-Amz-Date", "X-Amz-Security-Token"} {
		if len(h.Values(name)) > 1 {
			return nil, refuse(Incomplete, "The header %s must be sent once.", name)
		}
	}
	sig := &signature{token: h.Get("X-Amz-Security-Token"), query: query}
	if err := sig.fill(fields["Credential"], fields["SignedHeaders"], fields["Signature"], date); err != nil {
		return nil, err
	}
	return sig, nil
}

// maxExpires is the longest that a presigned request may be good for
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
const maxExpires = 7 * 24 * time.Hour

// parsePresigned reads the X-Amz-... parameters of a presigned request.
func parsePresigned(query []param) (*signature, error) {
	fields := map[string]string{}
	for _, p := range query {
		if !strings.HasPrefix(p.name, "X-Amz-") {
			continue
		}
		if _, twice := fields[p.name]; twice {
			return nil, refuse(Incomplete, "The query-string parameter %.64q must be sent once.", p.name)
		}
		fields[p.name] = p.value
	}
	var missing []string
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "X-Amz-SignedHeaders"} {
		if fields[name] == "" {
			missing = append(missing, "AWS query-string parameters must include '"+name+"'.")
		}
	}
	if missing != nil {
		return nil, refuse(Incomplete, "%s", strings.Join(missing, " "))
	}
	if fields["X-Amz-Algorithm"] != algorithm {
		return nil, refuse(Incomplete, "X-Amz-Algorithm only supports %q", algorithm)
	}
	sig := &signature{presigned: true, token: fields["X-Amz-Security-Token"], query: query}
	if text, sent := fields["X-Amz-Expires"]; sent {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil || seconds == 0 {
			return nil, refuse(Incomplete, "X-Amz-Expires should be a positive number")
		}
		sig.expires = time.Duration(seconds) * time.Second
		if sig.expires > maxExpires {
			return nil, refuse(Incomplete, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
	}
	if err := sig.fill(fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"], fields["X-Amz-Signature"], fields["X-Amz-Date"]); err != nil {
		return nil, err
	}
	if sig.expires == 0 && sig.scope.Service == s3Service {
		return nil, refuse(Incomplete, "AWS query-string parameters must include 'X-Amz-Expires'.")
	}
	return sig, nil
}

var (
	// Access key ids are [\w]{16,128} in IAM's model; shorter ones are left to Config.Secret.
	credentialPattern = regexp.MustCompile(`^([A-Za-z0-9_-]{1,128})/([0-9]{8})/([A-Za-z0-9-]{1,64})/([A-Za-z0-9-]{1,64})/aws4_request$`)
	hexPattern        = regexp.MustCompile(`^[0-9a-f]{64}$`)             // HMAC or SHA-256
	headerPattern     = regexp.MustCompile("^[0-9a-z!#$%&'*+.^_`|~-]+$") // a lower-case token of RFC 9110, 5.6.2
)

// fill checks the parts that both forms share. Its error is an *Error, Incomplete.
func (s *signature) fill(credential, signedHeaders, signature, date string) error {
	parts := credentialPattern.FindStringSubmatch(credential)
	if parts == nil {
		if got := strings.Split(credential, "/"); len(got) == 5 && got[4] != terminator {
			return refuse(Incomplete, "Credential should be scoped with a valid terminator: '%s', not '%.64s'.", terminator, got[4])
		}
		return refuse(Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%.256s'", credential)
	}
	s.scope = Scope{AccessKeyID: parts[1], Date: parts[2], Region: parts[3], Service: parts[4]}

	s.signedHeaders = strings.Split(signedHeaders, ";")
	for i, name := range s.signedHeaders {
		if !headerPattern.MatchString(name) || i > 0 && name <= s.signedHeaders[i-1] {
			return refuse(Incomplete, "SignedHeaders must be names in lower case, sorted, and separated by ';'.")
		}
	}
	if !hexPattern.MatchString(signature) {
		return refuse(Incomplete, "The signature must be 64 lower-case hexadecimal digits.")
	}
	s.hex = signature

	var err error
	if s.time, err = time.Parse(timeFormat, date); err != nil {
		s.time, err = http.ParseTime(date) // the form of the Date header
	}
	if err != nil {
		return refuse(Incomplete, "Date must be in ISO-8601 'basic format'. Got '%.64s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
	}
	s.time = s.time.UTC()
	return nil
}
