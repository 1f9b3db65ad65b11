package awssim

import (
	"time"

	"github.com/podid/podid/internal/identity"
)

// World is what the small AWS starts with. It is applied only to a storage that
// is new; after that the storage is the truth.
type World struct {
	Accounts     []Account
	Organization *Organization // nil: the accounts belong to none
}

// Account is one AWS account.
type Account struct {
	ID            string // 12 digits
	Name          string
	Users         []User
	Roles         []Role
	Policies      []ManagedPolicy
	Buckets       []Bucket
	OIDCProviders []OIDCProvider
}

// User is an IAM user.
type User struct {
	Name                string
	Path                string            // "": "/"
	InlinePolicies      map[string]string // name -> document
	ManagedPolicies     []string          // ARNs, AWS's own or of this account
	PermissionsBoundary string            // ARN of a managed policy
	Tags                []identity.Tag
	AccessKeys          []AccessKey
}

// AccessKey is a long-term key. Where ID is empty, one is made.
type AccessKey struct {
	ID     string
	Secret identity.Secret
}

// Role is an IAM role.
type Role struct {
	Name                string
	Path                string // "": "/"
	Description         string
	TrustPolicy         string
	InlinePolicies      map[string]string
	ManagedPolicies     []string
	PermissionsBoundary string
	Tags                []identity.Tag
	MaxSessionDuration  time.Duration // 0: one hour
}

// ManagedPolicy is a customer managed policy.
type ManagedPolicy struct {
	Name        string
	Path        string // "": "/"
	Description string
	Document    string
}

// Bucket is an S3 bucket. Names are one namespace for all accounts.
type Bucket struct {
	Name    string
	Region  string            // "": Config.Region
	Policy  string            // "": none
	Objects map[string]string // key -> content
}

// OIDCProvider is an issuer of web identities that an account trusts.
type OIDCProvider struct {
	URL         string // https://issuer, or http:// on loopback
	ClientIDs   []string
	Thumbprints []string
}

// Organization puts accounts under service control policies and resource
// control policies
// (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_introduction.html).
type Organization struct {
	ID                  string // "o-" and 10 to 32 of a-z0-9
	ManagementAccountID string // exempt from SCPs and RCPs
	Root                Unit
}

// Unit is the root of an organization or one of its units. An account that is
// to have policies of its own is put in a unit of its own: they act the same.
type Unit struct {
	Name string
	// SCPs are all that is attached here, name -> document. An empty map stands
	// for AWS's FullAWSAccess, which is attached where nobody detached it; beside
	// others it has to be named, with an empty document.
	SCPs map[string]string
	// RCPs are attached here, name -> document.
	RCPs     map[string]string
	Accounts []string // ids
	Units    []Unit
}
