package awswire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/podid/podid/internal/sigv4"
)

// Query is the protocol of STS and IAM
// (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html).
type Query struct {
	// Namespace is the XML namespace of the service's replies.
	Namespace string
}

// The namespaces of the services that podid knows, and that of errors from
// before a service's operation was found.
const (
	STSNamespace   = "https://sts.amazonaws.com/doc/2011-06-15/"
	IAMNamespace   = "https://iam.amazonaws.com/doc/2010-05-08/"
	faultNamespace = "http://webservices.amazon.com/AWSFault/2005-15-09"
)

// ParseForm returns the parameters of a Query request: those of a POST's body,
// at most 1 MiB, before those of the query string. It leaves r.Body as it
// found it, so that it may be called again. Its error is an *Error, or the *sigv4.Error of the body.
func ParseForm(r *http.Request) (url.Values, error) {
	form := url.Values{}
	if r.Method == http.MethodPost && r.Body != nil {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if e, ok := errors.AsType[*sigv4.Error](err); ok {
			return nil, e
		}
		if err != nil {
			return nil, malformed("The request body could not be read.")
		}
		if len(body) > maxBody {
			return nil, &Error{Code: "RequestEntityTooLarge", Status: http.StatusRequestEntityTooLarge, Message: tooLargeText}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, err = url.ParseQuery(string(body)); err != nil {
			return nil, malformed("The request body is not a form.")
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, malformed("The query string contains a syntax error.")
	}
	for name, values := range query {
		form[name] = append(form[name], values...)
	}
	return form, nil
}

// InvalidAction is the error for a request that names no operation of the
// service. form is the request's.
func InvalidAction(form url.Values) *Error {
	action, version := form.Get("Action"), form.Get("Version")
	if action == "" {
		return &Error{Code: "MissingAction", Status: http.StatusBadRequest, dispatch: true,
			Message: "The request is missing an action or a required parameter."}
	}
	if version == "" {
		version = "NO_VERSION_SPECIFIED"
	}
	return &Error{Code: "InvalidAction", Status: http.StatusBadRequest, dispatch: true,
		Message: fmt.Sprintf("Could not find operation %.128s for version %.32s", action, version)}
}

func malformed(format string, args ...any) *Error {
	return &Error{Code: "MalformedInput", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// Identify sets x-amzn-RequestId.
func (Query) Identify(w http.ResponseWriter, r *http.Request) string { return identify(w, r) }

// WriteResult answers r with the result of action, a struct with xml tags that
// becomes the element ACTIONResult; nil where the action returns nothing.
func (q Query) WriteResult(w http.ResponseWriter, r *http.Request, action string, result any) {
	reply := queryReply{
		XMLName:   xml.Name{Local: action + "Response"},
		Namespace: q.Namespace,
		RequestID: q.Identify(w, r),
	}
	if result != nil {
		reply.Result = &queryResult{action + "Result", result}
	}
	q.write(w, r, http.StatusOK, reply)
}

// WriteError writes the document ErrorResponse.
func (q Query) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := resolve(err, queryAuthError)
	doc := queryError{Namespace: q.Namespace, Type: "Sender", Code: e.Code, Message: e.Message, RequestID: q.Identify(w, r)}
	if e.dispatch {
		doc.Namespace = faultNamespace
	}
	if e.Status >= http.StatusInternalServerError {
		doc.Type = "Receiver"
	}
	q.write(w, r, e.Status, doc)
}

func (q Query) write(w http.ResponseWriter, r *http.Request, status int, doc any) {
	body, err := xml.Marshal(doc)
	if err != nil {
		q.WriteError(w, r, err)
		return
	}
	reply(w, r, status, "text/xml", body)
}
