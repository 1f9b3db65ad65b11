package sigv4_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/sigv4"
)

const exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

// readRequest parses a request as a server would.
func readRequest(t testing.TB, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func s3Request(line, headers, signed, signature, body string) string {
	return line + " HTTP/1.1\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") +
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=" +
		signed + ", Signature=" + signature + "\r\n\r\n" + body
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// The examples of S3's own documentation
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#example-signature-calculations,
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html#query-string-auth-v4-signing-example).
func TestS3Examples(t *testing.T) {
	common := "Host: examplebucket.s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + emptyHash + "\n"
	tests := map[string]string{
		"get object": s3Request("GET /test.txt", common+"Range: bytes=0-9\n", "host;range;x-amz-content-sha256;x-amz-date",
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", ""),
		"put object": s3Request("PUT /test%24file.text", "Host: examplebucket.s3.amazonaws.com\nDate: Fri, 24 May 2013 00:00:00 GMT\n"+
			"x-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\nContent-Length: 21\n"+
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n",
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "Welcome to Amazon S3."),
		"lifecycle": s3Request("GET /?lifecycle", common, "host;x-amz-content-sha256;x-amz-date",
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", ""),
		"list": s3Request("GET /?max-keys=2&prefix=J", common, "host;x-amz-content-sha256;x-amz-date",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", ""),
		"presigned": "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n\r\n",
	}
	v := verifierAt(t, exampleTime, exampleSecret)
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := v.Verify(readRequest(t, raw)); err != nil {
				t.Fatal(err)
			}
			altered := strings.Replace(raw, "HTTP/1.1\r\nHost: e", "HTTP/1.1\r\nHost: f", 1)
			if _, err := v.Verify(readRequest(t, altered)); failure(err) != sigv4.Mismatch {
				t.Errorf("another host: got %v, want a mismatch", err)
			}
		})
	}
}

// chunkedExample is S3's example of an upload in signed chunks, and chunkedTrailerExample
// the same with a checksum after them
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html#example-signature-calculations-streaming,
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html).
func chunkedExample() string {
	return chunkedRequest("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
		chunk(65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")+
			chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")+
			chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"))
}

func chunkedTrailerExample() string {
	return chunkedRequest("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "x-amz-trailer: x-amz-checksum-crc32c\n",
		"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
		chunk(65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2")+
			chunk(1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7")+
			strings.TrimSuffix(chunk(0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"), "\r\n")+
			"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n")
}

func chunkedRequest(payload, trailer, seed, body string) string {
	signed := "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
	length := "66824"
	if trailer != "" {
		signed = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer"
		length = strconv.Itoa(len(body))
	}
	return s3Request("PUT /examplebucket/chunkObject.txt", "Host: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\n"+
		"x-amz-storage-class: REDUCED_REDUNDANCY\nx-amz-content-sha256: "+payload+"\nContent-Encoding: aws-chunked\n"+trailer+
		"x-amz-decoded-content-length: 66560\nContent-Length: "+length+"\n", signed, seed, body)
}

func chunk(size int, signature string) string {
	return fmt.Sprintf("%x;chunk-signature=%s\r\n%s\r\n", size, signature, strings.Repeat("a", size))
}

func TestS3ChunkedExamples(t *testing.T) {
	v := verifierAt(t, exampleTime, exampleSecret)
	for name, raw := range map[string]string{"chunks": chunkedExample(), "chunks and trailer": chunkedTrailerExample()} {
		t.Run(name, func(t *testing.T) {
			r := readRequest(t, raw)
			if _, err := v.Verify(r); err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != strings.Repeat("a", 66560) {
				t.Fatalf("%d bytes, %v", len(body), err)
			}
			if r.ContentLength != 66560 || r.Header.Get("Content-Length") != "66560" || r.Header.Values("Content-Encoding") != nil ||
				r.Header.Get("X-Amz-Content-Sha256") != "" || r.Header.Get("X-Amz-Decoded-Content-Length") != "" {
				t.Errorf("the request still looks chunked: %v", r.Header)
			}
		})
	}
}
