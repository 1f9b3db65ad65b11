// Package sigv4 verifies AWS Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
// AWS publishes only a signer.
package sigv4

import (
	"context"
	"net/http"
	"time"
)

// Scope is the credential scope of a signature and the key it was made with.
type Scope struct {
	AccessKeyID string
	Date        string // YYYYMMDD
	Region      string
	Service     string
}

// ParseScope reads the scope from the Authorization header or, for presigned
// requests, the query. signed is false if the request carries no signature at
// all; err is an *Error if it carries one that cannot be read.
func ParseScope(r *http.Request) (scope Scope, signed bool, err error) { return }

// Config says how signatures are verified.
type Config struct {
	// Secret returns the secret key for a scope and the session token sent with
	// it ("" if none). It may return an *Error (UnknownKey, InvalidSessionToken, ExpiredSession ...).
	Secret func(ctx context.Context, scope Scope, sessionToken string) (secret string, err error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// MaxBody bounds bodies that are buffered for hashing, in bytes. 0: 1 MiB.
	MaxBody int64
}

// Verifier verifies requests.
type Verifier struct{ config Config }

// New makes a Verifier.
func New(c Config) (*Verifier, error) { return &Verifier{c}, nil }

// Verify checks the signature of r in full and replaces r.Body by one whose
// content is verified: buffered where the signature covers the body's hash,
// decoded and checked chunk by chunk for S3's aws-chunked forms (a Read then
// returns the *Error of a chunk that does not verify). Its error is an *Error.
func (v *Verifier) Verify(r *http.Request) (Scope, error) { return Scope{}, nil }

// Failure is what is wrong with a signature.
type Failure int

// The failures, in the order in which AWS looks for them where that is known.
const (
	Missing             Failure = iota // no signature
	Incomplete                         // one that cannot be read
	WrongScope                         // date, region or service of the scope
	UnknownKey                         // the access key id does not exist or is inactive
	InvalidSessionToken                // missing, garbage, or of another key
	ExpiredSession                     // temporary credentials past their time
	Expired                            // the request: signed too long ago, or a presigned URL past its time
	NotYet                             // signed too far in the future
	Mismatch                           // the signature does not match
	PayloadMismatch                    // the body is not the one that was signed
	BodyTooLarge                       // over Config.MaxBody
)

// Error is a refused signature. Message is safe to show.
type Error struct {
	Failure Failure
	Message string
}

func (e *Error) Error() string { return e.Message }
