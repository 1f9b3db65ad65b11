package identity

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in podid's own terms. Each API maps a Kind to its
// own exception name and HTTP status in exactly one table.
type Kind int

const (
	// Internal is everything unforeseen. Its text never reaches a caller.
	Internal Kind = iota
	// InvalidParameter: a field of the request breaks a rule of that field.
	InvalidParameter
	// InvalidRequest: the request as a whole cannot be served as it stands.
	InvalidRequest
	// NotFound: the thing named does not exist, or not for this caller.
	NotFound
	// InUse: it exists already, or something else holds it.
	InUse
	// LimitExceeded: a quota is used up.
	LimitExceeded
	// AccessDenied: the caller is known and may not.
	AccessDenied
	// Unauthenticated: the caller's signature or key is not accepted.
	Unauthenticated
	// InvalidToken: a service account token that is not valid here.
	InvalidToken
	// ExpiredToken: a service account token that was valid once.
	ExpiredToken
	// Throttled: too many calls; the same call may succeed later.
	Throttled
	// Unavailable: something podid depends on does not answer.
	Unavailable
)

var kindNames = [...]string{
	Internal: "internal", InvalidParameter: "invalid parameter", InvalidRequest: "invalid request",
	NotFound: "not found", InUse: "in use", LimitExceeded: "limit exceeded", AccessDenied: "access denied",
	Unauthenticated: "unauthenticated", InvalidToken: "invalid token", ExpiredToken: "expired token",
	Throttled: "throttled", Unavailable: "unavailable",
}

// String names the kind in words.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kindNames[k]
}

// Error is podid's one error type. Message is safe to show to whoever asked;
// Err is the cause, for logs alone.
type Error struct {
	Kind    Kind
	Message string
	Err     error
	// RetryAfter is when the same call may succeed, if that is known: of Throttled and Unavailable.
	RetryAfter time.Duration
}

// Errorf makes an Error whose message is safe to show to the caller.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e that carries its cause.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error is for logs: it includes the cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Message
	case e.Message == "":
		return e.Err.Error()
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf finds the Kind of err; what carries none is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// SafeMessage returns the text of err that may be shown to the caller.
func SafeMessage(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Internal {
		return e.Message
	}
	return "An internal error occurred."
}
