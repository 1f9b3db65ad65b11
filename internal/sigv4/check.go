package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// checkDate holds the scope's date against the request's.
func (s *signature) checkDate() error {
	if got := s.time.Format("20060102"); got != s.scope.Date {
		return refuse(WrongScope, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			s.scope.Date, got, s.time.Format(timeFormat))
	}
	return nil
}

// maxSkew is how far the clock of a signer may be off. S3 allows more
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html,
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, RequestTimeTooSkewed).
func maxSkew(service string) time.Duration {
	if service == s3Service {
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

// checkTime holds the request's date against now.
func (s *signature) checkTime(now time.Time) error {
	now = now.UTC()
	skew := maxSkew(s.scope.Service)
	if s.time.After(now.Add(skew)) {
		return refuse(NotYet, "Signature not yet current: %s is still later than %s (%s + %d min.)",
			s.time.Format(timeFormat), now.Add(skew).Format(timeFormat), now.Format(timeFormat), int(skew.Minutes()))
	}
	window := skew
	if s.expires > 0 {
		window = s.expires
	}
	if s.time.Add(window).Before(now) {
		if s.expires > 0 {
			return refuse(Expired, "Signature expired: %s is now earlier than %s", s.time.Add(window).Format(timeFormat), now.Format(timeFormat))
		}
		return refuse(Expired, "Signature expired: %s is now earlier than %s (%s - %d min.)",
			s.time.Format(timeFormat), now.Add(-skew).Format(timeFormat), now.Format(timeFormat), int(skew.Minutes()))
	}
	return nil
}

// checkHeaders refuses a request whose signature leaves out what it has to
// cover: the host, and every header that AWS gives a meaning to. That includes
// the session token
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request).
func (s *signature) checkHeaders(r *http.Request) error {
	if !s.signs("host") {
		return refuse(Mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !s.signs(name) {
			return refuse(Mismatch, "There were headers present in the request which were not signed: %.64s", name)
		}
	}
	if len(r.Header.Values("X-Amz-Content-Sha256")) > 1 {
		return refuse(Incomplete, "The header X-Amz-Content-Sha256 must be sent once.")
	}
	if s.presigned && r.Header.Get("X-Amz-Security-Token") != "" {
		return refuse(Incomplete, "The session token of a presigned request must be in its query.")
	}
	return nil
}

func (s *signature) signs(header string) bool {
	_, found := slices.BinarySearch(s.signedHeaders, header)
	return found
}
