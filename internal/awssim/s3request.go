package awssim

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/podid/podid/internal/policy"
)

// s3Level is what the path of a request leads to.
type s3Level int

const (
	s3Service s3Level = iota // "/"
	s3Bucket                 // "/bucket"
	s3Object                 // "/bucket/key"
)

// s3Request is a request as it was understood. It is all that operations go
// by: what is judged, done and passed to the library is the same text.
type s3Request struct {
	ctx    context.Context
	caller *Caller
	http   *http.Request // for what answers need of it, and the body

	method      string
	level       s3Level
	bucket, key string            // decoded, as they are stored
	params      map[string]string // of the query, without signature and x-id
	header      http.Header       // the headers that S3 gives a meaning to
	presigned   bool
	signedAt    time.Time // presigned: X-Amz-Date

	b        *bucket // that it is about; nil before it was found
	location string  // CreateBucket: LocationConstraint
	tagging  []s3Tag // PutObjectTagging: the new tags
}

// maxS3Key is the longest key, in bytes of UTF-8
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
const maxS3Key = 1024

// parseS3Request reads path, host, query and headers. It refuses what has a
// meaning in S3 that is not served here, and what can be read in two ways.
func parseS3Request(r *http.Request, c *Caller) (*s3Request, error) {
	rq := &s3Request{
		ctx: r.Context(), caller: c, http: r, method: r.Method,
		params: map[string]string{}, header: http.Header{},
	}
	if err := rq.parsePath(r.Host, r.URL.Path); err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, s3Error("InvalidURI")
	}
	for name, values := range query {
		if err := rq.addParam(name, values); err != nil {
			return nil, err
		}
	}
	for name, values := range r.Header {
		if err := rq.addHeader(name, values); err != nil {
			return nil, err
		}
	}
	return rq, nil
}

// parsePath takes bucket and key from the host, if the bucket is there as in
// bucket.localhost, and the path. Nothing is cleaned: "a/../b" and "/a" are keys
// like any other.
func (rq *s3Request) parsePath(host, path string) error {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || !utf8.ValidString(path) {
		return s3Error("InvalidURI")
	}
	var slash bool
	if name, virtual := virtualBucket(host); virtual {
		rq.bucket, rq.key = name, rest
	} else if rq.bucket, rq.key, slash = strings.Cut(rest, "/"); slash && rq.bucket == "" {
		return s3Error("InvalidURI")
	}
	switch {
	case len(rq.key) > maxS3Key:
		return s3Error("KeyTooLongError")
	case rq.key != "":
		rq.level = s3Object
	case rq.bucket != "":
		rq.level = s3Bucket
	}
	return nil
}

// virtualBucket returns the bucket that a host name stands for: under localhost,
// and under S3's own names, which lead here where somebody's name service says so
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html).
// Any other name could as well be that of the server.
func virtualBucket(host string) (string, bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if own, ok := strings.CutSuffix(host, ".amazonaws.com"); ok {
		bucket, region, found := cutLast(own, ".s3")
		return bucket, found && bucket != "" && (region == "" || region[0] == '.')
	}
	name, ok := strings.CutSuffix(host, ".localhost")
	return name, ok && name != ""
}

// cutLast is strings.Cut at the last place: names of buckets may have dots.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// addParam takes one parameter of the query. Headers may come this way too, as
// they do when a URL is presigned.
func (rq *s3Request) addParam(name string, values []string) error {
	if len(values) != 1 {
		return s3Says(invalidArgument, "A parameter of the query is there twice.")
	}
	lower := strings.ToLower(name)
	switch {
	case name == "X-Amz-Signature":
		rq.presigned = true
	case name == "X-Amz-Date":
		rq.signedAt, _ = time.Parse("20060102T150405Z", values[0]) // verified by then
	case name == "AWSAccessKeyId", name == "Signature": // Version 2, which botocore presigns with unless told otherwise
		return s3Says(invalidRequest, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	case name == "x-id", slices.Contains(s3Signature, lower):
	case strings.HasPrefix(lower, "x-amz-"):
		return rq.addHeader(name, values)
	default:
		rq.params[name] = values[0]
	}
	return nil
}

// s3Signature are the parameters of a presigned URL that the signature itself
// has used up
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
var s3Signature = []string{
	"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature", "x-amz-security-token",
}

// Headers by what becomes of them. All others that begin with x-amz- are refused,
// as S3 refuses what it does not know, and the rest says nothing to S3.
var (
	s3Kept = []string{
		"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires", "range",
		"if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "x-amz-if-match-last-modified-time", "x-amz-if-match-size",
		"x-amz-acl", "x-amz-bucket-object-lock-enabled", "x-amz-object-ownership", "x-amz-server-side-encryption", "x-amz-storage-class",
		"x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1", "x-amz-checksum-sha256", "x-amz-checksum-mode",
		"x-amz-copy-source", "x-amz-copy-source-range", "x-amz-copy-source-if-match", "x-amz-copy-source-if-modified-since",
		"x-amz-copy-source-if-none-match", "x-amz-copy-source-if-unmodified-since", "x-amz-metadata-directive",
		"x-amz-tagging", "x-amz-tagging-directive", "x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner", "x-amz-content-sha256",
	}
	s3Dropped = []string{
		"x-amz-date", "x-amz-security-token", "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-user-agent", "x-amz-request-payer",
		"x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-mp-object-size",
		"x-amz-confirm-remove-self-bucket-access",
	}
)

func (rq *s3Request) addHeader(name string, values []string) error {
	lower := strings.ToLower(name)
	switch {
	case slices.Contains(s3Kept, lower), strings.HasPrefix(lower, "x-amz-meta-"):
		if len(values) != 1 || rq.header.Get(name) != "" {
			return s3Says(invalidArgument, "The header "+lower+" is there twice.")
		}
		rq.header.Set(name, values[0])
	case slices.Contains(s3Dropped, lower):
	case strings.HasPrefix(lower, "x-amz-"):
		e := s3Error(notImplemented)
		e.Members = map[string]string{"Header": lower}
		return e
	}
	return nil
}

// resource returns the ARN of what the request is about.
func (rq *s3Request) resource() string {
	switch rq.level {
	case s3Object:
		return objectARN(rq.bucket, rq.key)
	case s3Bucket:
		return "arn:aws:s3:::" + rq.bucket
	}
	// s3:ListAllMyBuckets has no resource, but policies that name this one are
	// common, and work.
	return "arn:aws:s3:::*"
}

func objectARN(bucket, key string) string { return "arn:aws:s3:::" + bucket + "/" + key }

// conditions returns the condition keys that any request to S3 may have
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html#amazons3-policy-keys).
func (rq *s3Request) conditions() policy.Context {
	keys := policy.Context{}
	if rq.caller.accessKeyID != "" { // whoever signed nothing can claim what they like
		keys.Set("s3:signatureversion", "AWS4-HMAC-SHA256")
		keys.Set("s3:authType", "REST-HEADER")
		if rq.presigned {
			keys.Set("s3:authType", "REST-QUERY-STRING")
			keys.Set("s3:signatureAge", strconv.FormatInt(rq.caller.request.at.Sub(rq.signedAt).Milliseconds(), 10))
		}
	}
	for _, name := range []string{
		"if-match", "if-none-match", "x-amz-acl", "x-amz-content-sha256", "x-amz-metadata-directive",
		"x-amz-object-ownership", "x-amz-server-side-encryption", "x-amz-storage-class",
	} {
		if values := rq.header.Values(name); len(values) > 0 {
			keys.Set("s3:"+name, values...)
		}
	}
	return keys
}

// readBody reads the body, at most limit bytes, and holds it against its
// length and checksums.
func (rq *s3Request) readBody(limit int64) ([]byte, error) {
	size := rq.http.ContentLength
	switch {
	case strings.HasPrefix(rq.header.Get("X-Amz-Content-Sha256"), "STREAMING-"):
		return nil, s3Error(notImplemented) // it is decoded with the signature, and there was none
	case size < 0:
		return nil, s3Error("MissingContentLength")
	case size > limit:
		e := s3Error(entityTooLarge)
		e.Members = map[string]string{"MaxSizeAllowed": strconv.FormatInt(limit, 10), "ProposedSize": strconv.FormatInt(size, 10)}
		return nil, e
	}
	if rq.http.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(rq.http.Body, size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) != size {
		return nil, s3Error("IncompleteBody")
	}
	return body, checkDigests(rq.header, body)
}
