package awssim

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestS3RefusesWhatItDoesNotKnow sends what no client library would, as an
// administrator: nothing of it may pass for another operation.
func TestS3RefusesWhatItDoesNotKnow(t *testing.T) {
	w := newS3World(t, nil, nil)
	all := granting("Allow", `"*"`, "s3:*", "arn:aws:s3:::bucket-b", objectsOfB)
	w.bucket("admin", "bucket-b", all, "key", "a/../b", "/lead", "dir/", "a//b")
	for _, test := range []struct {
		name, method, target string
		header               http.Header
		want                 string // code, or what the body holds
	}{
		{"unknown subresource of an object", "GET", "/bucket-b/key?acls", nil, "NotImplemented"},
		{"unknown subresource of a bucket", "GET", "/bucket-b?analytics", nil, "NotImplemented"},
		{"two subresources", "GET", "/bucket-b?policy&acl", nil, "NotImplemented"},
		{"two values", "GET", "/bucket-b?prefix=a&prefix=b", nil, "InvalidArgument"},
		{"subresource in another case", "GET", "/bucket-b?Policy", nil, "NotImplemented"},
		{"a parameter without a name", "GET", "/bucket-b/key?=x", nil, "NotImplemented"},
		{"a version", "GET", "/bucket-b/key?versionId=1", nil, "NoSuchVersion"},
		{"no version", "GET", "/bucket-b/key?versionId=", nil, "NoSuchVersion"},
		{"delete of a version", "DELETE", "/bucket-b/key?versionId=1", nil, "NoSuchVersion"},
		{"the only version", "GET", "/bucket-b/key?versionId=null", nil, "content of key"},
		{"delete with a subresource", "DELETE", "/bucket-b/key?acl", nil, "NotImplemented"},
		{"an empty upload id, get", "GET", "/bucket-b/key?uploadId=", nil, "NotImplemented"},
		{"an empty upload id, delete", "DELETE", "/bucket-b/key?uploadId=", nil, "NotImplemented"},
		{"an empty upload id, put", "PUT", "/bucket-b/key?uploadId=&partNumber=1", nil, "NotImplemented"},
		{"an upload that is not there", "DELETE", "/bucket-b/key?uploadId=1", nil, "NoSuchUpload"},
		{"delete of a bucket's location", "DELETE", "/bucket-b?location", nil, "NotImplemented"},
		{"a browser's form", "POST", "/bucket-b", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, "NotImplemented"},
		{"POST of an object", "POST", "/bucket-b/key", nil, "NotImplemented"},
		{"method override", "POST", "/bucket-b/key", http.Header{"X-Http-Method-Override": {"DELETE"}}, "NotImplemented"},
		{"an unknown method", "PATCH", "/bucket-b/key", nil, "MethodNotAllowed"},
		{"preflight", "OPTIONS", "/bucket-b/key", http.Header{"Origin": {"http://x"}, "Access-Control-Request-Method": {"GET"}}, "MethodNotAllowed"},
		{"an unknown header", "PUT", "/bucket-b/key", http.Header{"X-Amz-Object-Lock-Mode": {"GOVERNANCE"}}, "NotImplemented"},
		{"a key to encrypt with", "PUT", "/bucket-b/key", http.Header{"X-Amz-Server-Side-Encryption-Customer-Key": {"x"}}, "NotImplemented"},
		{"grants", "PUT", "/bucket-b/key", http.Header{"X-Amz-Grant-Read": {"x"}}, "NotImplemented"},
		{"a canned ACL", "PUT", "/bucket-b/key", http.Header{"X-Amz-Acl": {"public-read"}}, "AccessControlListNotSupported"},
		{"a header twice", "PUT", "/bucket-b/key", http.Header{"X-Amz-Copy-Source": {"bucket-b/key", "bucket-b/a"}}, "InvalidArgument"},
		{"a copy that is a get", "GET", "/bucket-b/key", http.Header{"X-Amz-Copy-Source": {"bucket-b/key"}}, "NotImplemented"},
		{"a copy by the query", "PUT", "/bucket-b/new?X-Amz-Copy-Source=bucket-b/none", nil, "NoSuchKey"},
		{"a key of 1,025 bytes", "GET", "/bucket-b/" + strings.Repeat("k", 1025), nil, "KeyTooLongError"},
		{"a key that is not UTF-8", "GET", "/bucket-b/%ff", nil, "InvalidURI"},
		{"no bucket", "GET", "//bucket-b/key", nil, "InvalidURI"},
		{"response headers for anyone", "GET", "/bucket-b/key?response-content-type=text/html", nil, "InvalidRequest"},
		{"metadata of 2 KiB and more", "PUT", "/bucket-b/key", http.Header{"X-Amz-Meta-A": {strings.Repeat("x", 2048)}}, "MetadataTooLarge"},
		{"a part number out of range", "PUT", "/bucket-b/key?uploadId=1&partNumber=10001", nil, "InvalidArgument"},
		{"a signature of version 2", "GET", "/bucket-b/key?AWSAccessKeyId=x&Signature=y&Expires=1", nil, "Please use AWS4-HMAC-SHA256"},
		{"chunks that nobody signed", "PUT", "/bucket-b/key", http.Header{"X-Amz-Content-Sha256": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}, "NotImplemented"},
		{"a wrong checksum", "PUT", "/bucket-b/key", http.Header{"X-Amz-Checksum-Crc32": {"AAAAAQ=="}}, "BadDigest"},
		{"a checksum of no sense", "PUT", "/bucket-b/key", http.Header{"X-Amz-Checksum-Crc32": {"x"}}, "InvalidRequest"},
		{"an MD5 of no sense", "PUT", "/bucket-b/key", http.Header{"Content-Md5": {"x"}}, "InvalidDigest"},
		{"deletes that are no XML", "POST", "/bucket-b?delete", nil, "MalformedXML"},
		{"every bucket, for anyone", "GET", "/", nil, "AccessDenied"},

		{"a key with dots", "GET", "/bucket-b/a/../b", nil, "content of a/../b"},
		{"a key with encoded dots", "GET", "/bucket-b/a%2F%2e%2e%2Fb", nil, "content of a/../b"},
		{"a leading slash", "GET", "/bucket-b//lead", nil, "content of /lead"},
		{"a trailing slash", "GET", "/bucket-b/dir/", nil, "content of dir/"},
		{"two slashes", "GET", "/bucket-b/a//b", nil, "content of a//b"},
		{"one slash where there are two", "GET", "/bucket-b/a/b", nil, "NoSuchKey"},
		{"encoded twice", "GET", "/bucket-b/%256bey", nil, "NoSuchKey"},
		{"the object itself", "GET", "/bucket-b/key?x-id=GetObject", nil, "content of key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body, header := w.raw(test.method, test.target, "", test.header, "")
			if !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %s", status, body, test.want)
			}
			if header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("any page may read it")
			}
		})
	}
	if got := w.get(w.as("admin"), "bucket-b", "key"); got != "content of key" {
		t.Errorf("afterwards the object is %q", got)
	}
	for _, host := range []string{"bucket-b.localhost:7300", "bucket-b.s3.us-west-2.amazonaws.com", "bucket-b.s3.amazonaws.com:443"} {
		if status, body, _ := w.raw("GET", "/key", host, nil, ""); body != "content of key" {
			t.Errorf("by the host name %s: %d %s", host, status, body)
		}
	}
	for _, host := range []string{"s3.us-west-2.amazonaws.com", "bucket-b.s3x.amazonaws.com", "bucket-b.s3.example.com", ".s3.amazonaws.com"} {
		if status, body, _ := w.raw("GET", "/bucket-b/key", host, nil, ""); body != "content of key" {
			t.Errorf("by the path, at %s: %d %s", host, status, body)
		}
	}
}

// raw sends an unsigned request as it is, cleaned by no library.
func (w *s3World) raw(method, target, host string, header http.Header, body string) (int, string, http.Header) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	var lines strings.Builder
	if host == "" {
		host = w.server.Listener.Addr().String()
	}
	header.Write(&lines)
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s", method, target, host, len(body), lines.String(), body)
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// TestS3PatternsAreForPolicies: in a key, what is a pattern in a policy is text.
func TestS3PatternsAreForPolicies(t *testing.T) {
	w := newS3World(t, map[string]string{"reader": allowing("s3:GetObject arn:aws:s3:::bucket-b/open/*", "s3:GetObject arn:aws:s3:::bucket-b/abc")}, nil)
	w.bucket("admin", "bucket-b", "", "*", "a?c", "abc", "open/*", "open/\nline", "${aws:username}")
	for key, want := range map[string]string{
		"*": "AccessDenied", "a?c": "AccessDenied", "abc": "content of abc", "open/*": "content of open/*", "${aws:username}": "AccessDenied",
	} {
		if got := w.get(w.as("reader"), "bucket-b", key); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

// TestS3UnsignedClaimsAreNone: a condition on the signature holds for nobody
// who did not sign.
func TestS3UnsignedClaimsAreNone(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "bucket-b", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"`+objectsOfB+
		`","Condition":{"NumericLessThan":{"s3:signatureAge":"600000"}}}]}`, "key")
	now := time.Now().UTC().Format("20060102T150405Z")
	for _, query := range []string{"", "?X-Amz-Signature=x&X-Amz-Date=" + now, "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x&X-Amz-Date=" + now} {
		if status, body, _ := w.raw("GET", "/bucket-b/key"+query, "", nil, ""); status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

func TestS3BoundsUploads(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "bucket-b", granting("Allow", `"*"`, "s3:PutObject", objectsOfB))
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /bucket-b/key HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", maxS3Put+1)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if !strings.Contains(string(body), "EntityTooLarge") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

// TestS3OverTLS: there the official client sends its checksum after the body,
// and does not sign the body.
func TestS3OverTLS(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "bucket-b", "")
	server := httptest.NewTLSServer(w.sim)
	t.Cleanup(server.Close)
	c := w.as("admin", func(o *awss3.Options) { o.BaseEndpoint, o.HTTPClient = &server.URL, server.Client() })
	const content = "a stream that can be read but once"
	_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String("bucket-b"), Key: aws.String("key"), Body: io.MultiReader(strings.NewReader(content)), ContentLength: aws.Int64(int64(len(content))),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.get(c, "bucket-b", "key"); got != content {
		t.Errorf("got %q", got)
	}
}
