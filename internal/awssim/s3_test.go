package awssim

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/identity"
)

const (
	s3Home  = "111122223333"
	s3Other = "444455556666"
)

// allowing writes an identity policy; "-s3:X" denies.
func allowing(rules ...string) string {
	var statements []string
	for _, rule := range rules {
		action, resource, _ := strings.Cut(rule, " ")
		effect := "Allow"
		if rest, deny := strings.CutPrefix(action, "-"); deny {
			effect, action = "Deny", rest
		}
		statements = append(statements, `{"Effect":"`+effect+`","Action":"`+action+`","Resource":"`+resource+`"}`)
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// granting writes a bucket policy.
func granting(effect, principal, action string, resources ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"` + action +
		`","Resource":["` + strings.Join(resources, `","`) + `"]}]}`
}

// s3World is a server with users by name, each with the policy given: names
// that begin with "other" are of the other account.
type s3World struct {
	t      *testing.T
	sim    *Sim
	server *httptest.Server
}

// newS3World starts a world. Each account has an admin.
func newS3World(t *testing.T, users map[string]string, change func(*Config)) *s3World {
	t.Helper()
	home, other := Account{ID: s3Home, Name: "home"}, Account{ID: s3Other, Name: "other"}
	add := func(name, text string) {
		u := User{Name: name, AccessKeys: []AccessKey{{ID: s3Key(name), Secret: identity.Secret("secret of " + name)}}}
		if text != "" {
			u.InlinePolicies = map[string]string{"p": text}
		}
		if strings.HasPrefix(name, "other") {
			other.Users = append(other.Users, u)
		} else {
			home.Users = append(home.Users, u)
		}
	}
	add("admin", allowing("* *"))
	add("other-admin", allowing("* *"))
	for name, text := range users {
		add(name, text)
	}
	config := Config{World: World{Accounts: []Account{home, other}}}
	if change != nil {
		change(&config)
	}
	sim, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return &s3World{t, sim, server}
}

func s3Key(name string) string {
	return "AKIA" + strings.ToUpper(strings.ReplaceAll(name, "-", "")) + strings.Repeat("0", 16-len(strings.ReplaceAll(name, "-", "")))
}

func (w *s3World) credentials(name string) aws.CredentialsProvider {
	if name == "" {
		return aws.AnonymousCredentials{}
	}
	return credentials.NewStaticCredentialsProvider(s3Key(name), "secret of "+name, "")
}

// as returns the official client with its default settings; "" is anonymous.
func (w *s3World) as(name string, options ...func(*awss3.Options)) *awss3.Client {
	return awss3.New(awss3.Options{
		Region: "us-west-2", BaseEndpoint: &w.server.URL, Credentials: w.credentials(name), RetryMaxAttempts: 3,
	}, options...)
}

// bucket makes a bucket with objects, and a policy unless that is "".
func (w *s3World) bucket(admin, name, policy string, keys ...string) {
	w.t.Helper()
	c := w.as(admin)
	_, err := c.CreateBucket(w.t.Context(), &awss3.CreateBucketInput{
		Bucket: &name, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "us-west-2"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		w.put(c, name, key, "content of "+key)
	}
	if policy == "" {
		return
	}
	if _, err := c.PutBucketPolicy(w.t.Context(), &awss3.PutBucketPolicyInput{Bucket: &name, Policy: &policy}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *s3World) put(c *awss3.Client, bucket, key, content string) {
	w.t.Helper()
	if _, err := c.PutObject(w.t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content)}); err != nil {
		w.t.Fatalf("put %s: %v", key, err)
	}
}

// get returns an object's content, or the error's code.
func (w *s3World) get(c *awss3.Client, bucket, key string) string {
	out, err := c.GetObject(w.t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return codeOf(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// codeOf returns an error's code, "" if there is none.
func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if got := codeOf(err); got != code {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, code)
	}
}

func TestS3EverydayUse(t *testing.T) {
	w := newS3World(t, nil, nil)
	ctx, c := t.Context(), w.as("admin")
	w.bucket("admin", "things", "")

	head, err := c.HeadBucket(ctx, &awss3.HeadBucketInput{Bucket: aws.String("things")})
	if err != nil || *head.BucketRegion != "us-west-2" {
		t.Errorf("HeadBucket: %v, %v", head, err)
	}
	location, err := c.GetBucketLocation(ctx, &awss3.GetBucketLocationInput{Bucket: aws.String("things")})
	if err != nil || location.LocationConstraint != "us-west-2" {
		t.Errorf("GetBucketLocation: %v, %v", location, err)
	}
	put, err := c.PutObject(ctx, &awss3.PutObjectInput{
		Bucket: aws.String("things"), Key: aws.String("a/b.txt"), Body: strings.NewReader("0123456789"), ContentType: aws.String("text/plain"),
		Metadata: map[string]string{"colour": "blue"}, IfNoneMatch: aws.String("*"), Tagging: aws.String("team=a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("things"), Key: aws.String("a/b.txt"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
	wantCode(t, "second conditional put", err, "PreconditionFailed")

	got, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("things"), Key: aws.String("a/b.txt"), Range: aws.String("bytes=2-4")})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(got.Body)
	if string(body) != "234" || *got.ContentRange != "bytes 2-4/10" || *got.ContentType != "text/plain" || got.Metadata["colour"] != "blue" || *got.ETag != *put.ETag {
		t.Errorf("range: %q %+v", body, got)
	}
	_, err = c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("things"), Key: aws.String("a/b.txt"), IfNoneMatch: put.ETag})
	if e, ok := errors.AsType[*awshttp.ResponseError](err); !ok || e.HTTPStatusCode() != http.StatusNotModified {
		t.Errorf("If-None-Match: %v", err)
	}
	_, err = c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("things"), Key: aws.String("a/b.txt"), Range: aws.String("bytes=100-")})
	wantCode(t, "range beyond the end", err, "InvalidRange")
	_, err = c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: aws.String("things"), Key: aws.String("none")})
	wantCode(t, "head of nothing", err, "NotFound")
	tags, err := c.GetObjectTagging(ctx, &awss3.GetObjectTaggingInput{Bucket: aws.String("things"), Key: aws.String("a/b.txt")})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "a" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	_, err = c.PutObjectTagging(ctx, &awss3.PutObjectTaggingInput{Bucket: aws.String("things"), Key: aws.String("a/b.txt"),
		Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("team"), Value: aws.String("b & c")}}}})
	wantCode(t, "tag", err, "")

	_, err = c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: aws.String("things"), Key: aws.String("copy of + %"), CopySource: aws.String("things/a/b.txt")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: aws.String("things"), Key: aws.String("again"), CopySource: aws.String("/things/copy%20of%20%2B%20%25")})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.get(c, "things", "again"); got != "0123456789" {
		t.Errorf("copy: %q", got)
	}
	_, err = c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: aws.String("things")})
	wantCode(t, "delete of a full bucket", err, "BucketNotEmpty")
	var names []types.ObjectIdentifier
	listed, err := c.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: aws.String("things")})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range listed.Contents {
		names = append(names, types.ObjectIdentifier{Key: o.Key})
	}
	deleted, err := c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: aws.String("things"), Delete: &types.Delete{Objects: names}})
	if err != nil || len(deleted.Deleted) != 3 || len(deleted.Errors) != 0 {
		t.Errorf("DeleteObjects: %+v, %v", deleted, err)
	}
	if _, err := c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: aws.String("things")}); err != nil {
		t.Error(err)
	}
	_, err = c.ListObjects(ctx, &awss3.ListObjectsInput{Bucket: aws.String("things")})
	wantCode(t, "list of nothing", err, "NoSuchBucket")
}

func TestS3ListsInPages(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "pages", "", "a", "b/1", "b/2", "c", "d/1", "e")
	c := w.as("admin")
	var got []string
	p := awss3.NewListObjectsV2Paginator(c, &awss3.ListObjectsV2Input{Bucket: aws.String("pages"), Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)})
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
		for _, o := range page.CommonPrefixes {
			got = append(got, *o.Prefix)
		}
	}
	slices.Sort(got)
	if want := []string{"a", "b/", "c", "d/", "e"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	all, err := c.ListObjects(t.Context(), &awss3.ListObjectsInput{Bucket: aws.String("pages"), Marker: aws.String("b/1"), MaxKeys: aws.Int32(2)})
	if err != nil || len(all.Contents) != 2 || *all.Contents[0].Key != "b/2" || !*all.IsTruncated {
		t.Errorf("V1: %+v, %v", all, err)
	}
	versions, err := c.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: aws.String("pages"), Prefix: aws.String("b/")})
	if err != nil || len(versions.Versions) != 2 || *versions.Versions[0].VersionId != "null" {
		t.Errorf("versions: %+v, %v", versions, err)
	}
}

func TestS3Multipart(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "parts", "", "source")
	ctx, c := t.Context(), w.as("admin")
	bucket, key := aws.String("parts"), aws.String("big")
	begin := func() *string {
		up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ContentType: aws.String("text/x"), Metadata: map[string]string{"a": "b"}})
		if err != nil {
			t.Fatal(err)
		}
		return up.UploadId
	}
	upload := func(id *string, n int32, body []byte) types.CompletedPart {
		out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: bucket, Key: key, UploadId: id, PartNumber: &n, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		return types.CompletedPart{ETag: out.ETag, PartNumber: &n, ChecksumCRC32: out.ChecksumCRC32}
	}
	complete := func(id *string, parts ...types.CompletedPart) error {
		_, err := c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
		return err
	}
	big := make([]byte, minS3Part)
	rand.Read(big)

	id := begin()
	first, last := upload(id, 1, big), upload(id, 2, []byte("end"))
	copied, err := c.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{
		Bucket: bucket, Key: key, UploadId: id, PartNumber: aws.Int32(3), CopySource: aws.String("parts/source"), CopySourceRange: aws.String("bytes=0-6"),
	})
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: bucket})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != "big" {
		t.Errorf("uploads: %+v, %v", uploads, err)
	}
	parts, err := c.ListParts(ctx, &awss3.ListPartsInput{Bucket: bucket, Key: key, UploadId: id})
	if err != nil || len(parts.Parts) != 3 {
		t.Errorf("parts: %+v, %v", parts, err)
	}
	wantCode(t, "out of order", complete(id, last, first), "InvalidPartOrder")
	wantCode(t, "a small part in front", complete(id, last, types.CompletedPart{PartNumber: aws.Int32(3), ETag: copied.CopyPartResult.ETag}), "EntityTooSmall")
	wantCode(t, "another part", complete(id, types.CompletedPart{PartNumber: aws.Int32(7), ETag: first.ETag}), "InvalidPart")
	wantCode(t, "complete", complete(id, first, last), "")
	if got := w.get(c, "parts", "big"); got != string(big)+"end" {
		t.Errorf("got %d bytes", len(got))
	}
	head, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil || *head.ContentType != "text/x" || head.Metadata["a"] != "b" {
		t.Errorf("head: %+v, %v", head, err)
	}

	id = begin()
	upload(id, 1, big)
	_, err = c.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: id})
	wantCode(t, "abort", err, "")
	wantCode(t, "complete after abort", complete(id, first), "NoSuchUpload")
	uploads, err = c.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: bucket})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("uploads: %+v, %v", uploads, err)
	}
}

func TestS3PresignedURLs(t *testing.T) {
	now := time.Now()
	w := newS3World(t, map[string]string{"nobody": ""}, func(c *Config) { c.Now = func() time.Time { return now } })
	w.bucket("admin", "signed", "", "doc")
	ask := func(method, url, body string) (int, string) {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	get := &awss3.GetObjectInput{Bucket: aws.String("signed"), Key: aws.String("doc"), ResponseContentType: aws.String("text/html")}
	url := func(name string) string {
		p, err := awss3.NewPresignClient(w.as(name)).PresignGetObject(context.Background(), get)
		if err != nil {
			t.Fatal(err)
		}
		return p.URL
	}
	if status, body := ask("GET", url("admin"), ""); status != 200 || body != "content of doc" {
		t.Errorf("get: %d %s", status, body)
	}
	if status, body := ask("GET", url("nobody"), ""); status != 403 || !strings.Contains(body, "AccessDenied") {
		t.Errorf("nobody's get: %d %s", status, body)
	}
	if status, body := ask("DELETE", url("admin"), ""); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("delete by the URL of a get: %d %s", status, body)
	}
	if status, _ := ask("GET", strings.Replace(url("admin"), "/doc?", "/other?", 1), ""); status != 403 {
		t.Errorf("another key by the same URL: %d", status)
	}
	put, err := awss3.NewPresignClient(w.as("admin")).PresignPutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("signed"), Key: aws.String("new")})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := ask("PUT", put.URL, "by URL"); status != 200 {
		t.Errorf("put: %d %s", status, body)
	}
	if got := w.get(w.as("admin"), "signed", "new"); got != "by URL" {
		t.Errorf("after put: %q", got)
	}
	old := url("admin")
	now = now.Add(16 * time.Minute)
	if status, body := ask("GET", old, ""); status != 403 || !strings.Contains(body, "Request has expired") {
		t.Errorf("expired: %d %s", status, body)
	}
}

// TestS3OneOfManyConditionalPutsWins: the condition and the write are one step.
func TestS3OneOfManyConditionalPutsWins(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "race", "")
	c := w.as("admin")
	var won atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("race"), Key: aws.String("lock"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
			if err == nil {
				won.Add(1)
			} else {
				wantCode(t, "loser", err, "PreconditionFailed")
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}
