// Package awswire is the grammar of AWS's protocols: REST-JSON, Query/XML and
// S3's XML, as far as every service shares it.
//
// A service picks the type of its protocol (RESTJSON, Query or S3), decodes
// with DecodeJSON, or ParseForm and DecodeForm, and answers with WriteJSON or
// Query.WriteResult, or with the WriteError of its protocol.
package awswire

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/podid/podid/internal/sigv4"
)

// maxBody bounds the bodies that are decoded here, in bytes. STS itself takes
// 10,000,000; no request that podid serves needs more than a tenth of that.
const maxBody = 1 << 20

// Error is an error as a caller sees it.
type Error struct {
	Code    string            // exception or error code: "ResourceInUseException", "AccessDenied"
	Status  int               // HTTP status; 500 and above are the receiver's fault, the rest the sender's
	Message string            // safe to show
	Members map[string]string // further members of the body: "clusterName" (REST-JSON), "BucketName" (S3)
	// RetryAfter is sent as the header of that name, in whole seconds (REST-JSON). 0: not sent.
	RetryAfter time.Duration

	// dispatch marks Query errors from before an operation was found; AWS
	// puts those in another XML namespace.
	dispatch bool
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Protocol is what the protocols have in common.
type Protocol interface {
	// Identify sets the headers that carry the request's id, and returns the
	// id. The other functions of this package that write replies do so already.
	Identify(w http.ResponseWriter, r *http.Request) (requestID string)
	// WriteError answers r with err: an *Error as it stands, a *sigv4.Error
	// under the protocol's name for it, and all else as an internal failure
	// whose text is withheld.
	WriteError(w http.ResponseWriter, r *http.Request, err error)
}

type requestIDKey struct{}

// WithRequestID returns ctx with a fresh request id.
func WithRequestID(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestIDKey{}, uuid.NewString())
}

// RequestID returns the request id of ctx, a UUID; a fresh one if ctx has none.
func RequestID(ctx context.Context) string {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		return id
	}
	return uuid.NewString()
}

// identify sets the id header of the JSON and Query protocols.
func identify(w http.ResponseWriter, r *http.Request) string {
	id := RequestID(r.Context())
	w.Header().Set("x-amzn-RequestId", id)
	return id
}

// s3IDs returns a request id in the form that S3 gives it, 16 upper-case hex
// digits, and a host id made from it.
func s3IDs(requestID string) (short, host string) {
	short = strings.ToUpper(strings.ReplaceAll(requestID, "-", ""))[:16]
	sum := sha256.Sum256([]byte(requestID))
	return short, base64.StdEncoding.EncodeToString(sum[:])
}

// resolve turns err into what is written: see Protocol.WriteError.
func resolve(err error, auth func(*sigv4.Error) *Error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return auth(e)
	}
	// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
	return &Error{Code: "InternalFailure", Status: http.StatusInternalServerError,
		Message: "The request processing has failed because of an unknown error, exception or failure."}
}

// reply writes a complete reply. A reply to HEAD has no body (RFC 9110, 9.3.2).
func reply(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // whoever asked may be gone; net/http logs nothing for it and neither do we
}
