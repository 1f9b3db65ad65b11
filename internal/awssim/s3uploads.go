package awssim

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rclone/gofakes3"
)

// upload is a multipart upload under way. Uploads live in memory and do not
// outlive the process.
type upload struct {
	bucket    *bucket
	key       string
	meta      map[string]string
	initiated time.Time
	parts     map[int][]byte
}

const (
	// maxS3Uploads bounds the uploads under way in all buckets. S3 has no bound.
	maxS3Uploads = 1000
	// minS3Part is the least size of any part but the last, in bytes
	// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
	minS3Part = 5 << 20
)

// The methods that make objects a gofakes3.MultipartBackend. The library's own
// uploads are not bounded, and know nothing of deleted buckets.

func (o *objects) CreateMultipartUpload(ctx context.Context, bucket, key string, meta map[string]string) (gofakes3.UploadID, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return "", err
	}
	if len(o.uploads) >= maxS3Uploads {
		return "", gofakes3.ErrorMessage("ServiceUnavailable", "There are too many uploads under way. Complete or abort some.")
	}
	g, _ := ctx.Value(grantKey{}).(grant)
	id := gofakes3.UploadID(strings.ReplaceAll(uuid.NewString(), "-", ""))
	o.uploads[id] = &upload{bucket: g.bucket, key: key, meta: meta, initiated: o.clock.Now(), parts: map[int][]byte{}}
	return id, nil
}

// uploadLocked returns the upload of that id if it is for that key of the very
// bucket that was granted.
func (o *objects) uploadLocked(ctx context.Context, bucket, key string, id gofakes3.UploadID) (*upload, error) {
	if err := o.grantedLocked(ctx, bucket); err != nil {
		return nil, err
	}
	g, _ := ctx.Value(grantKey{}).(grant)
	u, ok := o.uploads[id]
	if !ok || u.key != key || !sameBucket(u.bucket, g.bucket) {
		return nil, gofakes3.ErrNoSuchUpload
	}
	return u, nil
}

func (o *objects) UploadPart(ctx context.Context, bucket, key string, id gofakes3.UploadID, number int, size int64, input io.Reader) (string, error) {
	body, err := gofakes3.ReadAll(input, size)
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	u, err := o.uploadLocked(ctx, bucket, key, id)
	if err != nil {
		return "", err
	}
	more := int64(len(body) - len(u.parts[number]))
	if o.stored+more > maxS3Stored {
		return "", gofakes3.ErrorMessage(gofakes3.ErrEntityTooLarge, "There is no room left for a part of this size.")
	}
	o.stored += more
	u.parts[number] = body
	return partETag(body), nil
}

func partETag(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// CompleteMultipartUpload makes the object. Its ETag is the MD5 of the whole,
// where S3's is one of the parts' with their number: the library has room for
// no other.
func (o *objects) CompleteMultipartUpload(ctx context.Context, bucket, key string, id gofakes3.UploadID, in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u, err := o.uploadLocked(ctx, bucket, key, id)
	if err != nil {
		return "", "", err
	}
	body, err := u.assemble(in.Parts)
	if err != nil {
		return "", "", err
	}
	if _, err := o.putLocked(ctx, bucket, key, u.meta, body, u.size()); err != nil {
		return "", "", err
	}
	o.dropLocked(id)
	return "", partETag(body), nil
}

// assemble joins the parts that the caller names.
func (u *upload) assemble(parts []gofakes3.CompletedPart) ([]byte, error) {
	if len(parts) == 0 {
		return nil, gofakes3.ErrMalformedXML
	}
	before, total := 0, 0
	for _, p := range parts {
		body, ok := u.parts[p.PartNumber]
		switch {
		case p.PartNumber <= before:
			return nil, gofakes3.ErrInvalidPartOrder
		case !ok || strings.Trim(p.ETag, `"`) != strings.Trim(partETag(body), `"`):
			return nil, gofakes3.ErrInvalidPart
		}
		before = p.PartNumber
		total += len(body)
	}
	for _, p := range parts[:len(parts)-1] {
		if len(u.parts[p.PartNumber]) < minS3Part {
			return nil, gofakes3.ErrorCode(entityTooSmall)
		}
	}
	if total > maxS3Object {
		return nil, gofakes3.ErrEntityTooLarge
	}
	whole := make([]byte, 0, total)
	for _, p := range parts {
		whole = append(whole, u.parts[p.PartNumber]...)
	}
	return whole, nil
}

// size returns the bytes of all parts.
func (u *upload) size() (total int64) {
	for _, body := range u.parts {
		total += int64(len(body))
	}
	return total
}

func (o *objects) AbortMultipartUpload(ctx context.Context, bucket, key string, id gofakes3.UploadID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.uploadLocked(ctx, bucket, key, id); err != nil {
		return err
	}
	o.dropLocked(id)
	return nil
}

func (o *objects) dropLocked(id gofakes3.UploadID) {
	o.stored -= o.uploads[id].size()
	delete(o.uploads, id)
}

// uploadsOf returns the uploads to a bucket by key and id.
func (o *objects) uploadsOf(b *bucket) []s3Upload {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var all []s3Upload
	for id, u := range o.uploads {
		if sameBucket(u.bucket, b) {
			all = append(all, s3Upload{Key: u.key, UploadID: string(id), StorageClass: "STANDARD", Initiated: s3Time(u.initiated)})
		}
	}
	slices.SortFunc(all, func(a, b s3Upload) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.UploadID, b.UploadID))
	})
	return all
}
