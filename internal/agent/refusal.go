package agent

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/podid/podid/internal/eksauth"
)

// refusal is an answer without credentials. The texts are those of EKS's own
// agent, which people search the web for.
type refusal struct {
	status  int
	code    string // for JSON
	text    string // safe to show
	retryIn time.Duration
	until   time.Time // what the upstream said is repeated until then; zero: it is not
	final   bool      // the upstream has judged the pod: credentials it had are void
	away    bool      // the upstream has said nothing
	claims  claims    // of the token for which it is repeated
}

func badToken(code, text string, err error) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, text: text + ": " + err.Error()}
}

func unparsable(err error) *refusal {
	return badToken("InvalidTokenException", "Service account token cannot be parsed", err)
}

func badClaims(err error) *refusal {
	return badToken("InvalidTokenException", "Service account token failed basic claim validations", err)
}

// How long what the upstream said is repeated without asking it again. A pod
// in a crash loop asks many times a second; somebody who has just created the
// missing association should not have to wait.
const (
	refusedFor   = 3 * time.Second
	throttledFor = 2 * time.Second // where the upstream does not say
	throttledMax = time.Minute
	failedFor    = time.Second
)

// finalCodes are the exceptions after which it is no use to hold on to what the
// pod had: its token or its association is gone. Only from the service itself,
// though, which answers them with 400 and 404: the signature layer in front
// says ExpiredTokenException and AccessDeniedException with 403, and means the
// agent's own credentials.
var finalCodes = []string{"ResourceNotFoundException", "ExpiredTokenException", "InvalidTokenException", "AccessDeniedException"}

// refusalOf turns an error that the upstream gave at the given time into what pods are told.
func refusalOf(err error, now time.Time) *refusal {
	r := judge(err)
	r.until = now.Add(r.retryIn)
	return r
}

func judge(err error) *refusal {
	e, ok := errors.AsType[*eksauth.Error](err)
	if !ok || e.Status < 400 || e.Status > 599 {
		return &refusal{status: http.StatusInternalServerError, code: "InternalServerException",
			text: "Unable to fetch credentials from EKS Auth", retryIn: failedFor, away: true}
	}
	r := &refusal{status: e.Status, code: e.Code}
	fault := "client"
	if e.Status >= 500 {
		fault = "server"
	}
	r.text = fmt.Sprintf("[%s]: (%s): %s, fault: %s", e.RequestID, e.Code, e.Message, fault)
	switch {
	case e.Status == http.StatusTooManyRequests:
		r.retryIn = throttledFor
		if e.RetryAfter > 0 {
			r.retryIn = min(e.RetryAfter, throttledMax)
		}
	case e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound:
		r.retryIn = refusedFor
		r.final = slices.Contains(finalCodes, e.Code)
	default:
		r.retryIn = failedFor
	}
	return r
}

// busy is the refusal of a fetch that there was no room for.
func busy() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, code: "ServiceUnavailableException",
		text: "Too many pods are waiting for credentials", retryIn: failedFor}
}

// unconfirmed is the refusal of credentials that may have been revoked.
func unconfirmed() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, code: "ServiceUnavailableException",
		text: "EKS Auth does not confirm that the credentials still hold", retryIn: failedFor}
}

// overdue is the refusal of a fetch that takes longer than its pod waits, which
// is mostly gone by then.
func overdue() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, code: "ServiceUnavailableException",
		text: "Credentials have not arrived yet", retryIn: failedFor}
}
