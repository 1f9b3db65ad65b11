package awssim

import (
	"encoding/xml"
	"net/http"
)

// unconfigured is a configuration of buckets that can be read and not changed.
type unconfigured struct {
	by, name, action string
	// document is what S3 answers about a bucket whose owner left it alone; if
	// empty, it answers with the error missing.
	document, missing string
}

// s3Unconfigured returns the operations by which Terraform and others look at
// all that a bucket could have
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html).
// One answer differs from a new bucket on AWS: public access is not blocked,
// as no policy is kept from giving it.
func s3Unconfigured() []s3Operation {
	open := func(element, inside string) string {
		return xml.Header + "<" + element + ` xmlns="` + s3Namespace + `">` + inside + "</" + element + ">"
	}
	var operations []s3Operation
	for _, u := range []unconfigured{
		{by: "accelerate", name: "GetBucketAccelerateConfiguration", action: "s3:GetAccelerateConfiguration", document: open("AccelerateConfiguration", "")},
		{by: "cors", name: "GetBucketCors", action: "s3:GetBucketCORS", missing: "NoSuchCORSConfiguration"},
		{by: "encryption", name: "GetBucketEncryption", action: "s3:GetEncryptionConfiguration", document: open("ServerSideEncryptionConfiguration",
			"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>")},
		{by: "lifecycle", name: "GetBucketLifecycleConfiguration", action: "s3:GetLifecycleConfiguration", missing: "NoSuchLifecycleConfiguration"},
		{by: "logging", name: "GetBucketLogging", action: "s3:GetBucketLogging", document: open("BucketLoggingStatus", "")},
		{by: "notification", name: "GetBucketNotificationConfiguration", action: "s3:GetBucketNotification", document: open("NotificationConfiguration", "")},
		{by: "object-lock", name: "GetObjectLockConfiguration", action: "s3:GetBucketObjectLockConfiguration", missing: "ObjectLockConfigurationNotFoundError"},
		{by: "ownershipControls", name: "GetBucketOwnershipControls", action: "s3:GetBucketOwnershipControls",
			document: open("OwnershipControls", "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>")},
		{by: "publicAccessBlock", name: "GetPublicAccessBlock", action: "s3:GetBucketPublicAccessBlock", missing: "NoSuchPublicAccessBlockConfiguration"},
		{by: "replication", name: "GetBucketReplication", action: "s3:GetReplicationConfiguration", missing: "ReplicationConfigurationNotFoundError"},
		{by: "requestPayment", name: "GetBucketRequestPayment", action: "s3:GetBucketRequestPayment", document: open("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")},
		{by: "tagging", name: "GetBucketTagging", action: "s3:GetBucketTagging", missing: "NoSuchTagSet"},
		{by: "versioning", name: "GetBucketVersioning", action: "s3:GetBucketVersioning", document: open("VersioningConfiguration", "")},
		{by: "website", name: "GetBucketWebsite", action: "s3:GetBucketWebsite", missing: "NoSuchWebsiteConfiguration"},
	} {
		operations = append(operations, s3Operation{
			name: u.name, method: http.MethodGet, level: s3Bucket, by: u.by, action: u.action,
			run: func(_ *s3, w http.ResponseWriter, rq *s3Request) error {
				if u.missing != "" {
					e := s3Error(u.missing)
					e.Members = map[string]string{"BucketName": rq.bucket}
					return e
				}
				return writeS3Text(w, rq, "application/xml", u.document)
			},
		})
	}
	return operations
}
