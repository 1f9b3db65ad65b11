package sts

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/identity"
)

// refusals are the errors of AssumeRole whose text is about the role and the
// session. They alone are quoted: errors about signatures may repeat what was
// signed, the session token included
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Errors).
var refusals = map[string]identity.Kind{
	"AccessDenied":            identity.AccessDenied,
	"AccessDeniedException":   identity.AccessDenied,
	"RegionDisabledException": identity.AccessDenied,
	"MalformedPolicyDocument": identity.InvalidRequest,
	"PackedPolicyTooLarge":    identity.InvalidRequest,
	"ValidationError":         identity.InvalidRequest,
	"InvalidParameterValue":   identity.InvalidRequest,
}

// maxQuote bounds what is kept of AWS's text, in bytes.
const maxQuote = 1000

// translate says in podid's terms what went wrong with a call.
func translate(err error) *identity.Error {
	answer, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		return identity.Errorf(identity.Unavailable, "AWS STS does not answer.").Because(err)
	}
	status, request := 0, ""
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status, request = response.HTTPStatusCode(), response.ServiceRequestID()
	}
	code := quote(answer.ErrorCode())
	// In place of err itself, whose text quotes AWS's.
	cause := fmt.Errorf("%s, status %d, request %s", code, status, quote(request))
	if kind, ok := refusals[answer.ErrorCode()]; ok {
		return identity.Errorf(kind, "%s: %s", code, quote(answer.ErrorMessage())).Because(cause)
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[answer.ErrorCode()]; throttled || status == http.StatusTooManyRequests {
		return identity.Errorf(identity.Throttled, "AWS STS throttles the request.").Because(cause)
	}
	if status >= http.StatusInternalServerError {
		return identity.Errorf(identity.Unavailable, "AWS STS does not answer.").Because(cause)
	}
	return identity.Errorf(identity.Internal, "AWS STS does not accept the request").Because(cause)
}

func quote(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxQuote)], "") }
