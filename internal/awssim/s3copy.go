package awssim

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/rclone/gofakes3"

	"github.com/podid/podid/internal/policy"
)

// s3CopyKeys are the condition keys of copies. The source is there as it was
// understood, decoded and without a leading slash.
func s3CopyKeys(s *s3, rq *s3Request, keys policy.Context) error {
	bucket, key, err := parseCopySource(rq.header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return err
	}
	keys.Set("s3:x-amz-copy-source", bucket+"/"+key)
	return s3RequestTags(s, rq, keys)
}

// parseCopySource reads x-amz-copy-source: bucket and key, URL-encoded, after
// an optional slash. As in a query, + is a space.
func parseCopySource(source string) (bucket, key string, err error) {
	bad := s3Says(invalidArgument, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	if strings.Contains(source, "?") {
		return "", "", s3Error(notImplemented) // ?versionId=
	}
	decoded, err := url.QueryUnescape(source)
	if err != nil || !utf8.ValidString(decoded) {
		return "", "", bad
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(decoded, "/"), "/")
	if bucket == "" || key == "" || len(key) > maxS3Key {
		return "", "", bad
	}
	return bucket, key, nil
}

// copySource authorizes reading what a copy is made from, and puts it into the
// request in the one form that can't be read in two ways.
func (s *s3) copySource(rq *s3Request) (object gofakes3.Object, err error) {
	bucket, key, err := parseCopySource(rq.header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return object, err
	}
	source, err := s.bucket(bucket, rq.header.Get("X-Amz-Source-Expected-Bucket-Owner"))
	if err != nil {
		return object, err
	}
	tags := func(_ *s3, rq *s3Request, keys policy.Context) error {
		return s.existingTags(source, bucket, key, rq, keys)
	}
	resource := objectARN(bucket, key)
	if err := s.allow(rq, "s3:GetObject", source, resource, tags); err != nil {
		return object, err
	}
	rq.ctx = withGrant(rq.ctx, grant{bucket: rq.b, source: source})
	object, exists, err := s.objects.stat(rq.ctx, bucket, key)
	if err != nil {
		return object, libraryError(err)
	}
	if !exists {
		return object, s.missing(rq, source, key)
	}
	rq.header.Set("X-Amz-Copy-Source", "/"+bucket+"/"+url.QueryEscape(key))

	tagged := object.Metadata[gofakes3.TaggingMetadataKey] != ""
	if tagged && rq.level == s3Object && rq.params["uploadId"] == "" && rq.header.Get("X-Amz-Tagging-Directive") != "REPLACE" {
		if err := s.allow(rq, "s3:GetObjectTagging", source, resource, tags); err != nil {
			return object, err
		}
		carried := func(_ *s3, _ *s3Request, keys policy.Context) error {
			values, err := url.ParseQuery(object.Metadata[gofakes3.TaggingMetadataKey])
			setRequestTags(keys, values)
			return err
		}
		if err := s.allow(rq, "s3:PutObjectTagging", rq.b, rq.resource(), carried); err != nil {
			return object, err
		}
	}
	return object, nil
}

func (s *s3) copyObject(w http.ResponseWriter, rq *s3Request) error {
	if rq.header.Get("If-Match") != "" || rq.header.Get("If-None-Match") != "" {
		return s3Error(notImplemented) // the library would not look at them
	}
	if err := s.checkNewObject(rq); err != nil {
		return err
	}
	if _, err := s.copySource(rq); err != nil {
		return err
	}
	return s.pass(w, rq)
}

func (s *s3) copyPart(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.checkPart(); err != nil {
		return err
	}
	object, err := s.copySource(rq)
	if err != nil {
		return err
	}
	if object.Size > maxS3Put && rq.header.Get("X-Amz-Copy-Source-Range") == "" {
		return s3Error(entityTooLarge)
	}
	return s.pass(w, rq)
}
