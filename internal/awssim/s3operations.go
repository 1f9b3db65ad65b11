package awssim

import (
	"net/http"
	"slices"
)

// s3Operation is one operation of S3: the requests that mean it, and what a
// caller must be allowed for it.
type s3Operation struct {
	name   string
	method string
	level  s3Level
	// by is the parameter of the query that tells it from others; "" if it is
	// the one that has none.
	by     string
	params []string // further parameters that it takes
	copies bool     // whether it has x-amz-copy-source
	// action is asked for on the bucket or object before run is called; run asks
	// for whatever else it takes. DeleteObjects alone has none: it asks key by key.
	action  string
	keys    s3Keys // further condition keys of action; nil: none
	creates bool   // the bucket is not there yet
	run     func(*s3, http.ResponseWriter, *s3Request) error
}

// takes tells whether a request means this operation. A parameter that the
// operation does not know makes it another operation, and so no other's
// permission will do.
func (op *s3Operation) takes(rq *s3Request) bool {
	if op.method != rq.method || op.level != rq.level || op.copies != (rq.header.Get("X-Amz-Copy-Source") != "") {
		return false
	}
	value, there := rq.params[op.by]
	if op.by != "" && !there || op.by == "uploadId" && value == "" { // the library takes an empty uploadId for none
		return false
	}
	for name := range rq.params {
		if (op.by == "" || name != op.by) && !slices.Contains(op.params, name) {
			return false
		}
	}
	return true
}

// operation finds the one operation that the request means.
func (rq *s3Request) operation() (*s3Operation, error) {
	known := false // method at this level
	for i := range s3Operations {
		op := &s3Operations[i]
		if op.takes(rq) {
			return op, nil
		}
		known = known || op.method == rq.method && op.level == rq.level
	}
	if known {
		return nil, s3Error(notImplemented)
	}
	return nil, s3Error(methodNotAllowed)
}

var (
	listParams = []string{"prefix", "delimiter", "max-keys", "encoding-type"}
	getParams  = []string{
		"partNumber", "response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires",
	}
)

// s3Operations are all operations. No request is taken by two. The actions are
// those of https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html.
var s3Operations = slices.Concat([]s3Operation{
	{name: "ListBuckets", method: "GET", level: s3Service, params: []string{"max-buckets", "continuation-token", "prefix", "bucket-region"},
		action: "s3:ListAllMyBuckets", run: (*s3).listBuckets},

	{name: "CreateBucket", method: "PUT", level: s3Bucket, action: "s3:CreateBucket", creates: true, keys: s3LocationKeys, run: (*s3).createBucket},
	{name: "HeadBucket", method: "HEAD", level: s3Bucket, action: "s3:ListBucket", run: (*s3).headBucket},
	{name: "DeleteBucket", method: "DELETE", level: s3Bucket, action: "s3:DeleteBucket", run: (*s3).deleteBucket},
	{name: "GetBucketLocation", method: "GET", level: s3Bucket, by: "location", action: "s3:GetBucketLocation", run: (*s3).getBucketLocation},
	{name: "GetBucketAcl", method: "GET", level: s3Bucket, by: "acl", action: "s3:GetBucketAcl", run: (*s3).getBucketACL},
	{name: "GetBucketPolicy", method: "GET", level: s3Bucket, by: "policy", action: "s3:GetBucketPolicy", run: (*s3).getBucketPolicy},
	{name: "PutBucketPolicy", method: "PUT", level: s3Bucket, by: "policy", action: "s3:PutBucketPolicy", run: (*s3).putBucketPolicy},
	{name: "DeleteBucketPolicy", method: "DELETE", level: s3Bucket, by: "policy", action: "s3:DeleteBucketPolicy", run: (*s3).deleteBucketPolicy},

	{name: "ListObjects", method: "GET", level: s3Bucket, params: append([]string{"marker"}, listParams...),
		action: "s3:ListBucket", keys: s3ListKeys, run: (*s3).listObjects},
	{name: "ListObjectsV2", method: "GET", level: s3Bucket, by: "list-type", params: append([]string{"continuation-token", "start-after", "fetch-owner"}, listParams...),
		action: "s3:ListBucket", keys: s3ListKeys, run: (*s3).listObjects},
	{name: "ListObjectVersions", method: "GET", level: s3Bucket, by: "versions", params: append([]string{"key-marker", "version-id-marker"}, listParams...),
		action: "s3:ListBucketVersions", keys: s3ListKeys, run: (*s3).pass},
	{name: "ListMultipartUploads", method: "GET", level: s3Bucket, by: "uploads", params: []string{"prefix", "key-marker", "upload-id-marker", "max-uploads"},
		action: "s3:ListBucketMultipartUploads", keys: s3ListKeys, run: (*s3).listUploads},
	{name: "DeleteObjects", method: "POST", level: s3Bucket, by: "delete", run: (*s3).deleteObjects},

	{name: "GetObject", method: "GET", level: s3Object, params: getParams, action: "s3:GetObject", keys: s3ExistingTags, run: (*s3).getObject},
	{name: "HeadObject", method: "HEAD", level: s3Object, params: getParams, action: "s3:GetObject", keys: s3ExistingTags, run: (*s3).getObject},
	{name: "GetObject of a version", method: "GET", level: s3Object, by: "versionId", params: getParams, action: "s3:GetObjectVersion", keys: s3ExistingTags, run: (*s3).getObject},
	{name: "HeadObject of a version", method: "HEAD", level: s3Object, by: "versionId", params: getParams, action: "s3:GetObjectVersion", keys: s3ExistingTags, run: (*s3).getObject},
	{name: "PutObject", method: "PUT", level: s3Object, action: "s3:PutObject", keys: s3RequestTags, run: (*s3).putObject},
	{name: "CopyObject", method: "PUT", level: s3Object, copies: true, action: "s3:PutObject", keys: s3CopyKeys, run: (*s3).copyObject},
	{name: "DeleteObject", method: "DELETE", level: s3Object, action: "s3:DeleteObject", run: (*s3).deleteObject},
	{name: "DeleteObject of a version", method: "DELETE", level: s3Object, by: "versionId", action: "s3:DeleteObjectVersion", run: (*s3).deleteObject},
	{name: "GetObjectTagging", method: "GET", level: s3Object, by: "tagging", action: "s3:GetObjectTagging", keys: s3ExistingTags, run: (*s3).onExisting},
	{name: "PutObjectTagging", method: "PUT", level: s3Object, by: "tagging", action: "s3:PutObjectTagging", keys: s3BodyTags, run: (*s3).onExisting},
	{name: "DeleteObjectTagging", method: "DELETE", level: s3Object, by: "tagging", action: "s3:DeleteObjectTagging", keys: s3ExistingTags, run: (*s3).onExisting},

	{name: "CreateMultipartUpload", method: "POST", level: s3Object, by: "uploads", action: "s3:PutObject", keys: s3RequestTags, run: (*s3).createUpload},
	{name: "UploadPart", method: "PUT", level: s3Object, by: "uploadId", params: []string{"partNumber"}, action: "s3:PutObject", run: (*s3).uploadPart},
	{name: "UploadPartCopy", method: "PUT", level: s3Object, by: "uploadId", params: []string{"partNumber"}, copies: true,
		action: "s3:PutObject", keys: s3CopyKeys, run: (*s3).copyPart},
	{name: "CompleteMultipartUpload", method: "POST", level: s3Object, by: "uploadId", action: "s3:PutObject", run: (*s3).completeUpload},
	{name: "AbortMultipartUpload", method: "DELETE", level: s3Object, by: "uploadId", action: "s3:AbortMultipartUpload", run: (*s3).pass},
	{name: "ListParts", method: "GET", level: s3Object, by: "uploadId", params: []string{"max-parts", "part-number-marker"},
		action: "s3:ListMultipartUploadParts", run: (*s3).pass},
}, s3Unconfigured())
