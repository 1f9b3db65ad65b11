// Package sigv4 verifies AWS Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
// AWS publishes only a signer.
//
// Verify before anything rewrites the request's URL or headers: what was signed
// is what was sent. SigV4A and Signature Version 2 are refused as Incomplete.
package sigv4

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
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
func ParseScope(r *http.Request) (scope Scope, signed bool, err error) {
	sig, err := parse(r)
	if err != nil {
		return Scope{}, true, err
	}
	if sig == nil {
		return Scope{}, false, nil
	}
	return sig.scope, true, nil
}

// Config says how signatures are verified.
type Config struct {
	// Secret returns the secret key for a scope and the session token sent with
	// it ("" if none). It may return an *Error (UnknownKey, InvalidSessionToken,
	// ExpiredSession, or WrongScope for a region or service that is not served);
	// Verify returns its errors as they are. Required.
	Secret func(ctx context.Context, scope Scope, sessionToken string) (secret string, err error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// MaxBody bounds bodies that are buffered for hashing, in bytes. 0: 1 MiB.
	MaxBody int64
	// MaxUpload bounds uploads of S3 objects, in bytes; those over MaxBody are
	// not buffered. 0: 5 GiB, S3's own limit
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html).
	MaxUpload int64
}

// Verifier verifies requests.
type Verifier struct{ config Config }

// New makes a Verifier.
func New(c Config) (*Verifier, error) {
	if c.Secret == nil {
		return nil, errors.New("sigv4: Config.Secret is required")
	}
	if c.MaxBody < 0 || c.MaxUpload < 0 {
		return nil, errors.New("sigv4: a limit in Config is negative")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	if c.MaxUpload == 0 {
		c.MaxUpload = 5 << 30
	}
	return &Verifier{c}, nil
}

// Verify checks the signature of r in full and replaces r.Body by one whose
// content is verified, except where S3's UNSIGNED-PAYLOAD says that it is not
// signed. S3's aws-chunked forms are decoded, and the headers that tell of them
// are gone, so that r looks as if it had been sent plainly.
//
// Bodies up to Config.MaxBody are read and verified here. Larger uploads of S3
// objects, and only those, are verified as they are read: the last part of
// such a body is held back until all of it has been verified, and Read returns
// an *Error instead if it does not. An upload must not be kept unless its
// whole Content-Length was read.
//
// The error is an *Error, or that of Config.Secret or of reading the body.
func (v *Verifier) Verify(r *http.Request) (Scope, error) {
	sig, err := parse(r)
	if err != nil {
		return Scope{}, err
	}
	if sig == nil {
		return Scope{}, &Error{Failure: Missing}
	}
	if err := sig.checkDate(); err != nil {
		return Scope{}, err
	}
	secret, err := v.config.Secret(r.Context(), sig.scope, sig.token)
	if err != nil {
		return Scope{}, err
	}
	if secret == "" {
		return Scope{}, &Error{Failure: UnknownKey} // anyone could sign with an empty key
	}
	if err := sig.checkTime(v.config.Now()); err != nil {
		return Scope{}, err
	}
	if err := sig.checkHeaders(r); err != nil {
		return Scope{}, err
	}
	payload, err := v.readPayload(r, sig)
	if err != nil {
		return Scope{}, err
	}
	canonical, err := canonicalRequest(r, sig, payload.hash)
	if err != nil {
		return Scope{}, err
	}
	signer := newSigner(secret, sig)
	signature := signer.sign(algorithm, hexHash(canonical))
	if subtle.ConstantTimeCompare([]byte(signature), []byte(sig.hex)) != 1 {
		return Scope{}, &Error{Failure: Mismatch}
	}
	if err := v.replaceBody(r, payload, signer); err != nil {
		return Scope{}, err
	}
	return sig.scope, nil
}

// Failure is what is wrong with a signature.
type Failure int

// The failures, in the order in which Verify looks for them.
const (
	Missing             Failure = iota // no signature
	Incomplete                         // one that cannot be read
	WrongScope                         // date, region or service of the scope
	UnknownKey                         // the access key id does not exist or is inactive
	InvalidSessionToken                // missing, garbage, or of another key
	ExpiredSession                     // temporary credentials past their time
	Expired                            // the request: signed too long ago, or a presigned URL past its time
	NotYet                             // signed too far in the future
	Mismatch                           // the signature, or that of a chunk, does not match
	PayloadMismatch                    // the body is not the one that was signed
	BodyTooLarge                       // over Config.MaxBody or MaxUpload
	MalformedBody                      // not aws-chunked, or not as long as was said
	ChecksumMismatch                   // the checksum after the body is not that of the body
)

var failureNames = [...]string{
	Missing: "no signature", Incomplete: "incomplete signature", WrongScope: "wrong credential scope",
	UnknownKey: "unknown access key", InvalidSessionToken: "invalid session token", ExpiredSession: "expired session",
	Expired: "expired signature", NotYet: "signature from the future", Mismatch: "signature does not match",
	PayloadMismatch: "payload does not match", BodyTooLarge: "body too large", MalformedBody: "malformed body",
	ChecksumMismatch: "checksum does not match",
}

// String names the failure in words.
func (f Failure) String() string {
	if f < 0 || int(f) >= len(failureNames) {
		return fmt.Sprintf("Failure(%d)", int(f))
	}
	return failureNames[f]
}

// Error is a refused signature. Message is safe to show; it is empty where each
// protocol has a text of its own for the Failure.
type Error struct {
	Failure Failure
	Message string
}

func (e *Error) Error() string {
	return strings.TrimSuffix(e.Failure.String()+": "+e.Message, ": ")
}

func refuse(f Failure, format string, args ...any) *Error {
	return &Error{f, fmt.Sprintf(format, args...)}
}
