package awssim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/podid/podid/internal/policy"
)

// maxBucketPolicy is the longest bucket policy, in bytes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html).
const maxBucketPolicy = 20 << 10

// ownAccount refuses the policies of other accounts' buckets even to those who
// were given a right to them
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html).
func (rq *s3Request) ownAccount() error {
	if rq.caller.AccountID() != rq.b.AccountID {
		return s3Error(methodNotAllowed)
	}
	return nil
}

func (s *s3) getBucketPolicy(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.ownAccount(); err != nil {
		return err
	}
	if rq.b.Policy == nil {
		e := s3Error("NoSuchBucketPolicy")
		e.Members = map[string]string{"BucketName": rq.bucket}
		return e
	}
	return writeS3Text(w, rq, "application/json", s.sim.state.shown(*rq.b.Policy))
}

func (s *s3) putBucketPolicy(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.ownAccount(); err != nil {
		return err
	}
	text, err := rq.readBody(maxS3XML)
	if err != nil {
		return err
	}
	if len(text) > maxBucketPolicy {
		return s3Says(malformedPolicy, "Normalized policy document exceeds the maximum allowed size of 20480 bytes.")
	}
	d, err := s.sim.state.bind(policy.Resource, string(text))
	if principal, ok := errors.AsType[*invalidPrincipal](err); ok {
		e := s3Says(malformedPolicy, "Invalid principal in policy")
		e.Members = map[string]string{"Detail": `"AWS" : "` + principal.principal + `"`}
		return e
	}
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return s3Says(malformedPolicy, syntax.Error())
	}
	if err != nil {
		return err
	}
	if err := checkBucketResources(d.Text, rq.bucket); err != nil {
		return err
	}
	return s.setPolicy(w, rq, &d)
}

func (s *s3) deleteBucketPolicy(w http.ResponseWriter, rq *s3Request) error {
	if err := rq.ownAccount(); err != nil {
		return err
	}
	return s.setPolicy(w, rq, nil)
}

// setPolicy gives the bucket a policy, or takes it away.
func (s *s3) setPolicy(w http.ResponseWriter, rq *s3Request, d *document) error {
	err := s.sim.state.update(func(t *tx) error {
		now, ok := s.sim.state.bucket(rq.bucket)
		if !ok || !sameBucket(now, rq.b) {
			return s3Error(noSuchBucket)
		}
		changed := *now
		changed.Policy = d
		t.put(&changed)
		return nil
	})
	if err != nil {
		return err
	}
	return writeS3Status(w, rq, http.StatusNoContent)
}

// oneOrMany is a JSON string or a list of them.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*o = oneOrMany{""}
		return json.Unmarshal(b, &(*o)[0])
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// checkBucketResources holds the resources of a policy, which parsed, against
// the bucket that it is for.
func checkBucketResources(text, bucket string) error {
	type statement struct{ Resource, NotResource oneOrMany }
	var many struct{ Statement []statement }
	if err := json.Unmarshal([]byte(text), &many); err != nil {
		var one struct{ Statement statement }
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return s3Error(malformedPolicy)
		}
		many.Statement = []statement{one.Statement}
	}
	for _, st := range many.Statement {
		for _, resource := range append(st.Resource, st.NotResource...) {
			rest, ok := strings.CutPrefix(resource, "arn:aws:s3:::"+bucket)
			if !ok || rest != "" && rest[0] != '/' && rest[0] != '*' {
				e := s3Says(malformedPolicy, "Policy has invalid resource")
				e.Members = map[string]string{"Detail": resource}
				return e
			}
		}
	}
	return nil
}
