package awssim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// s3Files keeps objects on disk: DIR/BUCKET/HASH, where HASH is of the key, so
// that no key can name a file of its choice. A file is put in place whole and
// when it is safe, so it is there as it was before a crash or as after.
type s3Files struct{ dir string }

// storedObject is the first line of a file, as JSON; the content follows.
type storedObject struct {
	Key      string
	Metadata map[string]string
	Modified time.Time
	SHA256   string // of the content
}

// unfinished begins the names of files and directories that are not in place
// yet. Neither a bucket nor a hash begins so.
const unfinished = ".unfinished-"

func (f *s3Files) bucketDir(bucket string) string { return filepath.Join(f.dir, bucket) }

func objectFile(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func (f *s3Files) createBucket(bucket string) error {
	if err := os.Mkdir(f.bucketDir(bucket), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("storing a bucket: %w", err)
	}
	return syncDir(f.dir)
}

func (f *s3Files) deleteBucket(bucket string) error {
	if err := os.RemoveAll(f.bucketDir(bucket)); err != nil {
		return fmt.Errorf("deleting a bucket: %w", err)
	}
	return syncDir(f.dir)
}

func (f *s3Files) write(bucket string, o storedObject, body []byte) error {
	return writeObject(f.bucketDir(bucket), o, body)
}

func writeObject(dir string, o storedObject, body []byte) (err error) {
	sum := sha256.Sum256(body)
	o.SHA256 = hex.EncodeToString(sum[:])
	head, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	file, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return fmt.Errorf("storing an object: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("storing an object: %w", err)
			os.Remove(file.Name())
		}
	}()
	for _, part := range [][]byte{head, {'\n'}, body} {
		if _, err := file.Write(part); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(dir, objectFile(o.Key))); err != nil {
		return err
	}
	return syncDir(dir)
}

func (f *s3Files) remove(bucket, key string) error {
	if err := os.Remove(filepath.Join(f.bucketDir(bucket), objectFile(key))); err != nil {
		return fmt.Errorf("deleting an object: %w", err)
	}
	return syncDir(f.bucketDir(bucket))
}

// syncDir makes the names in a directory safe.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read calls each for every object of a bucket.
func (f *s3Files) read(bucket string, each func(storedObject, []byte) error) error {
	entries, err := os.ReadDir(f.bucketDir(bucket))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(f.bucketDir(bucket), e.Name())
		if strings.HasPrefix(e.Name(), unfinished) {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		o, body, err := readObject(path)
		if err == nil && objectFile(o.Key) != e.Name() {
			err = errors.New("it is not the object that its name says")
		}
		if err == nil {
			err = each(o, body)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func readObject(path string) (o storedObject, body []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return o, nil, err
	}
	defer file.Close() // nothing was written
	r := bufio.NewReader(file)
	head, err := r.ReadBytes('\n')
	if err != nil {
		return o, nil, err
	}
	if err := json.Unmarshal(head, &o); err != nil {
		return o, nil, err
	}
	if body, err = io.ReadAll(r); err != nil {
		return o, nil, err
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != o.SHA256 {
		return o, nil, errors.New("the content is damaged")
	}
	return o, body, nil
}

// seedObjects puts the objects of a world on disk. It runs before the world
// becomes the state: a crash in between is as if nothing had happened. S3Dir
// goes with the state, so what an older one left there is deleted.
func seedObjects(c Config) error {
	if c.S3Dir == "" {
		return nil
	}
	f := s3Files{dir: filepath.Join(c.S3Dir, "buckets")}
	if err := os.RemoveAll(f.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	for _, a := range c.World.Accounts {
		for _, b := range a.Buckets {
			if err := checkSeed(b); err != nil {
				return err
			}
			if err := f.createBucket(b.Name); err != nil {
				return err
			}
			for key, content := range b.Objects {
				if err := f.write(b.Name, seedObject(key, c.Now()), []byte(content)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func checkSeed(b Bucket) error {
	if !validBucketName(b.Name) {
		return fmt.Errorf("%q is not a name for a bucket", b.Name)
	}
	for key := range b.Objects {
		if key == "" || len(key) > maxS3Key || !utf8.ValidString(key) {
			return fmt.Errorf("bucket %s: %q is not a key", b.Name, key)
		}
	}
	return nil
}

// seedObject is as the library would have kept a plain PutObject.
func seedObject(key string, at time.Time) storedObject {
	at = at.UTC()
	return storedObject{
		Key: key, Modified: at,
		Metadata: map[string]string{"Content-Type": defaultContentType, "Last-Modified": at.Format(http.TimeFormat)},
	}
}

// openObjects opens the store for the buckets of the state. In memory, those
// of the world begin with their objects each time.
func openObjects(sim *Sim) (*objects, error) {
	clock := &s3Clock{now: sim.config.Now}
	o := &objects{
		state: sim.state, clock: clock, memory: s3mem.New(s3mem.WithTimeSource(clock)), uploads: map[gofakes3.UploadID]*upload{},
	}
	seeds := map[string]Bucket{}
	for _, a := range sim.config.World.Accounts {
		for _, b := range a.Buckets {
			seeds[b.Name] = b
		}
	}
	if sim.config.S3Dir != "" {
		o.files = &s3Files{dir: filepath.Join(sim.config.S3Dir, "buckets")}
		if err := o.files.sweep(sim.state); err != nil {
			return nil, fmt.Errorf("objects on disk: %w", err)
		}
	}
	for _, b := range sim.state.allBuckets() {
		if err := o.load(b, seeds[b.Name]); err != nil {
			return nil, fmt.Errorf("objects of bucket %s: %w", b.Name, err)
		}
	}
	return o, nil
}

// allBuckets returns the buckets of all accounts.
func (s *state) allBuckets() []*bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.buckets))
}

// sweep deletes what a crash left of buckets that the state does not have.
func (f *s3Files) sweep(s *state) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, known := s.bucket(e.Name()); known {
			continue
		}
		if err := os.RemoveAll(filepath.Join(f.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// load brings a bucket into memory, from disk or from the world.
func (o *objects) load(b *bucket, seed Bucket) error {
	ctx := context.Background()
	if err := o.memory.CreateBucket(ctx, b.Name); err != nil {
		return err
	}
	defer func() { o.clock.at = time.Time{} }()
	each := func(so storedObject, body []byte) error {
		o.clock.at = so.Modified
		o.stored += int64(len(body))
		_, err := o.memory.PutObject(ctx, b.Name, so.Key, so.Metadata, bytes.NewReader(body), int64(len(body)))
		return err
	}
	if o.files != nil {
		if err := o.files.createBucket(b.Name); err != nil { // a crash may have come between its files and the state
			return err
		}
		return o.files.read(b.Name, each)
	}
	if seed.Name == "" {
		return nil
	}
	if err := checkSeed(seed); err != nil {
		return err
	}
	for key, content := range seed.Objects {
		if err := each(seedObject(key, b.Created), []byte(content)); err != nil {
			return err
		}
	}
	return nil
}
