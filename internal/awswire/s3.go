package awswire

import (
	"bytes"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"

	"github.com/podid/podid/internal/sigv4"
)

// S3 is S3's REST-XML (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
type S3 struct{}

// Identify sets x-amz-request-id and x-amz-id-2. The id returned is the former.
func (S3) Identify(w http.ResponseWriter, r *http.Request) string {
	short, host := s3IDs(RequestID(r.Context()))
	w.Header().Set("x-amz-request-id", short)
	w.Header().Set("x-amz-id-2", host)
	return short
}

// WriteError writes the document Error with Code, Message, the error's members
// in the order of their names, Resource (unless it is a member), RequestId and
// HostId. HEAD gets the status alone, as from S3.
func (s S3) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := resolve(err, func(e *sigv4.Error) *Error {
		refusal := s3Refusals(e.Failure, r.URL.Query().Has("X-Amz-Algorithm"))
		if refusal.message != "" {
			return refusal.put("")
		}
		return refusal.put(e.Message)
	})
	s.Identify(w, r)
	members := map[string]string{"Resource": r.URL.Path}
	maps.Copy(members, e.Members)

	var body bytes.Buffer
	body.WriteString(xml.Header + "<Error>")
	element := func(name, value string) {
		body.WriteString("<" + name + ">")
		xml.EscapeText(&body, []byte(value)) // a bytes.Buffer takes every write
		body.WriteString("</" + name + ">")
	}
	element("Code", e.Code)
	element("Message", e.Message)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		element(name, members[name])
	}
	element("RequestId", w.Header().Get("x-amz-request-id"))
	element("HostId", w.Header().Get("x-amz-id-2"))
	body.WriteString("</Error>")
	reply(w, r, e.Status, "application/xml", body.Bytes())
}
