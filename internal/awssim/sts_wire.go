package awssim

import (
	"github.com/podid/podid/internal/awswire"
)

// The parameters and results of STS's operations, as its model has them
// (https://github.com/boto/botocore/blob/develop/botocore/data/sts/2011-06-15/service-2.json).

type assumeRoleInput struct {
	RoleArn           *string
	RoleSessionName   *string
	DurationSeconds   *int32
	Policy            *string
	PolicyArns        []policyARNInput
	Tags              []tagInput
	TransitiveTagKeys []string
	ExternalID        *string `query:"ExternalId"`
	SourceIdentity    *string
	SerialNumber      *string
	TokenCode         *string
	ProvidedContexts  []providedContextInput
}

type policyARNInput struct {
	ARN string `query:"arn"`
}

type tagInput struct{ Key, Value string }

type providedContextInput struct{ ProviderArn, ContextAssertion string }

type webIdentityInput struct {
	RoleArn          *string
	RoleSessionName  *string
	WebIdentityToken *string
	ProviderID       *string `query:"ProviderId"`
	DurationSeconds  *int32
	Policy           *string
	PolicyArns       []policyARNInput
}

type accessKeyInfoInput struct {
	AccessKeyID *string `query:"AccessKeyId"`
}

type callerIdentityResult struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

type accessKeyInfoResult struct{ Account string }

type credentialsResult struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      awswire.ISOTime
}

type assumedRoleUser struct {
	Arn           string
	AssumedRoleID string `xml:"AssumedRoleId"`
}

// assumedResult is what both ways to assume a role give.
type assumedResult struct {
	SourceIdentity   string `xml:",omitempty"`
	AssumedRoleUser  assumedRoleUser
	Credentials      credentialsResult
	PackedPolicySize *int `xml:",omitempty"` // absent, not 0, where nothing was packed

	// Web identity alone.
	Subject  string `xml:"SubjectFromWebIdentityToken,omitempty"`
	Audience string `xml:",omitempty"`
	Provider string `xml:",omitempty"`
}
