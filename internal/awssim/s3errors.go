package awssim

import (
	"net/http"

	"github.com/podid/podid/internal/awswire"
)

// Codes of S3's errors
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList).
const (
	accessDenied         = "AccessDenied"
	invalidArgument      = "InvalidArgument"
	invalidRequest       = "InvalidRequest"
	malformedXML         = "MalformedXML"
	methodNotAllowed     = "MethodNotAllowed"
	noSuchBucket         = "NoSuchBucket"
	noSuchKey            = "NoSuchKey"
	notImplemented       = "NotImplemented"
	entityTooLarge       = "EntityTooLarge"
	entityTooSmall       = "EntityTooSmall"
	bucketAlreadyExists  = "BucketAlreadyExists"
	bucketAlreadyOwned   = "BucketAlreadyOwnedByYou"
	illegalLocation      = "IllegalLocationConstraintException"
	malformedPolicy      = "MalformedPolicy"
	tooManyBuckets       = "TooManyBuckets"
	accessControlNotUsed = "AccessControlListNotSupported"
)

type s3Text struct {
	status  int
	message string
}

// s3Texts holds the status of every code that leaves here, the library's too,
// and the text where the library or the operation has none of its own.
var s3Texts = map[string]s3Text{
	accessDenied:         {http.StatusForbidden, "Access Denied"},
	invalidArgument:      {http.StatusBadRequest, "Invalid Argument"},
	invalidRequest:       {http.StatusBadRequest, "Invalid Request"},
	malformedXML:         {http.StatusBadRequest, "The XML you provided was not well-formed or did not validate against our published schema"},
	methodNotAllowed:     {http.StatusMethodNotAllowed, "The specified method is not allowed against this resource."},
	noSuchBucket:         {http.StatusNotFound, "The specified bucket does not exist"},
	noSuchKey:            {http.StatusNotFound, "The specified key does not exist."},
	notImplemented:       {http.StatusNotImplemented, "A header or query you provided implies functionality that is not implemented."},
	entityTooLarge:       {http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed size"},
	entityTooSmall:       {http.StatusBadRequest, "Your proposed upload is smaller than the minimum allowed size"},
	bucketAlreadyExists:  {http.StatusConflict, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again."},
	bucketAlreadyOwned:   {http.StatusConflict, "Your previous request to create the named bucket succeeded and you already own it."},
	illegalLocation:      {http.StatusBadRequest, "The location constraint is incompatible for the region specific endpoint this request was sent to."},
	malformedPolicy:      {http.StatusBadRequest, "Policies must be valid JSON and the first byte must be '{'"},
	tooManyBuckets:       {http.StatusBadRequest, "You have attempted to create more buckets than allowed"},
	accessControlNotUsed: {http.StatusBadRequest, "The bucket does not allow ACLs"},

	"BadDigest":                             {http.StatusBadRequest, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	"BucketNotEmpty":                        {http.StatusConflict, "The bucket you tried to delete is not empty"},
	"IncompleteBody":                        {http.StatusBadRequest, "You did not provide the number of bytes specified by the Content-Length HTTP header."},
	"InvalidBucketName":                     {http.StatusBadRequest, "The specified bucket is not valid."},
	"InvalidDigest":                         {http.StatusBadRequest, "The Content-MD5 you specified was invalid."},
	"InvalidPart":                           {http.StatusBadRequest, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	"InvalidPartOrder":                      {http.StatusBadRequest, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	"InvalidRange":                          {http.StatusRequestedRangeNotSatisfiable, "The requested range is not satisfiable"},
	"InvalidTag":                            {http.StatusBadRequest, "The tag provided was not a valid tag."},
	"InvalidToken":                          {http.StatusBadRequest, "The continuation token provided is incorrect"},
	"InvalidURI":                            {http.StatusBadRequest, "Couldn't parse the specified URI."},
	"KeyTooLongError":                       {http.StatusBadRequest, "Your key is too long"},
	"MaxMessageLengthExceeded":              {http.StatusBadRequest, "Your request was too big."},
	"MetadataTooLarge":                      {http.StatusBadRequest, "Your metadata headers exceed the maximum allowed metadata size"},
	"MissingContentLength":                  {http.StatusLengthRequired, "You must provide the Content-Length HTTP header."},
	"NoSuchBucketPolicy":                    {http.StatusNotFound, "The bucket policy does not exist"},
	"NoSuchCORSConfiguration":               {http.StatusNotFound, "The CORS configuration does not exist"},
	"NoSuchLifecycleConfiguration":          {http.StatusNotFound, "The lifecycle configuration does not exist"},
	"NoSuchPublicAccessBlockConfiguration":  {http.StatusNotFound, "The public access block configuration was not found"},
	"NoSuchTagSet":                          {http.StatusNotFound, "The TagSet does not exist"},
	"NoSuchUpload":                          {http.StatusNotFound, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	"NoSuchVersion":                         {http.StatusNotFound, "The specified version does not exist."},
	"NoSuchWebsiteConfiguration":            {http.StatusNotFound, "The specified bucket does not have a website configuration"},
	"ObjectLockConfigurationNotFoundError":  {http.StatusNotFound, "Object Lock configuration does not exist for this bucket"},
	"PreconditionFailed":                    {http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold"},
	"ReplicationConfigurationNotFoundError": {http.StatusNotFound, "The replication configuration was not found"},
	"ServiceUnavailable":                    {http.StatusServiceUnavailable, "Please reduce your request rate."},
}

// s3Error returns the error of a code of s3Texts with S3's own text.
func s3Error(code string) *awswire.Error {
	return &awswire.Error{Code: code, Status: s3Texts[code].status, Message: s3Texts[code].message}
}

// s3Says is s3Error with another text.
func s3Says(code, message string) *awswire.Error {
	e := s3Error(code)
	e.Message = message
	return e
}
