package awssim

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rclone/gofakes3"
)

// heldStorage is a Storage in memory that can be given to one Sim after
// another, and made to fail.
type heldStorage struct {
	held map[[2]string]string
	fail bool
}

func (h *heldStorage) Load(each func(kind, key string, value []byte) error) error {
	for id, value := range h.held {
		if err := each(id[0], id[1], []byte(value)); err != nil {
			return err
		}
	}
	return nil
}

func (h *heldStorage) Commit(batch []Change) error {
	if h.fail {
		return errors.New("the disk is full")
	}
	if h.held == nil {
		h.held = map[[2]string]string{}
	}
	for _, c := range batch {
		if c.Value == nil {
			delete(h.held, [2]string{c.Kind, c.Key})
		} else {
			h.held[[2]string{c.Kind, c.Key}] = string(c.Value)
		}
	}
	return nil
}

func TestS3OnDiskSurvivesARestart(t *testing.T) {
	storage, dir := &heldStorage{}, t.TempDir()
	start := func() *s3World {
		return newS3World(t, nil, func(c *Config) {
			c.Storage, c.S3Dir = storage, dir
			c.World.Accounts[0].Buckets = []Bucket{{Name: "seeded", Objects: map[string]string{"hello": "world", "gone": "x"}}}
		})
	}
	w := start()
	ctx, c := t.Context(), w.as("admin")
	w.bucket("admin", "kept", "", "a", "../../escape", "deleted")
	if _, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("kept"), Key: aws.String("meta"), Body: strings.NewReader("m"),
		ContentType: aws.String("text/x"), Metadata: map[string]string{"k": "v"}, Tagging: aws.String("t=1")}); err != nil {
		t.Fatal(err)
	}
	for bucket, key := range map[string]string{"kept": "deleted", "seeded": "gone"} {
		if _, err := c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: aws.String("kept"), Key: aws.String("meta")})
	if err != nil {
		t.Fatal(err)
	}
	// What a crash may leave behind.
	stray := filepath.Join(dir, "buckets", "kept", unfinished+"1")
	for _, path := range []string{stray, filepath.Join(dir, "buckets", "no-longer", "x")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("half"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}

	w = start()
	c = w.as("admin")
	for _, want := range [][3]string{
		{"kept", "a", "content of a"}, {"kept", "../../escape", "content of ../../escape"}, {"kept", "meta", "m"}, {"seeded", "hello", "world"},
		{"kept", "deleted", "NoSuchKey"}, {"seeded", "gone", "NoSuchKey"},
	} {
		if got := w.get(c, want[0], want[1]); got != want[2] {
			t.Errorf("%s/%s: got %q, want %q", want[0], want[1], got, want[2])
		}
	}
	after, err := c.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: aws.String("kept"), Key: aws.String("meta")})
	if err != nil || *after.ContentType != "text/x" || after.Metadata["k"] != "v" || !after.LastModified.Equal(*before.LastModified) || *after.ETag != *before.ETag {
		t.Errorf("after: %+v, %v", after, err)
	}
	for _, path := range []string{stray, filepath.Join(dir, "buckets", "no-longer")} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

func TestS3DamagedFilesAreNotServed(t *testing.T) {
	storage, dir := &heldStorage{}, t.TempDir()
	change := func(c *Config) { c.Storage, c.S3Dir = storage, dir }
	w := newS3World(t, nil, change)
	w.bucket("admin", "kept", "", "a")
	file := filepath.Join(dir, "buckets", "kept", objectFile("a"))
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content[:len(content)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	config := Config{Storage: storage, S3Dir: dir}
	if _, err := New(config); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

// TestS3BucketsFollowTheState: what the storage did not take has not happened.
func TestS3BucketsFollowTheState(t *testing.T) {
	storage := &heldStorage{}
	w := newS3World(t, nil, func(c *Config) { c.Storage, c.S3Dir = storage, t.TempDir() })
	w.bucket("admin", "kept", "")
	storage.fail = true
	_, err := w.as("admin").DeleteBucket(t.Context(), &awss3.DeleteBucketInput{Bucket: aws.String("kept")})
	wantCode(t, "delete", err, "InternalFailure")
	storage.fail = false
	w.put(w.as("admin"), "kept", "a", "still here")
	storage.fail = true
	_, err = w.as("admin", func(o *awss3.Options) { o.Region = "us-east-1" }).CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("new")})
	wantCode(t, "create", err, "InternalFailure")
	storage.fail = false
	w.bucket("admin", "new", "", "a")
}

func TestS3ListPage(t *testing.T) {
	keys := []string{"/home/hidden", "a", "home", "home/", "home/a", "home/b/1", "home/b/2", "home/c", "home//d", "homely", "zoo"}
	slices.Sort(keys)
	for _, test := range []struct {
		prefix, delimiter, marker string
		limit                     int64
		want, next                string
	}{
		{"", "", "", 0, strings.Join(keys, " "), ""},
		{"home/", "/", "", 0, "home/ home/a home/c home// home/b/", ""},
		{"home", "/", "", 0, "home homely home/", ""},
		{"/home/", "/", "", 0, "/home/hidden", ""},
		{"", "/", "", 2, "a /", "a"},
		{"", "/", "a", 2, "home home/", "home/"},
		{"", "/", "home/", 2, "homely zoo", ""},
		{"home/", "/", "home/b/", 0, "home/c", ""},
		{"home/", "/", "home/b/1", 0, "home/c home/b/", ""},
		{"", "me", "", 0, "a zoo /home home", ""},
		{"none", "/", "", 0, "", ""},
		{"", "", "home/b/2", 1, "home/c", "home/c"},
	} {
		var all []*gofakes3.Content
		for _, key := range keys {
			all = append(all, &gofakes3.Content{Key: key})
		}
		list := listPage(all, test.prefix, test.delimiter, test.marker, test.limit)
		var got []string
		for _, c := range list.Contents {
			got = append(got, c.Key)
		}
		for _, c := range list.CommonPrefixes {
			got = append(got, c.Prefix)
		}
		if strings.Join(got, " ") != test.want || list.NextMarker != test.next || list.IsTruncated != (test.next != "") {
			t.Errorf("%+v: got %q, next %q", test, got, list.NextMarker)
		}
	}
}

// TestS3OperationsAreApart: no request may mean two operations.
func TestS3OperationsAreApart(t *testing.T) {
	for i := range s3Operations {
		op := &s3Operations[i]
		if op.action == "" && op.name != "DeleteObjects" {
			t.Errorf("%s asks for nothing", op.name)
		}
		// The least request that means op, and the fullest.
		for _, params := range [][]string{nil, op.params} {
			rq := &s3Request{method: op.method, level: op.level, params: map[string]string{}, header: map[string][]string{}}
			if op.by != "" {
				rq.params[op.by] = "x"
			}
			for _, name := range params {
				rq.params[name] = "x"
			}
			if op.copies {
				rq.header.Set("X-Amz-Copy-Source", "x")
			}
			for j := range s3Operations {
				if other := &s3Operations[j]; other.takes(rq) != (i == j) {
					t.Errorf("%s and %s: %v", op.name, other.name, rq.params)
				}
			}
		}
	}
}

// FuzzS3Path: whatever is judged as the resource is what the library would
// find in the request made from it.
func FuzzS3Path(f *testing.F) {
	for _, seed := range [][2]string{
		{"127.0.0.1:7300", "/bucket/key"}, {"bucket.localhost", "/key"}, {"localhost", "//a"}, {"a.b.localhost:1", "/../x"}, {"[::1]:80", "/b//k/"}, {"x", "/b/"}, {".localhost", "/"},
		{"a.b.s3.us-west-2.amazonaws.com", "/k"}, {".s3.amazonaws.com", "/b"}, {"a.s3.s3-a.amazonaws.com", "/b/k"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		rq := &s3Request{}
		if err := rq.parsePath(host, path); err != nil || rq.level == s3Service || strings.Contains(rq.bucket, "/") {
			return
		}
		// As gofakes3 takes a path apart.
		bucket, key, _ := strings.Cut(strings.TrimLeft("/"+rq.bucket+"/"+rq.key, "/"), "/")
		if bucket != rq.bucket || key != rq.key {
			t.Errorf("%q of %q is judged as %q and %q, and served as %q and %q", path, host, rq.bucket, rq.key, bucket, key)
		}
		if (rq.level == s3Object) != (key != "") {
			t.Errorf("%q has the level %d", path, rq.level)
		}
	})
}

func FuzzS3CopySource(f *testing.F) {
	for _, seed := range []string{"b/k", "/b/k", "b%2fk", "b/a+b", "b/%", "b/k?versionId=1", "//k", "b/../c/k", "%2fb/k", "b/%3fversionId=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		bucket, key, err := parseCopySource(source)
		if err != nil {
			return
		}
		if bucket == "" || key == "" || strings.Contains(bucket, "/") || !utf8.ValidString(key) {
			t.Errorf("%q became %q and %q", source, bucket, key)
		}
		// As gofakes3 reads what it is given in its place.
		again := "/" + bucket + "/" + url.QueryEscape(key)
		theirBucket, rest, _ := strings.Cut(strings.TrimPrefix(again, "/"), "/")
		rest, _, _ = strings.Cut(rest, "?")
		theirKey, err := url.QueryUnescape(rest)
		if err != nil || theirBucket != bucket || theirKey != key {
			t.Errorf("%q is judged as %q and %q, and read as %q and %q", source, bucket, key, theirBucket, theirKey)
		}
	})
}

func FuzzS3PolicyResources(f *testing.F) {
	f.Add(granting("Allow", `"*"`, "s3:*", "arn:aws:s3:::b", "arn:aws:s3:::b/*"))
	f.Add(`{"Statement":{"Resource":"arn:aws:s3:::bc"}}`)
	f.Add(`{"Statement":[{"NotResource":["x"]}]}`)
	f.Add(`{"Statement":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		if checkBucketResources(text, "b") == nil && !json.Valid([]byte(text)) {
			t.Errorf("%q passes", text)
		}
	})
}

func FuzzS3ObjectFile(f *testing.F) {
	dir := f.TempDir()
	if err := writeObject(dir, storedObject{Key: "k"}, []byte("body")); err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, objectFile("k")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte("{}\n"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, body, err := readObject(path); err == nil && !bytes.HasSuffix(content, body) {
			t.Errorf("%q is not in %q", body, content)
		}
	})
}
