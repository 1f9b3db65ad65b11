package eksauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/internal/identity"
)

// maxReply bounds replies, in bytes; a session token has a few thousand.
const maxReply = 1 << 20

// LeaseHeader carries Grant.Lease in whole seconds. AWS's own service does not
// send it, and AWS's clients do not look.
const LeaseHeader = "X-Podid-Lease-Seconds"

func readGrant(header http.Header, text []byte) (*Grant, error) {
	var r reply
	if json.Unmarshal(text, &r) != nil { // its error may quote the text, and with it a secret
		return nil, errors.New("the reply is not JSON of the expected shape")
	}
	c := r.Credentials
	if c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "" || c.Expiration.IsZero() || r.AssumedRoleUser.ARN == "" {
		return nil, errors.New("the reply lacks credentials, their expiration or the assumed role")
	}
	sequence, err := strconv.ParseUint(header.Get(SequenceHeader), 10, 64)
	if err != nil {
		sequence = 0
	}
	return &Grant{
		Namespace:      r.Subject.Namespace,
		ServiceAccount: r.Subject.ServiceAccount,
		AssociationARN: r.Association.ARN,
		AssociationID:  r.Association.ID,
		Session: identity.Session{
			Credentials: identity.Credentials{
				AccessKeyID:     c.AccessKeyID,
				SecretAccessKey: identity.Secret(c.SecretAccessKey),
				SessionToken:    identity.Secret(c.SessionToken),
				Expires:         time.Time(c.Expiration),
			},
			AssumedRoleARN: r.AssumedRoleUser.ARN,
			AssumedRoleID:  r.AssumedRoleUser.ID,
		},
		Lease:    seconds(header.Get(LeaseHeader)),
		Version:  cut(header.Get(VersionHeader), 64),
		Sequence: sequence,
	}, nil
}

var exceptionName = regexp.MustCompile(`^[A-Za-z0-9]{1,100}$`)

// readError finds the exception's name in the header, or else the body
// (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization).
func readError(answer *http.Response, text []byte) *Error {
	var body failure
	if json.Unmarshal(text, &body) != nil {
		body = failure{} // a proxy's page, most likely: the status says what there is to say
	}
	e := &Error{Code: "UnknownError", Status: answer.StatusCode, RequestID: cut(answer.Header.Get("x-amzn-RequestId"), 100)}
	for _, name := range []string{answer.Header.Get("x-amzn-ErrorType"), body.Code, body.Type} {
		name, _, _ = strings.Cut(name, ":")
		name = name[strings.LastIndexByte(name, '#')+1:]
		if exceptionName.MatchString(name) {
			e.Code = name
			break
		}
	}
	e.Message = cut(body.Message, 1000)
	if e.Message == "" {
		e.Message = cut(body.UpperMessage, 1000)
	}
	e.RetryAfter = seconds(answer.Header.Get("Retry-After"))
	return e
}

// seconds reads a header of whole seconds, at most 65,535; 0 if it is none.
func seconds(value string) time.Duration {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// cut keeps at most n bytes of s, and of those what can be printed.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s[:min(len(s), n)], "")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
