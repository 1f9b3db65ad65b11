package awssim

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/rclone/gofakes3"

	"github.com/podid/podid/internal/awswire"
)

// pass has the library do an operation that takes no body.
func (s *s3) pass(w http.ResponseWriter, rq *s3Request) error { return s.passBody(w, rq, nil) }

// passBody has the library do an operation. It gets a request made anew, of
// nothing but what was judged, and answers through libraryWriter.
func (s *s3) passBody(w http.ResponseWriter, rq *s3Request, body []byte) error {
	query := url.Values{}
	for name, value := range rq.params {
		query.Set(name, value)
	}
	header := rq.header.Clone()
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Del("X-Amz-Content-Sha256") // it says how the body was sent
	r := (&http.Request{
		Method: rq.method, URL: &url.URL{Path: "/" + rq.bucket + "/" + rq.key, RawQuery: query.Encode()}, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(rq.ctx)
	lw := &libraryWriter{ResponseWriter: w, rq: rq}
	s.library.ServeHTTP(lw, r)
	return lw.finish()
}

// libraryWriter lets the library's answers through, but for what is not the
// library's to say: request ids, CORS, and the form of errors.
type libraryWriter struct {
	http.ResponseWriter
	rq     *s3Request
	status int          // 0: not written yet
	failed bytes.Buffer // the body of an error
}

func (w *libraryWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	h := w.Header()
	for _, name := range []string{
		"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Expose-Headers",
		"X-Amz-Delete-Marker",
	} {
		h.Del(name)
	}
	awswire.S3{}.Identify(w.ResponseWriter, w.rq.http)
	if status < http.StatusBadRequest {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *libraryWriter) Write(p []byte) (int, error) {
	if w.status == 0 && w.Header().Get("Content-Type") == "" { // objects have theirs
		w.Header().Set("Content-Type", "application/xml")
	}
	w.WriteHeader(http.StatusOK)
	if w.status >= http.StatusBadRequest {
		return w.failed.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// finish ends an answer, and returns what the library refused.
func (w *libraryWriter) finish() error {
	w.WriteHeader(http.StatusOK)
	if w.status < http.StatusBadRequest {
		return nil
	}
	var refused struct{ Code, Message string }
	if w.rq.method == http.MethodHead {
		return &awswire.Error{Code: http.StatusText(w.status), Status: w.status}
	}
	if err := xml.Unmarshal(w.failed.Bytes(), &refused); err != nil {
		return err
	}
	return s3Refusal(refused.Code, refused.Message)
}

// s3Refusal returns the error of a code of the library. Where the library has
// no text but the code, S3's is taken.
func s3Refusal(code, message string) error {
	if _, known := s3Texts[code]; !known {
		return &awswire.Error{Code: "InternalError", Status: http.StatusInternalServerError, Message: "We encountered an internal error. Please try again."}
	}
	if message == "" || message == code {
		return s3Error(code)
	}
	return s3Says(code, message)
}

// libraryError returns the error that a caller sees of one of the library's
// backend; others stay as they are.
func libraryError(err error) error {
	if e, ok := errors.AsType[gofakes3.Error](err); ok {
		return s3Refusal(string(e.ErrorCode()), "")
	}
	return err
}

// grant is what a request was allowed to touch. The library's calls carry it,
// so that a bucket which was deleted and made anew, perhaps by somebody else,
// after the decision is not meant by it.
type grant struct{ bucket, source *bucket }

type grantKey struct{}

func withGrant(ctx context.Context, g grant) context.Context {
	return context.WithValue(ctx, grantKey{}, g)
}

// covers tells whether the grant is for this very bucket.
func (g grant) covers(b *bucket) bool { return sameBucket(g.bucket, b) || sameBucket(g.source, b) }

func sameBucket(a, b *bucket) bool {
	return a != nil && b != nil && a.Name == b.Name && a.AccountID == b.AccountID && a.Created.Equal(b.Created)
}

// uploadOwner keeps the uploads to a bucket from a later one of the same name.
func uploadOwner(ctx context.Context) string {
	g, _ := ctx.Value(grantKey{}).(grant)
	if g.bucket == nil {
		return ""
	}
	return g.bucket.AccountID + " " + strconv.FormatInt(g.bucket.Created.UnixNano(), 10)
}
