package awssim

import (
	"encoding/xml"

	"github.com/podid/podid/internal/awswire"
)

// s3Namespace is the one of all of S3's documents but errors.
const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

type s3Owner struct {
	ID string `xml:"ID"`
}

type s3BucketList struct {
	XMLName   xml.Name       `xml:"ListAllMyBucketsResult"`
	Namespace string         `xml:"xmlns,attr"`
	Owner     s3Owner        `xml:"Owner"`
	Buckets   []s3BucketItem `xml:"Buckets>Bucket"`
	Prefix    string         `xml:"Prefix,omitempty"`
	Next      string         `xml:"ContinuationToken,omitempty"`
}

type s3BucketItem struct {
	Name    string          `xml:"Name"`
	Created awswire.ISOTime `xml:"CreationDate"`
	Region  string          `xml:"BucketRegion"`
}

type s3CreateBucket struct {
	XMLName  xml.Name `xml:"CreateBucketConfiguration"`
	Location string   `xml:"LocationConstraint"`
	Others   []s3Any  `xml:",any"` // what is not served: Location, Bucket, Tags
}

type s3Any struct{ XMLName xml.Name }

type s3Location struct {
	XMLName   xml.Name `xml:"LocationConstraint"`
	Namespace string   `xml:"xmlns,attr"`
	Region    string   `xml:",chardata"`
}

type s3UploadList struct {
	XMLName            xml.Name   `xml:"ListMultipartUploadsResult"`
	Namespace          string     `xml:"xmlns,attr"`
	Bucket             string     `xml:"Bucket"`
	KeyMarker          string     `xml:"KeyMarker"`
	UploadIDMarker     string     `xml:"UploadIdMarker"`
	NextKeyMarker      string     `xml:"NextKeyMarker,omitempty"`
	NextUploadIDMarker string     `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string     `xml:"Prefix,omitempty"`
	MaxUploads         int        `xml:"MaxUploads"`
	IsTruncated        bool       `xml:"IsTruncated"`
	Uploads            []s3Upload `xml:"Upload"`
}

type s3Upload struct {
	Key          string `xml:"Key"`
	UploadID     string `xml:"UploadId"`
	StorageClass string `xml:"StorageClass"`
	Initiated    string `xml:"Initiated"`
}

// after tells whether an upload comes after the end of the page before.
func (u s3Upload) after(key, id string) bool {
	return u.Key > key || u.Key == key && id != "" && u.UploadID > id
}

type s3Delete struct {
	XMLName xml.Name         `xml:"Delete"`
	Quiet   bool             `xml:"Quiet"`
	Objects []s3DeleteObject `xml:"Object"`
}

type s3DeleteObject struct {
	Key       string  `xml:"Key"`
	VersionID string  `xml:"VersionId"`
	Others    []s3Any `xml:",any"` // conditions: ETag, LastModifiedTime, Size
}

type s3Deleted struct {
	XMLName   xml.Name         `xml:"DeleteResult"`
	Namespace string           `xml:"xmlns,attr"`
	Deleted   []s3DeletedKey   `xml:"Deleted"`
	Errors    []s3DeletedError `xml:"Error"`
}

type s3DeletedKey struct {
	Key       string `xml:"Key"`
	VersionID string `xml:"VersionId,omitempty"`
}

type s3DeletedError struct {
	Key       string `xml:"Key"`
	VersionID string `xml:"VersionId,omitempty"`
	Code      string `xml:"Code"`
	Message   string `xml:"Message"`
}

type s3Tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []s3Tag  `xml:"TagSet>Tag"`
}

type s3Tag struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}
