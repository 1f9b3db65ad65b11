package awssim

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const objectsOfB = "arn:aws:s3:::bucket-b/*"

// TestS3WhoMayRead is the matrix of identity policy and bucket policy.
func TestS3WhoMayRead(t *testing.T) {
	const (
		mine  = `{"AWS":"arn:aws:iam::111122223333:user/reader"}`
		yours = `{"AWS":"arn:aws:iam::444455556666:user/other-reader"}`
		root  = `{"AWS":"arn:aws:iam::444455556666:root"}`
		all   = `"*"`
	)
	yes, no := allowing("s3:GetObject "+objectsOfB), allowing("-s3:GetObject "+objectsOfB, "s3:* *")
	give := func(principal string) string { return granting("Allow", principal, "s3:GetObject", objectsOfB) }
	refuse := func(principal string) string { return granting("Deny", principal, "s3:GetObject", objectsOfB) }
	const denied, got = "AccessDenied", "content of key"
	for _, test := range []struct{ name, who, identity, bucket, want string }{
		{"same account, neither", "reader", "", "", denied},
		{"same account, identity", "reader", yes, "", got},
		{"same account, bucket", "reader", "", give(mine), got},
		{"same account, both", "reader", yes, give(mine), got},
		{"same account, identity denies", "reader", no, give(mine), denied},
		{"same account, bucket denies", "reader", yes, refuse(mine), denied},
		{"same account, bucket gives to another", "reader", "", give(yours), denied},
		{"other account, neither", "other-reader", "", "", denied},
		{"other account, identity", "other-reader", yes, "", denied},
		{"other account, bucket", "other-reader", "", give(yours), denied},
		{"other account, both", "other-reader", yes, give(yours), got},
		{"other account, both, by account", "other-reader", yes, give(root), got},
		{"other account, everybody", "other-reader", yes, give(all), got},
		{"other account, everybody, no identity", "other-reader", "", give(all), denied},
		{"other account, identity denies", "other-reader", no, give(yours), denied},
		{"other account, bucket denies", "other-reader", yes, refuse(all), denied},
		{"anonymous, neither", "", "", "", denied},
		{"anonymous, everybody", "", "", give(all), got},
		{"anonymous, one account", "", "", give(root), denied},
		{"anonymous, everybody denied", "", "", refuse(all), denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			users := map[string]string{"reader": "", "other-reader": ""}
			if test.who != "" {
				users[test.who] = test.identity
			}
			w := newS3World(t, users, nil)
			w.bucket("admin", "bucket-b", test.bucket, "key")
			if got := w.get(w.as(test.who), "bucket-b", "key"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestS3TellsWhyWithinTheAccountOnly(t *testing.T) {
	w := newS3World(t, map[string]string{"reader": "", "other-reader": allowing("s3:* *")}, nil)
	w.bucket("admin", "bucket-b", "", "key")
	get := &awss3.GetObjectInput{Bucket: aws.String("bucket-b"), Key: aws.String("key")}
	_, err := w.as("reader").GetObject(t.Context(), get)
	const want = `User: arn:aws:iam::111122223333:user/reader is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::bucket-b/key" because no identity-based policy allows the s3:GetObject action`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("same account: %v", err)
	}
	_, err = w.as("other-reader").GetObject(t.Context(), get)
	if err == nil || !strings.HasSuffix(err.Error(), "AccessDenied: Access Denied") {
		t.Errorf("other account: %v", err)
	}
}

func TestS3MissingKeysAreKnownToThoseWhoMayList(t *testing.T) {
	w := newS3World(t, map[string]string{
		"getter": allowing("s3:GetObject *"), "lister": allowing("s3:GetObject *", "s3:ListBucket arn:aws:s3:::bucket-b"),
	}, nil)
	w.bucket("admin", "bucket-b", "", "key")
	for who, want := range map[string]struct{ get, head string }{"getter": {"AccessDenied", "Forbidden"}, "lister": {"NoSuchKey", "NotFound"}} {
		if got := w.get(w.as(who), "bucket-b", "none"); got != want.get {
			t.Errorf("%s gets: %s, want %s", who, got, want.get)
		}
		_, err := w.as(who).HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("bucket-b"), Key: aws.String("none")})
		wantCode(t, who+" heads", err, want.head)
		_, err = w.as("admin").HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("bucket-b"), Key: aws.String("key")})
		wantCode(t, "head of what is there", err, "")
	}
	if got := w.get(w.as("getter"), "no-such-bucket", "none"); got != "NoSuchBucket" {
		t.Errorf("no bucket: %s", got)
	}
}

func TestS3SessionPolicyLimits(t *testing.T) {
	w := newS3World(t, nil, func(c *Config) {
		c.World.Accounts[1].Roles = []Role{{
			Name:           "target",
			TrustPolicy:    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}]}`,
			InlinePolicies: map[string]string{"p": allowing("s3:* *")},
		}}
	})
	w.bucket("other-admin", "bucket-b", "", "pods/a", "pods/b")
	session := func(sessionPolicy string) *awss3.Client {
		in := &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::444455556666:role/target"), RoleSessionName: aws.String("session")}
		if sessionPolicy != "" {
			in.Policy = &sessionPolicy
		}
		out, err := sts.New(sts.Options{Region: "us-west-2", BaseEndpoint: &w.server.URL, Credentials: w.credentials("admin")}).AssumeRole(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		c := out.Credentials
		return w.as("admin", func(o *awss3.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		})
	}
	free, narrow := session(""), session(allowing("s3:GetObject arn:aws:s3:::bucket-b/pods/a"))
	for _, test := range []struct {
		name string
		c    *awss3.Client
		key  string
		want string
	}{
		{"the role", free, "pods/b", "content of pods/b"},
		{"what the session policy has", narrow, "pods/a", "content of pods/a"},
		{"what it has not", narrow, "pods/b", "AccessDenied"},
	} {
		if got := w.get(test.c, "bucket-b", test.key); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	_, err := narrow.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("bucket-b"), Key: aws.String("pods/a"), Body: strings.NewReader("x")})
	wantCode(t, "put", err, "AccessDenied")
}

func TestS3CopyReadsItsSource(t *testing.T) {
	w := newS3World(t, map[string]string{
		"writer":       allowing("s3:PutObject arn:aws:s3:::bucket-b/*"),
		"reader":       allowing("s3:PutObject arn:aws:s3:::bucket-b/*", "s3:GetObject arn:aws:s3:::bucket-b/open/*"),
		"other-reader": allowing("s3:* *"),
	}, nil)
	w.bucket("admin", "bucket-b", "", "open/a", "secret/a", "open/plus+sign")
	w.bucket("other-admin", "bucket-o", "", "a")
	admin := w.as("admin")
	_, err := admin.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("bucket-b"), Key: aws.String("open/tagged"), Body: strings.NewReader("x"), Tagging: aws.String("a=b")})
	wantCode(t, "put with tags", err, "")
	for _, test := range []struct{ who, source, to, want string }{
		{"writer", "bucket-b/open/a", "bucket-b", "AccessDenied"},
		{"reader", "bucket-b/open/a", "bucket-b", ""},
		{"reader", "/bucket-b/open%2Fa", "bucket-b", ""},
		{"reader", "bucket-b%2Fopen%2Fa", "bucket-b", ""},
		{"reader", "bucket-b/secret/a", "bucket-b", "AccessDenied"},
		{"reader", "bucket-b/open/../secret/a", "bucket-b", "AccessDenied"}, // a key of its own, which is not there
		{"reader", "bucket-b/open%2F..%2Fsecret%2Fa", "bucket-b", "AccessDenied"},
		{"reader", "bucket-b/%73ecret/a", "bucket-b", "AccessDenied"},
		{"reader", "bucket-b/%2573ecret/a", "bucket-b", "AccessDenied"},
		{"reader", "bucket-b//secret/a", "bucket-b", "AccessDenied"},
		{"reader", "bucket-b/open/plus%2Bsign", "bucket-b", ""},
		{"reader", "bucket-b/open/tagged", "bucket-b", "AccessDenied"}, // its tags may not be read
		{"reader", "bucket-b/open/a?versionId=x", "bucket-b", "NotImplemented"},
		{"reader", "bucket-b", "bucket-b", "InvalidArgument"},
		{"reader", "bucket-b/", "bucket-b", "InvalidArgument"},
		{"reader", "none-such/a", "bucket-b", "NoSuchBucket"},
		{"reader", "bucket-o/a", "bucket-b", "AccessDenied"},
		{"other-reader", "bucket-b/open/a", "bucket-o", "AccessDenied"},
		{"admin", "bucket-o/a", "bucket-b", "AccessDenied"},
		{"admin", "bucket-b/open/tagged", "bucket-b", ""},
	} {
		_, err := w.as(test.who).CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: &test.to, Key: aws.String("copied"), CopySource: &test.source})
		wantCode(t, test.who+" copies "+test.source, err, test.want)
		up, err := w.as("admin").CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String("bucket-b"), Key: aws.String("copied")})
		if err != nil || test.to != "bucket-b" {
			continue
		}
		_, err = w.as(test.who).UploadPartCopy(t.Context(), &awss3.UploadPartCopyInput{
			Bucket: &test.to, Key: aws.String("copied"), CopySource: &test.source, UploadId: up.UploadId, PartNumber: aws.Int32(1)})
		if test.source == "bucket-b/open/tagged" {
			test.want = "" // a part has no tags
		}
		wantCode(t, test.who+" copies a part of "+test.source, err, test.want)
	}
}

func TestS3DeleteObjectsAsksKeyByKey(t *testing.T) {
	w := newS3World(t, map[string]string{"cleaner": allowing("s3:DeleteObject arn:aws:s3:::bucket-b/tmp/*")}, nil)
	w.bucket("admin", "bucket-b", "", "tmp/a", "keep", "tmp/b")
	id := func(key string) types.ObjectIdentifier { return types.ObjectIdentifier{Key: &key} }
	out, err := w.as("cleaner").DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("bucket-b"), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{id("tmp/a"), id("keep"), id("tmp/none"), id("tmp/../keep")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Deleted) != 3 || len(out.Errors) != 1 || *out.Errors[0].Key != "keep" || *out.Errors[0].Code != "AccessDenied" {
		t.Errorf("%+v", out)
	}
	if got := w.get(w.as("admin"), "bucket-b", "keep"); got != "content of keep" {
		t.Errorf("keep: %q", got)
	}
	out, err = w.as("admin").DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("bucket-b"), Delete: &types.Delete{
		Quiet: aws.Bool(true), Objects: []types.ObjectIdentifier{{Key: aws.String("keep"), VersionId: aws.String("null")}},
	}})
	if err != nil || len(out.Deleted)+len(out.Errors) != 0 {
		t.Errorf("quiet: %+v, %v", out, err)
	}
	_, err = w.as("admin").DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("bucket-b"), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("tmp/b"), ETag: aws.String("x")}},
	}})
	wantCode(t, "with a condition", err, "NotImplemented")
}

func TestS3Conditions(t *testing.T) {
	condition := func(action, operator, key, value string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"*","Condition":{"` + operator + `":{"` + key + `":"` + value + `"}}}]}`
	}
	w := newS3World(t, map[string]string{
		"home":   condition("s3:ListBucket", "StringLike", "s3:prefix", "home/*"),
		"red":    condition("s3:GetObject", "StringEquals", "s3:ExistingObjectTag/colour", "red"),
		"tagger": condition("s3:*", "StringEquals", "s3:RequestObjectTag/colour", "red"),
		"new":    condition("s3:PutObject", "Null", "s3:if-none-match", "false"),
		"mover":  strings.Replace(condition("s3:PutObject", "StringLike", "s3:x-amz-copy-source", "bucket-b/home/*"), `"Statement":[`, `"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"},`, 1),
	}, nil)
	w.bucket("admin", "bucket-b", "", "home/a", "/home/hidden", "plain")
	ctx, b := t.Context(), aws.String("bucket-b")

	list, err := w.as("home").ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: b, Prefix: aws.String("home/"), Delimiter: aws.String("/")})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != "home/a" || len(list.CommonPrefixes) != 0 {
		t.Errorf("home/ shows %+v, %v", list, err)
	}
	for _, prefix := range []*string{nil, aws.String(""), aws.String("/home/"), aws.String("home")} {
		_, err := w.as("home").ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: b, Prefix: prefix})
		wantCode(t, "list "+aws.ToString(prefix), err, "AccessDenied")
		_, err = w.as("home").ListObjects(ctx, &awss3.ListObjectsInput{Bucket: b, Prefix: prefix})
		wantCode(t, "list V1 "+aws.ToString(prefix), err, "AccessDenied")
	}
	put := func(who, key, tags string) error {
		in := &awss3.PutObjectInput{Bucket: b, Key: &key, Body: strings.NewReader("red things")}
		if tags != "" {
			in.Tagging = &tags
		}
		_, err := w.as(who).PutObject(ctx, in)
		return err
	}
	wantCode(t, "tagged red", put("tagger", "red", "colour=red"), "")
	wantCode(t, "tagged blue", put("tagger", "blue", "colour=blue"), "AccessDenied")
	wantCode(t, "not tagged", put("tagger", "none", ""), "AccessDenied")
	if got := w.get(w.as("red"), "bucket-b", "red"); got != "red things" {
		t.Errorf("red: %q", got)
	}
	if got := w.get(w.as("red"), "bucket-b", "plain"); got != "AccessDenied" {
		t.Errorf("plain: %q", got)
	}
	_, err = w.as("tagger").PutObjectTagging(ctx, &awss3.PutObjectTaggingInput{Bucket: b, Key: aws.String("plain"), Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("colour"), Value: aws.String("blue")}}}})
	wantCode(t, "tag blue", err, "AccessDenied")
	wantCode(t, "plain put", put("new", "plain2", ""), "AccessDenied")
	_, err = w.as("new").PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("plain2"), IfNoneMatch: aws.String("*")})
	wantCode(t, "put if new", err, "")
	for source, want := range map[string]string{"bucket-b/home/a": "", "/bucket-b/home%2fa": "", "bucket-b/plain": "AccessDenied", "bucket-b/%2fhome/hidden": "AccessDenied"} {
		_, err = w.as("mover").CopyObject(ctx, &awss3.CopyObjectInput{Bucket: b, Key: aws.String("moved"), CopySource: &source})
		wantCode(t, "copy "+source, err, want)
	}
}

func TestS3BucketsBelongToAccounts(t *testing.T) {
	w := newS3World(t, map[string]string{"lister": allowing("s3:ListAllMyBuckets arn:aws:s3:::*"), "nobody": ""}, nil)
	w.bucket("admin", "bucket-b", "")
	w.bucket("other-admin", "bucket-o", "")
	ctx := t.Context()
	names := func(who string) []string {
		out, err := w.as(who).ListBuckets(ctx, &awss3.ListBucketsInput{})
		if err != nil {
			return []string{codeOf(err)}
		}
		var names []string
		for _, b := range out.Buckets {
			names = append(names, *b.Name)
		}
		return names
	}
	for who, want := range map[string]string{"admin": "bucket-b", "lister": "bucket-b", "other-admin": "bucket-o", "nobody": "AccessDenied"} {
		if got := names(who); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", who, got, want)
		}
	}
	create := func(who, name, location string, options ...func(*awss3.Options)) error {
		in := &awss3.CreateBucketInput{Bucket: &name}
		if location != "" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(location)}
		}
		_, err := w.as(who, options...).CreateBucket(ctx, in)
		return err
	}
	east := func(o *awss3.Options) { o.Region = "us-east-1" }
	wantCode(t, "again", create("admin", "bucket-b", "us-west-2"), "BucketAlreadyOwnedByYou")
	wantCode(t, "another's", create("admin", "bucket-o", "us-west-2"), "BucketAlreadyExists")
	wantCode(t, "without a right", create("nobody", "bucket-n", "us-west-2"), "AccessDenied")
	wantCode(t, "anonymously", create("", "bucket-n", "us-west-2"), "AccessDenied")
	wantCode(t, "without a location", create("admin", "bucket-n", ""), "IllegalLocationConstraintException")
	wantCode(t, "elsewhere", create("admin", "bucket-n", "eu-west-1"), "IllegalLocationConstraintException")
	wantCode(t, "bad name", create("admin", "Bad_Name", "us-west-2"), "InvalidBucketName")
	wantCode(t, "an address", create("admin", "10.0.0.1", "us-west-2"), "InvalidBucketName")
	wantCode(t, "in us-east-1", create("admin", "bucket-e", "", east), "")
	location, err := w.as("admin").GetBucketLocation(ctx, &awss3.GetBucketLocationInput{Bucket: aws.String("bucket-e")})
	if err != nil || location.LocationConstraint != "" {
		t.Errorf("us-east-1: %+v, %v", location, err)
	}
	_, err = w.as("admin").DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: aws.String("bucket-o")})
	wantCode(t, "delete another's", err, "AccessDenied")
	_, err = w.as("admin").ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: aws.String("bucket-b"), ExpectedBucketOwner: aws.String(s3Other)})
	wantCode(t, "not the owner expected", err, "AccessDenied")
}

func TestS3BucketPolicies(t *testing.T) {
	w := newS3World(t, map[string]string{"other-writer": allowing("s3:* *"), "gone": ""}, nil)
	w.bucket("admin", "bucket-b", "")
	ctx, b := t.Context(), aws.String("bucket-b")
	put := func(who, text string) error {
		_, err := w.as(who).PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: b, Policy: &text})
		return err
	}
	get := func(who string) (string, error) {
		out, err := w.as(who).GetBucketPolicy(ctx, &awss3.GetBucketPolicyInput{Bucket: b})
		if err != nil {
			return "", err
		}
		return *out.Policy, nil
	}
	_, err := get("admin")
	wantCode(t, "none yet", err, "NoSuchBucketPolicy")
	everything := granting("Allow", `{"AWS":"arn:aws:iam::444455556666:user/other-writer"}`, "s3:*", "arn:aws:s3:::bucket-b", objectsOfB)
	wantCode(t, "put", put("admin", everything), "")
	if got, err := get("admin"); err != nil || got != everything {
		t.Errorf("got %s, %v", got, err)
	}
	_, err = get("other-writer")
	wantCode(t, "read by another account", err, "MethodNotAllowed")
	wantCode(t, "changed by another account", put("other-writer", everything), "MethodNotAllowed")
	for name, text := range map[string]string{
		"not JSON":               "nonsense",
		"another bucket":         granting("Allow", `"*"`, "s3:GetObject", "arn:aws:s3:::bucket-c/*"),
		"a longer name":          granting("Allow", `"*"`, "s3:GetObject", "arn:aws:s3:::bucket-bc/*"),
		"every resource":         granting("Allow", `"*"`, "s3:GetObject", "*"),
		"no principal":           allowing("s3:GetObject " + objectsOfB),
		"a principal not there":  granting("Allow", `{"AWS":"arn:aws:iam::444455556666:user/none"}`, "s3:GetObject", objectsOfB),
		"longer than 20 KiB":     granting("Allow", `"*"`, "s3:GetObject", objectsOfB+strings.Repeat("x", maxBucketPolicy)),
		"something after it all": everything + "x",
	} {
		wantCode(t, name, put("admin", text), "MalformedPolicy")
	}
	_, err = w.as("admin").DeleteBucketPolicy(ctx, &awss3.DeleteBucketPolicyInput{Bucket: b})
	wantCode(t, "delete", err, "")
	_, err = w.as("other-writer").ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: b})
	wantCode(t, "after delete", err, "AccessDenied")
}

// TestS3UploadsDoNotOutliveTheirBucket: neither another account's bucket of the
// same name nor another key gets at an upload.
func TestS3UploadsDoNotOutliveTheirBucket(t *testing.T) {
	w := newS3World(t, nil, nil)
	w.bucket("admin", "bucket-b", "")
	ctx, b := t.Context(), aws.String("bucket-b")
	up, err := w.as("admin").CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("secret")})
	if err != nil {
		t.Fatal(err)
	}
	part := &awss3.UploadPartInput{Bucket: b, Key: aws.String("secret"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")}
	if _, err := w.as("admin").UploadPart(ctx, part); err != nil {
		t.Fatal(err)
	}
	_, err = w.as("admin").ListParts(ctx, &awss3.ListPartsInput{Bucket: b, Key: aws.String("other"), UploadId: up.UploadId})
	wantCode(t, "by another key", err, "NoSuchUpload")
	if _, err := w.as("admin").DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	w.bucket("other-admin", "bucket-b", "")
	list, err := w.as("other-admin").ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: b})
	if err != nil || len(list.Uploads) != 0 {
		t.Errorf("uploads: %+v, %v", list, err)
	}
	_, err = w.as("other-admin").ListParts(ctx, &awss3.ListPartsInput{Bucket: b, Key: aws.String("secret"), UploadId: up.UploadId})
	wantCode(t, "by the next owner", err, "NoSuchUpload")
}
