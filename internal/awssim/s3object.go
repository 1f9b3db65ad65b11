package awssim

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rclone/gofakes3"

	"github.com/podid/podid/internal/policy"
)

// defaultContentType is of objects that came without one.
const defaultContentType = "binary/octet-stream"

// maxS3Metadata bounds names and values of user metadata together, in bytes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
const maxS3Metadata = 2 << 10

// s3ListKeys are the condition keys of listings, each there only if the request
// has it.
func s3ListKeys(_ *s3, rq *s3Request, keys policy.Context) error {
	for _, name := range []string{"prefix", "delimiter", "max-keys"} {
		if value, ok := rq.params[name]; ok {
			keys.Set("s3:"+name, value)
		}
	}
	return nil
}

// s3ExistingTags are those of the object, for the actions that have them.
func s3ExistingTags(s *s3, rq *s3Request, keys policy.Context) error {
	return s.existingTags(rq.b, rq.bucket, rq.key, rq, keys)
}

func (s *s3) existingTags(b *bucket, bucket, key string, rq *s3Request, keys policy.Context) error {
	object, _, err := s.objects.stat(withGrant(rq.ctx, grant{bucket: b}), bucket, key)
	if err != nil {
		return libraryError(err)
	}
	tags, err := url.ParseQuery(object.Metadata[gofakes3.TaggingMetadataKey])
	if err != nil {
		return err
	}
	setTagKeys(keys, "s3:ExistingObjectTag/", tags)
	return nil
}

// setTagKeys sets a key for each tag. Condition keys have no case and tags do,
// so those that differ in nothing else are values of one key.
func setTagKeys(keys policy.Context, prefix string, tags url.Values) {
	for key, values := range tags {
		before, _ := keys.Get(prefix + key)
		both := append(slices.Clone(before), values...)
		slices.Sort(both)
		keys.Set(prefix+key, both...)
	}
}

// s3RequestTags are the tags that a new object is to have.
func s3RequestTags(_ *s3, rq *s3Request, keys policy.Context) error {
	tags, err := url.ParseQuery(rq.header.Get("X-Amz-Tagging"))
	if err != nil {
		return s3Says(invalidArgument, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	setRequestTags(keys, tags)
	return nil
}

func setRequestTags(keys policy.Context, tags url.Values) {
	setTagKeys(keys, "s3:RequestObjectTag/", tags)
	if len(tags) > 0 {
		names := make([]string, 0, len(tags))
		for name := range tags {
			names = append(names, name)
		}
		slices.Sort(names)
		keys.Set("s3:RequestObjectTagKeys", names...)
	}
}

// s3BodyTags reads the body of PutObjectTagging.
func s3BodyTags(s *s3, rq *s3Request, keys policy.Context) error {
	var in s3Tagging
	if err := rq.decodeXML(&in); err != nil {
		return err
	}
	tags := url.Values{}
	for _, t := range in.Tags {
		tags.Add(t.Key, t.Value)
	}
	rq.tagging = in.Tags
	setRequestTags(keys, tags)
	return s3ExistingTags(s, rq, keys)
}

// missing answers for an object that is not there: that much is told only to
// those who may list the bucket
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
func (s *s3) missing(rq *s3Request, b *bucket, key string) error {
	if err := s.allow(rq, "s3:ListBucket", b, b.ARN(), nil); err != nil {
		return err
	}
	e := s3Error(noSuchKey)
	e.Members = map[string]string{"Key": key}
	return e
}

// onExisting does what needs an object to be there.
func (s *s3) onExisting(w http.ResponseWriter, rq *s3Request) error {
	_, exists, err := s.objects.stat(rq.ctx, rq.bucket, rq.key)
	switch {
	case err != nil:
		return libraryError(err)
	case !exists:
		return s.missing(rq, rq.b, rq.key)
	case rq.method != http.MethodPut:
		return s.pass(w, rq)
	}
	// What was judged, and not another reading of the same body.
	body, err := xml.Marshal(s3Tagging{Tags: rq.tagging})
	if err != nil {
		return err
	}
	for name := range s3Digests {
		rq.header.Del(name)
	}
	return s.passBody(w, rq, body)
}

// checkVersion refuses all versions but the one that objects have where there
// is no versioning, "null".
func (rq *s3Request) checkVersion() error {
	if version, ok := rq.params["versionId"]; ok && version != "null" {
		return s3Error("NoSuchVersion")
	}
	return nil
}

// getObject serves GetObject and HeadObject.
func (s *s3) getObject(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.checkVersion(); err != nil {
		return err
	}
	for name := range rq.params {
		if strings.HasPrefix(name, "response-") && rq.caller.principal.Kind == policy.Anonymous {
			return s3Says(invalidRequest, "Request specific response headers cannot be used for anonymous GET requests.")
		}
	}
	return s.onExisting(w, rq)
}

func (s *s3) listObjects(w http.ResponseWriter, rq *s3Request) error {
	if version, ok := rq.params["list-type"]; ok && version != "2" {
		return s3Says(invalidArgument, "Invalid List Type specified in Request")
	}
	w.Header().Set("X-Amz-Bucket-Region", rq.b.Region)
	return s.pass(w, rq)
}

// checkNewObject checks the headers that say how an object is to be kept, and
// asks for what they take beyond s3:PutObject.
func (s *s3) checkNewObject(rq *s3Request) error {
	h := rq.header
	size := 0
	for name, values := range h {
		if field, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			size += len(field) + len(values[0])
		}
	}
	switch {
	case size > maxS3Metadata:
		return s3Error("MetadataTooLarge")
	case h.Get("X-Amz-Server-Side-Encryption") != "" && h.Get("X-Amz-Server-Side-Encryption") != "AES256",
		h.Get("X-Amz-Storage-Class") != "" && h.Get("X-Amz-Storage-Class") != "STANDARD":
		return s3Error(notImplemented)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", defaultContentType)
	}
	resource := rq.resource()
	if acl := h.Get("X-Amz-Acl"); acl != "" {
		if err := s.allow(rq, "s3:PutObjectAcl", rq.b, resource, nil); err != nil {
			return err
		}
		if acl != "bucket-owner-full-control" {
			return s3Error(accessControlNotUsed)
		}
	}
	if h.Get("X-Amz-Tagging") != "" {
		if err := s.allow(rq, "s3:PutObjectTagging", rq.b, resource, s3RequestTags); err != nil {
			return err
		}
	}
	return s.checkIfMatch(rq)
}

// checkIfMatch asks for the right to read where the answer depends on what is
// there (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
func (s *s3) checkIfMatch(rq *s3Request) error {
	for _, name := range []string{"If-Match", "X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if rq.header.Get(name) != "" {
			return s.allow(rq, "s3:GetObject", rq.b, rq.resource(), s3ExistingTags)
		}
	}
	return nil
}

func (s *s3) putObject(w http.ResponseWriter, rq *s3Request) error {
	if err := s.checkNewObject(rq); err != nil {
		return err
	}
	body, err := rq.readBody(maxS3Put)
	if err != nil {
		return err
	}
	return s.passBody(w, rq, body)
}

func (s *s3) deleteObject(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.checkVersion(); err != nil {
		return err
	}
	if err := s.checkIfMatch(rq); err != nil {
		return err
	}
	return s.pass(w, rq)
}

func (s *s3) createUpload(w http.ResponseWriter, rq *s3Request) error {
	if err := s.checkNewObject(rq); err != nil {
		return err
	}
	return s.pass(w, rq)
}

// maxS3Part is the highest number of a part.
const maxS3Part = gofakes3.MaxUploadPartNumber

// checkPart checks the number of a part.
func (rq *s3Request) checkPart() error {
	if n, err := strconv.Atoi(rq.params["partNumber"]); err != nil || n < 1 || n > maxS3Part {
		return s3Says(invalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return nil
}

func (s *s3) uploadPart(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.checkPart(); err != nil {
		return err
	}
	body, err := rq.readBody(maxS3Put)
	if err != nil {
		return err
	}
	for name := range s3Digests { // which the library does not send back
		if value := rq.header.Get(name); value != "" && name != "Content-Md5" {
			w.Header().Set(name, value)
		}
	}
	return s.passBody(w, rq, body)
}

func (s *s3) completeUpload(w http.ResponseWriter, rq *s3Request) error {
	if err := s.checkIfMatch(rq); err != nil {
		return err
	}
	// The checksum in the header is of the object and not of this body.
	sums := rq.header
	rq.header = sums.Clone()
	for name := range s3Digests {
		if name != "Content-Md5" {
			rq.header.Del(name)
		}
	}
	body, err := rq.readBody(maxS3XML)
	if err != nil {
		return err
	}
	return s.passBody(w, rq, body)
}
