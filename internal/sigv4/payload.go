package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The values of x-amz-content-sha256 that are no hash
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
const (
	unsignedPayload          = "UNSIGNED-PAYLOAD"
	streamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// payload is what the signature says of the body.
type payload struct {
	hash   string // as it stands in the canonical request
	known  bool   // hash was computed from the body
	upload bool   // the body may be over MaxBody
	length int64  // of the body once it is decoded; -1 if the request does not say
}

func (p payload) chunked() bool { return strings.HasPrefix(p.hash, "STREAMING-") }

// readPayload finds out what the signature says of the body. For services other
// than S3 that is the hash of the body, so it reads the body.
func (v *Verifier) readPayload(r *http.Request, sig *signature) (payload, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	p := payload{hash: r.Header.Get("X-Amz-Content-Sha256"), length: r.ContentLength}
	if sig.scope.Service != s3Service {
		body, err := v.buffer(r)
		if err != nil {
			return p, err
		}
		hash := hexHash(string(body))
		if p.hash != "" && p.hash != hash {
			return p, refuse(PayloadMismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
		}
		p.hash, p.known = hash, true
		return p, nil
	}

	p.upload = isUpload(r, sig)
	if p.hash == "" && sig.presigned {
		p.hash = unsignedPayload
		for _, q := range sig.query {
			if q.name == "X-Amz-Content-Sha256" {
				p.hash = q.value
			}
		}
	}
	switch p.hash {
	case "":
		return p, refuse(Incomplete, "Missing required header for this request: x-amz-content-sha256")
	case unsignedPayload:
	case streamingSigned, streamingSignedTrailer, streamingUnsignedTrailer:
		length, err := strconv.ParseUint(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 63)
		if err != nil {
			return p, refuse(MalformedBody, "You must provide the x-amz-decoded-content-length HTTP header.")
		}
		p.length = int64(length)
	default:
		if !hexPattern.MatchString(p.hash) {
			return p, refuse(Incomplete, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.")
		}
	}
	return p, nil
}

// isUpload tells whether the body of r is the content of an object, PutObject
// or UploadPart, and nothing that the server itself would interpret.
func isUpload(r *http.Request, sig *signature) bool {
	if r.Method != http.MethodPut {
		return false
	}
	for _, p := range sig.query {
		switch {
		case p.name == "partNumber", p.name == "uploadId", p.name == "x-id", strings.HasPrefix(strings.ToLower(p.name), "x-amz-"):
		default:
			return false
		}
	}
	return true
}

// replaceBody puts a verified body in the place of r's. The headers of r have
// been verified.
func (v *Verifier) replaceBody(r *http.Request, p payload, s *signer) error {
	if p.known {
		return nil
	}
	limit := v.config.MaxBody
	if p.upload {
		limit = v.config.MaxUpload
	}
	if p.length > limit {
		return refuse(BodyTooLarge, "The request body is larger than %d bytes.", limit)
	}
	switch {
	case p.chunked():
		decoded, err := newChunkReader(r, p, s)
		if err != nil {
			return err
		}
		r.Body = withClose{decoded, r.Body}
		makePlain(r, p.length)
	case hexPattern.MatchString(p.hash):
		r.Body = withClose{&hashReader{src: r.Body, hash: sha256.New(), want: p.hash}, r.Body}
	case p.length >= 0:
		return nil // not signed, so there is nothing to verify
	}
	if p.length < 0 || p.length <= v.config.MaxBody {
		_, err := v.buffer(r)
		return err
	}
	r.Body = &wholeBody{src: r.Body, left: p.length}
	return nil
}

// makePlain takes away from r's headers what tells of aws-chunked.
func makePlain(r *http.Request, length int64) {
	var encodings []string
	for _, value := range r.Header.Values("Content-Encoding") {
		for encoding := range strings.SplitSeq(value, ",") {
			if encoding = strings.TrimSpace(encoding); encoding != "" && !strings.EqualFold(encoding, "aws-chunked") {
				encodings = append(encodings, encoding)
			}
		}
	}
	r.Header.Del("Content-Encoding")
	if encodings != nil {
		r.Header.Set("Content-Encoding", strings.Join(encodings, ","))
	}
	for _, name := range []string{"X-Amz-Content-Sha256", "X-Amz-Decoded-Content-Length", "X-Amz-Trailer"} {
		r.Header.Del(name)
	}
	r.Header.Set("Content-Length", strconv.FormatInt(length, 10))
	r.ContentLength, r.TransferEncoding = length, nil
}

// buffer reads r's body, at most MaxBody, and replaces it by what was read.
func (v *Verifier) buffer(r *http.Request) ([]byte, error) {
	tooLarge := refuse(BodyTooLarge, "The request body is larger than %d bytes.", v.config.MaxBody)
	if r.ContentLength > v.config.MaxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, v.config.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > v.config.MaxBody {
		return nil, tooLarge
	}
	r.Body = withClose{bytes.NewReader(body), r.Body}
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	return body, nil
}

// withClose reads from one and closes the other.
type withClose struct {
	io.Reader
	io.Closer
}

// hashReader reads src, and at its end returns an *Error instead of io.EOF if
// what it read does not have the hash that was signed.
type hashReader struct {
	src  io.Reader
	hash hash.Hash
	want string
}

func (h *hashReader) Read(p []byte) (int, error) {
	n, err := h.src.Read(p)
	h.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(h.hash.Sum(nil)) != h.want {
		return 0, &Error{Failure: PayloadMismatch}
	}
	return n, err
}

// wholeBody holds the last part of src back until src, which verifies itself
// at its end, has ended. So whoever reads exactly as much as Content-Length
// says, and never sees the end, gets the error all the same.
type wholeBody struct {
	src  io.ReadCloser
	left int64
	err  error
}

func (w *wholeBody) Close() error { return w.src.Close() }

func (w *wholeBody) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.src.Read(p)
	w.left -= int64(n)
	if err == nil && w.left <= 0 {
		err = expectEOF(w.src)
	}
	if err == io.EOF && w.left != 0 {
		err = refuse(MalformedBody, "You did not provide the number of bytes specified by the Content-Length HTTP header.")
	}
	w.err = err
	if err != nil && err != io.EOF {
		return 0, err
	}
	return n, err
}

// expectEOF returns io.EOF if src has ended, or else why it has not.
func expectEOF(src io.Reader) error {
	n, err := io.ReadFull(src, make([]byte, 1))
	if n > 0 {
		return refuse(MalformedBody, "The request body is longer than its Content-Length.")
	}
	return err
}
