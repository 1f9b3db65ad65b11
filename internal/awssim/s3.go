package awssim

import (
	"net/http"

	"github.com/rclone/gofakes3"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

// s3 is the object store. What S3 says and keeps about objects comes from a
// library (rclone's gofakes3); buckets, their policies and every decision are
// ours. The library sees a request only once it is known which operation it is
// and that the caller may, and then a request made anew from what was judged.
//
// A request may name any region: none is redirected, as S3 redirects those for
// a bucket elsewhere.
type s3 struct {
	sim     *Sim
	objects *objects
	library http.Handler
}

// newS3 makes the service.
func newS3(sim *Sim) (service, error) {
	o, err := openObjects(sim)
	if err != nil {
		return nil, err
	}
	library := gofakes3.New(o,
		gofakes3.WithTimeSource(o.clock),
		gofakes3.WithTimeSkewLimit(0), // the signature's date was checked
		gofakes3.WithMetadataSizeLimit(0),
		gofakes3.WithUploadOwner(uploadOwner),
	)
	o.forget = library.ForgetMultipartUpload
	s := &s3{sim: sim, objects: o, library: library.Server()}
	return s.serve, nil
}

// serve answers one request.
func (s *s3) serve(w http.ResponseWriter, r *http.Request, c *Caller) {
	rq, err := parseS3Request(r, c)
	if err == nil {
		err = s.dispatch(w, rq)
	}
	if err != nil {
		awswire.S3{}.WriteError(w, r, err)
	}
}

// dispatch finds the one operation that a request means, authorizes it, and
// only then lets it run.
func (s *s3) dispatch(w http.ResponseWriter, rq *s3Request) error {
	op, err := rq.operation()
	if err != nil {
		return err
	}
	if rq.level == s3Service || op.creates {
		if err := s.allow(rq, op.action, nil, rq.resource(), op.keys); err != nil {
			return err
		}
		return op.run(s, w, rq)
	}
	if rq.b, err = s.bucket(rq.bucket, rq.header.Get("X-Amz-Expected-Bucket-Owner")); err != nil {
		return err
	}
	if rq.method == http.MethodHead && rq.level == s3Bucket {
		// Known to anyone, allowed or not: SDKs find a bucket's region by it.
		w.Header().Set("X-Amz-Bucket-Region", rq.b.Region)
	}
	if op.action != "" {
		if err := s.allow(rq, op.action, rq.b, rq.resource(), op.keys); err != nil {
			return err
		}
	}
	rq.ctx = withGrant(rq.ctx, grant{bucket: rq.b})
	return op.run(s, w, rq)
}

// bucket returns a bucket if it belongs to the account that the caller
// expects, if any
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html).
func (s *s3) bucket(name, expectedOwner string) (*bucket, error) {
	b, ok := s.sim.state.bucket(name)
	if !ok {
		e := s3Error(noSuchBucket)
		e.Members = map[string]string{"BucketName": name}
		return nil, e
	}
	if expectedOwner != "" && expectedOwner != b.AccountID {
		return nil, s3Error(accessDenied)
	}
	return b, nil
}

// s3Keys adds the condition keys of one operation to those of every request.
type s3Keys func(*s3, *s3Request, policy.Context) error

// allow asks whether the caller may, and returns AccessDenied if not. b is the
// bucket, nil for an account's own. Why is told only within the account that
// owns the bucket, as by S3
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html).
func (s *s3) allow(rq *s3Request, action string, b *bucket, resource string, keys s3Keys) error {
	c := rq.caller
	q := question{Action: action, Resource: resource, ResourceAccount: c.AccountID(), Context: rq.conditions()}
	if b != nil {
		q.ResourceAccount = b.AccountID
		if b.Policy != nil {
			q.ResourcePolicies = []policy.Policy{{Name: "bucket policy of " + b.ARN(), Type: policy.Resource, Document: b.Policy.parsed}}
		}
	}
	if q.ResourceAccount != "" {
		q.Context.Set("s3:ResourceAccount", q.ResourceAccount)
	}
	if keys != nil {
		if err := keys(s, rq, q.Context); err != nil {
			return err
		}
	}
	d := s.sim.decide(c, q)
	if d.Verdict == policy.Allowed {
		return nil
	}
	denied := s3Error(accessDenied)
	if c.AccountID() != "" && c.AccountID() == q.ResourceAccount {
		denied.Message = "User: " + c.ARN() + " is not authorized to perform: " + action + ` on resource: "` + resource + `" ` + because(d, action)
	}
	return denied
}
