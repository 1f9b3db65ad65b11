package awswire

import (
	"net/http"

	"github.com/podid/podid/internal/sigv4"
)

// refusal is how a protocol puts one sigv4.Failure.
type refusal struct {
	code    string
	status  int
	message string // where the *sigv4.Error has none
}

const (
	missingText    = "Missing Authentication Token"
	invalidText    = "The security token included in the request is invalid."
	expiredText    = "The security token included in the request is expired"
	mismatchText   = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	incompleteText = "The request signature does not conform to AWS standards."
	scopeText      = "Credential should be scoped to a valid region."
	tooLargeText   = "The request body is too large."
)

func jsonAuthError(e *sigv4.Error) *Error {
	return jsonRefusals(e.Failure).put(e.Message)
}

// jsonRefusals names failures as REST-JSON services do. All have status 403,
// as behind API Gateway, where EKS stands
// (https://docs.aws.amazon.com/eks/latest/APIReference/CommonErrors.html).
func jsonRefusals(f sigv4.Failure) refusal {
	switch f {
	case sigv4.Missing:
		return refusal{"MissingAuthenticationTokenException", http.StatusForbidden, missingText}
	case sigv4.Incomplete:
		return refusal{"IncompleteSignatureException", http.StatusForbidden, incompleteText}
	case sigv4.WrongScope:
		return refusal{"InvalidSignatureException", http.StatusForbidden, scopeText}
	case sigv4.UnknownKey, sigv4.InvalidSessionToken:
		return refusal{"UnrecognizedClientException", http.StatusForbidden, invalidText}
	case sigv4.ExpiredSession:
		return refusal{"ExpiredTokenException", http.StatusForbidden, expiredText}
	case sigv4.BodyTooLarge:
		return refusal{"RequestEntityTooLargeException", http.StatusRequestEntityTooLarge, tooLargeText}
	}
	return refusal{"InvalidSignatureException", http.StatusForbidden, mismatchText}
}

func queryAuthError(e *sigv4.Error) *Error {
	return queryRefusals(e.Failure).put(e.Message)
}

// queryRefusals names failures as STS and IAM do
// (https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html).
func queryRefusals(f sigv4.Failure) refusal {
	switch f {
	case sigv4.Missing:
		return refusal{"MissingAuthenticationToken", http.StatusForbidden, "Request is missing Authentication Token"}
	case sigv4.Incomplete:
		return refusal{"IncompleteSignature", http.StatusBadRequest, incompleteText}
	case sigv4.WrongScope:
		return refusal{"SignatureDoesNotMatch", http.StatusForbidden, scopeText}
	case sigv4.UnknownKey, sigv4.InvalidSessionToken:
		return refusal{"InvalidClientTokenId", http.StatusForbidden, invalidText}
	case sigv4.ExpiredSession:
		return refusal{"ExpiredToken", http.StatusForbidden, expiredText}
	case sigv4.BodyTooLarge:
		return refusal{"RequestEntityTooLarge", http.StatusRequestEntityTooLarge, tooLargeText}
	}
	return refusal{"SignatureDoesNotMatch", http.StatusForbidden, mismatchText}
}

// s3Refusals names failures as S3 does
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList).
// S3 has texts of its own, so a message here wins over that of the *sigv4.Error.
func s3Refusals(f sigv4.Failure, presigned bool) refusal {
	switch f {
	case sigv4.Missing:
		return refusal{"AccessDenied", http.StatusForbidden, "Access Denied"}
	case sigv4.Incomplete, sigv4.WrongScope:
		if presigned {
			return refusal{"AuthorizationQueryParametersError", http.StatusBadRequest, ""}
		}
		return refusal{"AuthorizationHeaderMalformed", http.StatusBadRequest, ""}
	case sigv4.UnknownKey:
		return refusal{"InvalidAccessKeyId", http.StatusForbidden, "The AWS Access Key Id you provided does not exist in our records."}
	case sigv4.InvalidSessionToken:
		return refusal{"InvalidToken", http.StatusBadRequest, "The provided token is malformed or otherwise invalid."}
	case sigv4.ExpiredSession:
		return refusal{"ExpiredToken", http.StatusBadRequest, "The provided token has expired."}
	case sigv4.Expired, sigv4.NotYet:
		if presigned {
			return refusal{"AccessDenied", http.StatusForbidden, "Request has expired"}
		}
		return refusal{"RequestTimeTooSkewed", http.StatusForbidden, "The difference between the request time and the current time is too large."}
	case sigv4.PayloadMismatch:
		return refusal{"XAmzContentSHA256Mismatch", http.StatusBadRequest, "The provided 'x-amz-content-sha256' header does not match what was computed."}
	case sigv4.MalformedBody:
		return refusal{"IncompleteBody", http.StatusBadRequest, ""}
	case sigv4.ChecksumMismatch:
		return refusal{"BadDigest", http.StatusBadRequest, ""}
	case sigv4.BodyTooLarge:
		return refusal{"EntityTooLarge", http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed size"}
	}
	return refusal{"SignatureDoesNotMatch", http.StatusForbidden,
		"The request signature we calculated does not match the signature you provided. Check your key and signing method."}
}

func (r refusal) put(message string) *Error {
	if message == "" {
		message = r.message
	}
	return &Error{Code: r.code, Status: r.status, Message: message}
}
