package awssim

import (
	"errors"
	"net/http"

	"github.com/podid/podid/internal/awswire"
)

// maxS3Deletes is the most keys of one DeleteObjects.
const maxS3Deletes = 1000

// deleteObjects deletes many objects. Each key is a decision of its own, with an
// answer of its own
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
func (s *s3) deleteObjects(w http.ResponseWriter, rq *s3Request) error {
	var in s3Delete
	if err := rq.decodeXML(&in); err != nil {
		return err
	}
	if len(in.Objects) == 0 || len(in.Objects) > maxS3Deletes {
		return s3Error(malformedXML)
	}
	out := s3Deleted{Namespace: s3Namespace}
	for _, object := range in.Objects {
		if len(object.Others) > 0 {
			return s3Error(notImplemented) // before anything is deleted for want of a condition
		}
	}
	for _, object := range in.Objects {
		err := s.deleteOne(rq, object)
		if err == nil {
			if !in.Quiet {
				out.Deleted = append(out.Deleted, s3DeletedKey{object.Key, object.VersionID})
			}
			continue
		}
		refused, ok := errors.AsType[*awswire.Error](err)
		if !ok {
			refused = s3Says("InternalError", "We encountered an internal error. Please try again.")
		}
		out.Errors = append(out.Errors, s3DeletedError{object.Key, object.VersionID, refused.Code, refused.Message})
	}
	return writeS3(w, rq, out)
}

func (s *s3) deleteOne(rq *s3Request, object s3DeleteObject) error {
	action := "s3:DeleteObject"
	switch object.VersionID {
	case "":
	case "null": // the one version that objects have here
		action = "s3:DeleteObjectVersion"
	default:
		return s3Error("NoSuchVersion")
	}
	if object.Key == "" || len(object.Key) > maxS3Key {
		return s3Error("KeyTooLongError")
	}
	if err := s.allow(rq, action, rq.b, objectARN(rq.bucket, object.Key), nil); err != nil {
		return err
	}
	_, err := s.objects.DeleteObject(rq.ctx, rq.bucket, object.Key)
	return libraryError(err)
}
