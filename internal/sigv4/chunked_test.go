package sigv4_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/podid/podid/internal/sigv4"
)

// unsignedChunks is what SDKs send over TLS: one chunk and a checksum.
func unsignedChunks(content string) string {
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(content))))
	return strconv.FormatInt(int64(len(content)), 16) + "\r\n" + content + "\r\n0\r\nx-amz-checksum-crc32:" + sum + "\r\n\r\n"
}

// chunkedUpload signs an upload of encoded, in which there are length bytes of content.
func chunkedUpload(t testing.TB, encoded string, length int) *http.Request {
	r := httptest.NewRequest("PUT", "https://s3.us-west-2.amazonaws.com/bucket/key?x-id=PutObject", nil)
	r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(length))
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	r.Header.Set("Content-Encoding", "gzip, aws-chunked")
	return sign(t, r, encoded, "s3", signedAt, "")
}

// verifyAndRead returns what a handler gets to read, and the first error.
func verifyAndRead(v *sigv4.Verifier, r *http.Request) (string, error) {
	if _, err := v.Verify(r); err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

func TestRefusesChunks(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(raw string) string { return strings.Replace(raw, old, new, 1) }
	}
	const second = "400;chunk-signature="
	tests := []struct {
		name  string
		alter func(raw string) string
		want  sigv4.Failure
	}{
		{"byte of a chunk", replace("aaa", "aba"), sigv4.Mismatch},
		{"signature of a chunk", replace("chunk-signature=", "chunk-signature=0"), sigv4.Mismatch},
		{"signature left out", replace(";chunk-signature=", "\r\nx="), sigv4.MalformedBody},
		{"another extension", replace(";chunk-signature=", ";chunk-signed="), sigv4.MalformedBody},
		{"chunks in the other order", func(raw string) string {
			head, body, _ := strings.Cut(raw, "\r\n\r\n")
			i := strings.Index(body, second)
			j := i + len(second) + 64 + 2 + 1024 + 2
			return head + "\r\n\r\n" + body[i:j] + body[:i] + body[j:]
		}, sigv4.Mismatch},
		{"a chunk left out", func(raw string) string {
			i := strings.Index(raw, second)
			return raw[:i] + raw[i+len(second)+64+2+1024+2:]
		}, sigv4.MalformedBody},
		{"cut off", func(raw string) string { return raw[:len(raw)-300] }, sigv4.MalformedBody},
		{"no last chunk", func(raw string) string { return raw[:strings.LastIndex(raw, "\r\n0;")+2] }, sigv4.MalformedBody},
		{"chunk longer than it says", replace("aaa\r\n400", "aaaa\r\n400"), sigv4.MalformedBody},
		{"size not in hex", replace("10000;", "1000g;"), sigv4.MalformedBody},
		{"negative size", replace("10000;", "-10000;"), sigv4.MalformedBody},
		{"huge size", replace("10000;", "7fffffffffffffff;"), sigv4.MalformedBody},
		{"size beyond 64 bits", replace("10000;", strings.Repeat("f", 40)+";"), sigv4.MalformedBody},
		{"endless size", replace("10000;", strings.Repeat("0", 5000)+"10000;"), sigv4.MalformedBody},
		{"more after the end", func(raw string) string { return raw + "x-amz-checksum-crc32c:AAAA\r\n" }, sigv4.MalformedBody},
		{"endless end", func(raw string) string { return raw + strings.Repeat("\r\n", 100) }, sigv4.MalformedBody},
	}
	trailer := []struct {
		name  string
		alter func(raw string) string
		want  sigv4.Failure
	}{
		{"checksum", replace("sOO8/Q==", "sOO8/A=="), sigv4.Mismatch},
		{"name of the checksum", replace("c:sOO8", ":sOO8"), sigv4.MalformedBody},
		{"checksum left out", replace("x-amz-checksum-crc32c:sOO8/Q==\r\n", ""), sigv4.Mismatch},
		{"checksum twice", replace("\r\nx-amz-trailer-", "\r\nx-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-"), sigv4.MalformedBody},
		{"trailer's signature", replace("trailer-signature:d", "trailer-signature:e"), sigv4.Mismatch},
		{"trailer's signature left out", func(raw string) string { return raw[:strings.Index(raw, "x-amz-trailer-signature")] }, sigv4.Mismatch},
	}
	v := verifierAt(t, exampleTime, exampleSecret)
	run := func(example string, alter func(string) string, want sigv4.Failure) func(*testing.T) {
		return func(t *testing.T) {
			altered := alter(example)
			if altered == example {
				t.Fatal("nothing was altered")
			}
			head, body, _ := strings.Cut(altered, "\r\n\r\n")
			r := readRequest(t, head+"\r\n\r\n")
			// The length is as it was signed: a proxy may cut or add to what follows.
			r.Body = io.NopCloser(strings.NewReader(body))
			if _, err := verifyAndRead(v, r); failure(err) != want {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, run(chunkedExample(), tt.alter, tt.want))
		t.Run(tt.name+", with trailer", run(chunkedTrailerExample(), tt.alter, tt.want))
	}
	for _, tt := range trailer {
		t.Run(tt.name, run(chunkedTrailerExample(), tt.alter, tt.want))
	}
}

// TestSignedFraming alters every byte between the chunks in turn.
func TestSignedFraming(t *testing.T) {
	v := verifierAt(t, exampleTime, exampleSecret)
	for _, example := range []string{chunkedExample(), chunkedTrailerExample()} {
		head, body, _ := strings.Cut(example, "\r\n\r\n")
		for i := range len(body) {
			if body[i] == 'a' && i%1000 != 0 { // of the content, a few bytes will do
				continue
			}
			r := readRequest(t, head+"\r\n\r\n")
			r.Body = io.NopCloser(strings.NewReader(body[:i] + string(body[i]^1) + body[i+1:]))
			if got, err := verifyAndRead(v, r); err == nil && got != strings.Repeat("a", 66560) {
				t.Errorf("byte %d: accepted %d other bytes", i, len(got))
			}
		}
	}
}

func TestUnsignedChunks(t *testing.T) {
	v := verifierAt(t, signedAt, secret)
	const content = "Hello world"
	good := unsignedChunks(content)
	r := chunkedUpload(t, good, len(content))
	if got, err := verifyAndRead(v, r); got != content || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if got := r.Header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("Content-Encoding %q, want what is left without aws-chunked", got)
	}
	if got, err := verifyAndRead(v, chunkedUpload(t, unsignedChunks(""), 0)); got != "" || failure(err) != sigv4.MalformedBody {
		t.Errorf("two last chunks: %q, %v", got, err)
	}
	if _, err := verifyAndRead(v, chunkedUpload(t, "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 0)); err != nil {
		t.Errorf("empty: %v", err)
	}
	for name, tt := range map[string]struct {
		encoded string
		length  int
		want    sigv4.Failure
	}{
		"content":           {strings.Replace(good, "Hello", "Jello", 1), len(content), sigv4.ChecksumMismatch},
		"checksum":          {strings.Replace(good, "crc32:", "crc32:A", 1), len(content), sigv4.ChecksumMismatch},
		"no checksum":       {"b\r\n" + content + "\r\n0\r\n\r\n", len(content), sigv4.ChecksumMismatch},
		"another checksum":  {strings.Replace(good, "crc32", "sha1", 1), len(content), sigv4.MalformedBody},
		"length too large":  {good, len(content) + 1, sigv4.MalformedBody},
		"length too small":  {good, len(content) - 1, sigv4.MalformedBody},
		"negative length":   {good, -1, sigv4.MalformedBody},
		"signed chunk":      {strings.Replace(good, "b\r", "b;chunk-signature=00\r", 1), len(content), sigv4.MalformedBody},
		"signed trailer":    {good[:len(good)-2] + "x-amz-trailer-signature:00\r\n\r\n", len(content), sigv4.MalformedBody},
		"not chunked":       {content, len(content), sigv4.MalformedBody},
		"larger than allow": {good, 6 << 30, sigv4.BodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := verifyAndRead(v, chunkedUpload(t, tt.encoded, tt.length)); failure(err) != tt.want {
				t.Errorf("got %q, %v, want %v", got, err, tt.want)
			}
		})
	}
}

// smallBuffers has a limit under which every body of the next tests is streamed.
func smallBuffers(t testing.TB) *sigv4.Verifier {
	v, err := sigv4.New(sigv4.Config{
		Secret:  func(context.Context, sigv4.Scope, string) (string, error) { return secret, nil },
		Now:     func() time.Time { return signedAt },
		MaxBody: 4, MaxUpload: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestUploadHoldsBack reads as handlers do that know Content-Length and never
// look for the end: they must not get a whole body that does not verify.
func TestUploadHoldsBack(t *testing.T) {
	content := strings.Repeat("0123456789", 5000)
	hashed := func(body string) *http.Request {
		r := newS3RequestOf(t, content)
		r.Body = io.NopCloser(strings.NewReader(body))
		return r
	}
	flip := func(s string, i int) string { return s[:i] + "x" + s[i+1:] }
	chunks := unsignedChunks(content)
	for name, tt := range map[string]struct {
		r    *http.Request
		want sigv4.Failure
	}{
		"whole":                {hashed(content), -1},
		"first byte":           {hashed(flip(content, 0)), sigv4.PayloadMismatch},
		"last byte":            {hashed(flip(content, len(content)-1)), sigv4.PayloadMismatch},
		"shorter":              {hashed(content[1:]), sigv4.PayloadMismatch},
		"chunks":               {chunkedUpload(t, chunks, len(content)), -1},
		"first byte in chunks": {chunkedUpload(t, flip(chunks, 10), len(content)), sigv4.ChecksumMismatch},
		"chunks without end":   {chunkedUpload(t, chunks[:6+len(content)], len(content)), sigv4.MalformedBody},
	} {
		t.Run(name, func(t *testing.T) {
			for reader, wrap := range map[string]func(io.Reader) io.Reader{
				"plain": func(r io.Reader) io.Reader { return r }, "data with its error": iotest.DataErrReader, "byte by byte": iotest.OneByteReader,
			} {
				r := tt.r.Clone(t.Context())
				all, err := io.ReadAll(tt.r.Body)
				if err != nil {
					t.Fatal(err)
				}
				tt.r.Body = io.NopCloser(bytes.NewReader(all))
				r.Body = io.NopCloser(wrap(bytes.NewReader(all)))
				if _, err := smallBuffers(t).Verify(r); err != nil {
					t.Fatalf("%s: Verify read all of an upload: %v", reader, err)
				}
				_, err = io.ReadFull(r.Body, make([]byte, r.ContentLength))
				if failure(err) != tt.want {
					t.Errorf("%s: got %v, want %v", reader, err, tt.want)
				}
				if tt.want < 0 {
					continue
				}
				if _, again := r.Body.Read(make([]byte, 1)); failure(again) != tt.want {
					t.Errorf("%s: the next Read returns %v", reader, again)
				}
			}
		})
	}
}

func newS3RequestOf(t testing.TB, content string) *http.Request {
	return sign(t, httptest.NewRequest("PUT", "https://s3.us-west-2.amazonaws.com/bucket/key", nil), content, "s3", signedAt, "")
}

// Only the content of objects may be larger than MaxBody: all else is
// interpreted, perhaps before its end was read.
func TestOnlyUploadsAreStreamed(t *testing.T) {
	for target, want := range map[string]sigv4.Failure{
		"PUT /bucket/key": -1,
		"PUT /bucket/key?partNumber=1&uploadId=x&x-id=PutPart": -1,
		"PUT /bucket/key?tagging":                              sigv4.BodyTooLarge,
		"PUT /bucket?policy":                                   sigv4.BodyTooLarge,
		"POST /bucket?delete":                                  sigv4.BodyTooLarge,
		"POST /bucket/key?uploadId=x":                          sigv4.BodyTooLarge,
		"DELETE /bucket/key":                                   sigv4.BodyTooLarge,
	} {
		method, path, _ := strings.Cut(target, " ")
		r := sign(t, httptest.NewRequest(method, "https://s3.us-west-2.amazonaws.com"+path, nil), "content", "s3", signedAt, "")
		if _, err := smallBuffers(t).Verify(r); failure(err) != want {
			t.Errorf("%s: got %v, want %v", target, err, want)
		}
	}
	r := newS3RequestOf(t, strings.Repeat("x", 1<<20+1))
	if _, err := smallBuffers(t).Verify(r); failure(err) != sigv4.BodyTooLarge {
		t.Errorf("over MaxUpload: got %v", err)
	}
}

// What is not signed is S3's alone to accept.
func TestPayloadForms(t *testing.T) {
	v := verifierAt(t, signedAt, secret)
	for _, tt := range []struct {
		service, hash string
		want          sigv4.Failure
	}{
		{"s3", "UNSIGNED-PAYLOAD", -1},
		{"s3", "nonsense", sigv4.Incomplete},
		{"s3", strings.ToUpper(hexHash("content")), sigv4.Incomplete},
		{"s3", hexHash("other"), sigv4.PayloadMismatch},
		{"s3", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", sigv4.Incomplete},
		{"s3", "STREAMING-UNSIGNED-PAYLOAD", sigv4.Incomplete},
		{"sts", hexHash("content"), -1},
		{"sts", hexHash("other"), sigv4.PayloadMismatch},
		{"sts", "UNSIGNED-PAYLOAD", sigv4.PayloadMismatch},
		{"eks", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", sigv4.PayloadMismatch},
	} {
		r := httptest.NewRequest("PUT", "https://example.amazonaws.com/a", nil)
		r.Header.Set("X-Amz-Content-Sha256", tt.hash)
		sign(t, r, "content", tt.service, signedAt, "")
		if _, err := verifyAndRead(v, r); failure(err) != tt.want {
			t.Errorf("%s with %s: got %v, want %v", tt.service, tt.hash, err, tt.want)
		}
	}
	r := newS3RequestOf(t, "content")
	r.Header.Del("X-Amz-Content-Sha256")
	if _, err := v.Verify(r); failure(err) != sigv4.Incomplete {
		t.Errorf("S3 without x-amz-content-sha256: got %v", err)
	}
}

// A reader that breaks is the connection's fault, not the signature's.
func TestBrokenConnection(t *testing.T) {
	broken := errors.New("connection reset")
	for name, r := range map[string]*http.Request{"hash": newS3RequestOf(t, "content"), "chunks": chunkedUpload(t, unsignedChunks("content"), 7), "sts": newSTSRequest(t)} {
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 3), iotest.ErrReader(broken)))
		if _, err := verifyAndRead(verifierAt(t, signedAt, secret), r); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
