package awssim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

const (
	// maxS3XML bounds bodies of XML and JSON, in bytes.
	maxS3XML = 1 << 20
	// maxS3Buckets is how many an account may have. S3 begins at 10,000.
	maxS3Buckets = 1000
)

// writeS3 answers with a document.
func writeS3(w http.ResponseWriter, rq *s3Request, document any) error {
	body, err := xml.Marshal(document)
	if err != nil {
		return err
	}
	return writeS3Text(w, rq, "application/xml", xml.Header+string(body))
}

func writeS3Text(w http.ResponseWriter, rq *s3Request, contentType, text string) error {
	awswire.S3{}.Identify(w, rq.http)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Write([]byte(text)) // whoever asked may be gone
	return nil
}

func writeS3Status(w http.ResponseWriter, rq *s3Request, status int) error {
	awswire.S3{}.Identify(w, rq.http)
	w.WriteHeader(status)
	return nil
}

// decodeXML reads the body into v, and refuses what follows the document.
func (rq *s3Request) decodeXML(v any) error {
	body, err := rq.readBody(maxS3XML)
	if err != nil {
		return err
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		return s3Error(malformedXML)
	}
	if len(bytes.TrimSpace(body[d.InputOffset():])) > 0 {
		return s3Error(malformedXML)
	}
	return nil
}

// canonicalID stands for an account in S3's listings
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/finding-canonical-user-id.html).
func canonicalID(account string) string {
	sum := sha256.Sum256([]byte("canonical user id of account " + account))
	return hex.EncodeToString(sum[:])
}

func (s *s3) listBuckets(w http.ResponseWriter, rq *s3Request) error {
	limit := 10_000
	if text, ok := rq.params["max-buckets"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > limit {
			return s3Says(invalidArgument, "Argument max-buckets must be an integer between 1 and 10000")
		}
		limit = n
	}
	out := s3BucketList{Namespace: s3Namespace, Owner: s3Owner{canonicalID(rq.caller.AccountID())}, Prefix: rq.params["prefix"]}
	region, after := rq.params["bucket-region"], rq.params["continuation-token"]
	for _, b := range s.sim.state.bucketsOf(rq.caller.AccountID()) {
		if b.Name <= after || !strings.HasPrefix(b.Name, out.Prefix) || region != "" && b.Region != region {
			continue
		}
		if len(out.Buckets) == limit {
			out.Next = out.Buckets[limit-1].Name
			break
		}
		out.Buckets = append(out.Buckets, s3BucketItem{b.Name, awswire.ISOTime(b.Created), b.Region})
	}
	return writeS3(w, rq, out)
}

// bucketNamePattern with validBucketName is the naming rule for general purpose
// buckets (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
var bucketNamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func validBucketName(name string) bool {
	if !bucketNamePattern.MatchString(name) || strings.Contains(name, "..") || net.ParseIP(name) != nil {
		return false
	}
	for _, reserved := range []string{"xn--", "sthree-"} {
		if strings.HasPrefix(name, reserved) {
			return false
		}
	}
	for _, reserved := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, reserved) {
			return false
		}
	}
	return true
}

// regionPattern is what a region's name looks like.
var regionPattern = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)

// s3LocationKeys reads where a new bucket is to be. A region other than that of
// the request is refused, as is no region anywhere but in us-east-1
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html).
func s3LocationKeys(_ *s3, rq *s3Request, keys policy.Context) error {
	var in s3CreateBucket
	if rq.http.ContentLength != 0 {
		if err := rq.decodeXML(&in); err != nil {
			return err
		}
	}
	if len(in.Others) > 0 {
		return s3Error(notImplemented)
	}
	if in.Location != "" {
		keys.Set("s3:locationconstraint", in.Location)
	}
	rq.location = in.Location
	return nil
}

func (s *s3) createBucket(w http.ResponseWriter, rq *s3Request) error {
	c, h := rq.caller, rq.header
	region := c.request.region
	switch {
	case c.AccountID() == "":
		return s3Error(accessDenied) // nobody would own it
	case !validBucketName(rq.bucket):
		return s3Error("InvalidBucketName")
	case h.Get("X-Amz-Acl") != "" && h.Get("X-Amz-Acl") != "private":
		return s3Error(accessControlNotUsed)
	case h.Get("X-Amz-Bucket-Object-Lock-Enabled") != "" && !strings.EqualFold(h.Get("X-Amz-Bucket-Object-Lock-Enabled"), "false"),
		h.Get("X-Amz-Object-Ownership") != "" && h.Get("X-Amz-Object-Ownership") != "BucketOwnerEnforced":
		return s3Error(notImplemented)
	case !regionPattern.MatchString(region), region != "us-east-1" && rq.location != region,
		rq.location != "" && !regionPattern.MatchString(rq.location):
		return s3Error(illegalLocation)
	case rq.location != "":
		region = rq.location
	}
	b := &bucket{AccountID: c.AccountID(), Name: rq.bucket, Region: region, Created: s.sim.config.Now().UTC()}
	opened := false
	err := s.sim.state.update(func(t *tx) error {
		if old, taken := s.sim.state.bucket(b.Name); taken && old.AccountID == b.AccountID {
			return s3Error(bucketAlreadyOwned)
		} else if taken {
			return s3Error(bucketAlreadyExists)
		}
		if len(s.sim.state.bucketsOf(b.AccountID)) >= maxS3Buckets {
			return s3Error(tooManyBuckets)
		}
		if err := s.objects.open(b.Name); err != nil {
			return err
		}
		opened = true
		t.put(b)
		return nil
	})
	if err != nil && opened { // the state did not take it
		if undo := s.objects.close(rq.ctx, b); undo != nil {
			return undo
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/"+b.Name)
	w.Header().Set("X-Amz-Bucket-Arn", b.ARN())
	return writeS3Status(w, rq, http.StatusOK)
}

func (s *s3) headBucket(w http.ResponseWriter, rq *s3Request) error {
	w.Header().Set("X-Amz-Bucket-Arn", rq.b.ARN())
	w.Header().Set("X-Amz-Access-Point-Alias", "false")
	return writeS3Status(w, rq, http.StatusOK)
}

func (s *s3) deleteBucket(w http.ResponseWriter, rq *s3Request) error {
	closed := false
	err := s.sim.state.update(func(t *tx) error {
		if now, ok := s.sim.state.bucket(rq.b.Name); !ok || !sameBucket(now, rq.b) {
			return s3Error(noSuchBucket)
		}
		if err := s.objects.close(rq.ctx, rq.b); err != nil {
			return err
		}
		closed = true
		t.delete(rq.b)
		return nil
	})
	if err != nil && closed { // the state kept it
		if undo := s.objects.open(rq.b.Name); undo != nil {
			return undo
		}
	}
	if err != nil {
		return libraryError(err)
	}
	return writeS3Status(w, rq, http.StatusNoContent)
}

// getBucketLocation: us-east-1 has no name here
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html).
func (s *s3) getBucketLocation(w http.ResponseWriter, rq *s3Request) error {
	out := s3Location{Namespace: s3Namespace, Region: rq.b.Region}
	if out.Region == "us-east-1" {
		out.Region = ""
	}
	return writeS3(w, rq, out)
}

func (s *s3) getBucketACL(w http.ResponseWriter, rq *s3Request) error {
	id := canonicalID(rq.b.AccountID)
	return writeS3Text(w, rq, "application/xml", xml.Header+`<AccessControlPolicy xmlns="`+s3Namespace+`"><Owner><ID>`+id+`</ID></Owner><AccessControlList>`+
		`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>`+id+`</ID></Grantee>`+
		`<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`)
}

// listUploads lists the uploads to a bucket by key and id.
func (s *s3) listUploads(w http.ResponseWriter, rq *s3Request) error {
	limit := 1000
	if text, ok := rq.params["max-uploads"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return s3Says(invalidArgument, "Argument max-uploads must be an integer between 0 and 2147483647")
		}
		limit = min(limit, n)
	}
	out := s3UploadList{
		Namespace: s3Namespace, Bucket: rq.b.Name, Prefix: rq.params["prefix"], MaxUploads: limit,
		KeyMarker: rq.params["key-marker"], UploadIDMarker: rq.params["upload-id-marker"],
	}
	for _, u := range s.objects.uploadsOf(rq.b) {
		if !strings.HasPrefix(u.Key, out.Prefix) || !u.after(out.KeyMarker, out.UploadIDMarker) {
			continue
		}
		if len(out.Uploads) == limit {
			out.IsTruncated = true
			break
		}
		out.Uploads = append(out.Uploads, u)
		out.NextKeyMarker, out.NextUploadIDMarker = u.Key, u.UploadID
	}
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIDMarker = "", ""
	}
	return writeS3(w, rq, out)
}

// s3Time is how S3 writes times in XML.
func s3Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
