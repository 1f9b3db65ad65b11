package awssim

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// Bounds of what is kept, in bytes. S3 itself takes objects of 50 TB; this one
// holds them in memory, and on disk too if Config.S3Dir says so.
const (
	maxS3Put    = 64 << 20  // one PutObject or UploadPart
	maxS3Object = 256 << 20 // an object made from parts
	maxS3Stored = 1 << 30   // everything, parts of uploads included
)

// objects is the library's backend: its own memory backend, to which this adds
// files that outlive the process, conditions checked in one step with the
// write, a bound, listings in S3's order, and that only what was granted is touched.
type objects struct {
	state  *state
	clock  *s3Clock
	files  *s3Files // nil: memory alone
	forget func(ctx context.Context, bucket, key string, id gofakes3.UploadID) error

	// mu is held while anything is looked up and changed as one. Reads hold it
	// too, for a bucket must not change hands under them.
	mu      sync.RWMutex
	memory  *s3mem.Backend
	stored  int64 // bytes of objects and parts
	uploads map[gofakes3.UploadID]*upload
}

// s3Clock is the library's TimeSource.
type s3Clock struct {
	now func() time.Time
	at  time.Time // what it shows while objects are read from disk; else zero
}

func (c *s3Clock) Now() time.Time {
	if !c.at.IsZero() {
		return c.at
	}
	return c.now().UTC()
}

func (c *s3Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// grantedLocked returns an error unless the request may touch the bucket.
func (o *objects) grantedLocked(ctx context.Context, name string) error {
	g, _ := ctx.Value(grantKey{}).(grant)
	b, ok := o.state.bucket(name)
	if !ok || !g.covers(b) {
		return gofakes3.BucketNotFound(name)
	}
	return nil
}

func (o *objects) BucketExists(ctx context.Context, name string) (bool, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.grantedLocked(ctx, name) == nil, nil
}

// Buckets are made and deleted with the state: see createBucket and deleteBucket.

func (o *objects) ListBuckets(context.Context) ([]gofakes3.BucketInfo, error) {
	return nil, gofakes3.ErrNotImplemented
}

func (o *objects) CreateBucket(context.Context, string) error { return gofakes3.ErrNotImplemented }
func (o *objects) DeleteBucket(context.Context, string) error { return gofakes3.ErrNotImplemented }

func (o *objects) ListBucket(ctx context.Context, name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if err := o.grantedLocked(ctx, name); err != nil {
		return nil, err
	}
	b, ok := o.state.bucket(name)
	if !ok {
		return nil, gofakes3.BucketNotFound(name)
	}
	all, err := o.memory.ListBucket(ctx, name, nil, gofakes3.ListBucketPage{})
	if err != nil {
		return nil, err
	}
	list := listPage(all.Contents, prefix.Prefix, prefix.Delimiter, page.Marker, page.MaxKeys)
	for _, c := range list.Contents {
		c.Owner = &gofakes3.UserInfo{ID: canonicalID(b.AccountID)}
	}
	return list, nil
}

func (o *objects) HeadObject(ctx context.Context, bucket, key string) (*gofakes3.Object, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return nil, err
	}
	return o.memory.HeadObject(ctx, bucket, key)
}

func (o *objects) GetObject(ctx context.Context, bucket, key string, part *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return nil, err
	}
	return o.memory.GetObject(ctx, bucket, key, part) // its Contents never change
}

func (o *objects) PutObject(ctx context.Context, bucket, key string, meta map[string]string, input io.Reader, size int64) (gofakes3.PutObjectResult, error) {
	body, err := gofakes3.ReadAll(input, size)
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.putLocked(ctx, bucket, key, meta, body, 0)
}

// putLocked puts an object in place. reserved are the bytes of body that are
// counted already.
func (o *objects) putLocked(ctx context.Context, bucket, key string, meta map[string]string, body []byte, reserved int64) (gofakes3.PutObjectResult, error) {
	var none gofakes3.PutObjectResult
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return none, err
	}
	before, exists, err := o.statLocked(ctx, bucket, key)
	if err != nil {
		return none, err
	}
	if err := gofakes3.CheckWriteConditions(ctx, exists, hex.EncodeToString(before.Hash)); err != nil {
		return none, err
	}
	more := int64(len(body)) - before.Size
	if o.stored+more-reserved > maxS3Stored {
		return none, gofakes3.ErrorMessage(gofakes3.ErrEntityTooLarge, "There is no room left for an object of this size.")
	}
	if o.files != nil {
		if err := o.files.write(bucket, storedObject{Key: key, Metadata: meta, Modified: o.clock.Now()}, body); err != nil {
			return none, err
		}
	}
	result, err := o.memory.PutObject(ctx, bucket, key, meta, bytes.NewReader(body), int64(len(body)))
	if err == nil {
		o.stored += more
	}
	return result, err
}

// statLocked returns an object without its content.
func (o *objects) statLocked(ctx context.Context, bucket, key string) (gofakes3.Object, bool, error) {
	found, err := o.memory.HeadObject(ctx, bucket, key)
	switch {
	case gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey):
		return gofakes3.Object{}, false, nil
	case err != nil:
		return gofakes3.Object{}, false, err
	}
	return *found, true, nil
}

// stat returns an object without its content, if it is there.
func (o *objects) stat(ctx context.Context, bucket, key string) (gofakes3.Object, bool, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return gofakes3.Object{}, false, err
	}
	return o.statLocked(ctx, bucket, key)
}

func (o *objects) CopyObject(ctx context.Context, fromBucket, fromKey, bucket, key string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	var none gofakes3.CopyObjectResult
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.grantedLocked(ctx, fromBucket); err != nil {
		return none, err
	}
	from, err := o.memory.GetObject(ctx, fromBucket, fromKey, nil)
	if err != nil {
		return none, err
	}
	body, err := gofakes3.ReadAll(from.Contents, from.Size)
	if err != nil {
		return none, err
	}
	if _, err := o.putLocked(ctx, bucket, key, meta, body, 0); err != nil {
		return none, err
	}
	return gofakes3.CopyObjectResult{
		ETag: `"` + hex.EncodeToString(from.Hash) + `"`, LastModified: gofakes3.NewContentTime(o.clock.Now()),
	}, nil
}

func (o *objects) DeleteObject(ctx context.Context, bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	var none gofakes3.ObjectDeleteResult
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return none, err
	}
	before, exists, err := o.statLocked(ctx, bucket, key)
	if err != nil || !exists {
		return none, err
	}
	if o.files != nil {
		if err := o.files.remove(bucket, key); err != nil {
			return none, err
		}
	}
	if _, err := o.memory.DeleteObject(ctx, bucket, key); err != nil {
		return none, err
	}
	o.stored -= before.Size
	return none, nil
}

// DeleteMulti is never called: DeleteObjects is done key by key.
func (o *objects) DeleteMulti(context.Context, string, ...string) (gofakes3.MultiDeleteResult, error) {
	return gofakes3.MultiDeleteResult{}, gofakes3.ErrNotImplemented
}

// SetObjectTagging makes o a gofakes3.ObjectTaggingBackend.
func (o *objects) SetObjectTagging(ctx context.Context, bucket, key, tagging string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return err
	}
	if o.files != nil {
		now, err := o.memory.GetObject(ctx, bucket, key, nil)
		if err != nil {
			return err
		}
		body, err := gofakes3.ReadAll(now.Contents, now.Size)
		if err != nil {
			return err
		}
		modified, err := http.ParseTime(now.Metadata["Last-Modified"])
		if err != nil {
			return err
		}
		meta := maps.Clone(now.Metadata)
		if meta[gofakes3.TaggingMetadataKey] = tagging; tagging == "" {
			delete(meta, gofakes3.TaggingMetadataKey)
		}
		if err := o.files.write(bucket, storedObject{Key: key, Metadata: meta, Modified: modified}, body); err != nil {
			return err
		}
	}
	return o.memory.SetObjectTagging(ctx, bucket, key, tagging)
}

// open makes room for a new bucket.
func (o *objects) open(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.files != nil {
		if err := o.files.createBucket(name); err != nil {
			return err
		}
	}
	return o.memory.CreateBucket(context.Background(), name)
}

// close gives up an empty bucket, and the uploads to it.
func (o *objects) close(ctx context.Context, b *bucket) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.memory.DeleteBucket(ctx, b.Name); err != nil {
		return err
	}
	for id, u := range o.uploads {
		if sameBucket(u.bucket, b) {
			o.dropLocked(id)
			_ = o.forget(withGrant(ctx, grant{bucket: b}), b.Name, u.key, id) // it may not have heard of it yet
		}
	}
	if o.files == nil {
		return nil
	}
	if err := o.files.deleteBucket(b.Name); err != nil {
		return errors.Join(err, o.memory.CreateBucket(ctx, b.Name))
	}
	return nil
}
