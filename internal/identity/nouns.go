// Package identity holds podid's nouns: what an association, a subject, a hop
// and credentials are. It does no I/O and imports the standard library alone.
package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Audience is the audience of every service account token that podid accepts
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html).
const Audience = "pods.eks.amazonaws.com"

// ServicePrincipal is the AWS service that assumes Pod Identity roles
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html).
const ServicePrincipal = "pods.eks.amazonaws.com"

// Cluster is one Kubernetes cluster as AWS would name it.
type Cluster struct {
	Name      string
	Region    string
	AccountID string
}

// ARN returns the cluster's ARN.
func (c Cluster) ARN() string {
	return ARN{Partition(c.Region), "eks", c.Region, c.AccountID, "cluster/" + c.Name}.String()
}

// Subject is who asks for credentials, as the service account token proves it.
type Subject struct {
	Namespace         string
	ServiceAccount    string
	ServiceAccountUID string
	PodName           string
	PodUID            string
	NodeName          string // empty where the token is not bound to a node
	NodeUID           string
	TokenID           string    // jti; empty where the issuer sets none
	Expires           time.Time // of the token
}

// Association binds the service account of a cluster to a Pod Identity role
// and, if TargetRoleARN is set, a target role.
type Association struct {
	ID                 string // "a-" and 17 of a-z0-9
	Cluster            Cluster
	Namespace          string
	ServiceAccount     string
	RoleARN            string
	TargetRoleARN      string
	DisableSessionTags bool
	Policy             string // session policy, IAM JSON
	Tags               map[string]string
	OwnerARN           string
	CreatedAt          time.Time
	ModifiedAt         time.Time
	RevokedAt          time.Time // credentials made before it are not to be used; zero: never revoked
}

// Version stands for everything that credentials made for a depend on, in 16
// hexadecimal digits: what was made for another version is not a's any more.
func (a Association) Version() string {
	revoked := int64(0) // the zero time is before 1970
	if !a.RevokedAt.IsZero() {
		revoked = a.RevokedAt.UnixMilli()
	}
	// Quoted, so that no two associations spell the same.
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %t %d", a.ID, a.RoleARN, a.TargetRoleARN, a.Policy, a.DisableSessionTags, revoked))
	return hex.EncodeToString(sum[:8])
}

// ARN returns arn:PARTITION:eks:REGION:ACCOUNT:podidentityassociation/CLUSTER/ID.
func (a Association) ARN() string {
	c := a.Cluster
	return ARN{Partition(c.Region), "eks", c.Region, c.AccountID, "podidentityassociation/" + c.Name + "/" + a.ID}.String()
}

// ExternalID is sent on the second hop. It is REGION/ACCOUNT/CLUSTER/NAMESPACE/SERVICEACCOUNT,
// and empty for an association without a target role
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html).
func (a Association) ExternalID() string {
	if a.TargetRoleARN == "" {
		return ""
	}
	c := a.Cluster
	return c.Region + "/" + c.AccountID + "/" + c.Name + "/" + a.Namespace + "/" + a.ServiceAccount
}

// Tag is one session tag. Tags keep the order in which they are sent.
type Tag struct{ Key, Value string }

// Hop is one sts:AssumeRole as podid asks for it.
type Hop struct {
	Cluster           Cluster // on whose behalf
	RoleARN           string
	SessionName       string
	Duration          time.Duration
	Tags              []Tag
	TransitiveTagKeys []string
	ExternalID        string
	Policy            string
}

// Session is what an assumed role gives.
type Session struct {
	Credentials    Credentials
	AssumedRoleARN string // arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	AssumedRoleID  string // AROA...:SESSION
	// Issued is when by AWS's clock, to the second; it is what aws:TokenIssueTime
	// of the session's requests says. Zero: unknown.
	Issued time.Time
	// RequestID is AWS's of the role assumption; "": unknown. CloudTrail's event of it has it.
	RequestID string
}

// Access is one thing that a caller wants to do.
type Access struct {
	Action   string              // "eks:CreatePodIdentityAssociation"
	Resource string              // ARN
	Context  map[string][]string // condition keys that the service sets
	// Namespace and ServiceAccount are those of the association that Resource
	// is or will be; when listing, those asked for. Empty: unknown, or any. IAM
	// has no use for them; RBAC judges by them.
	Namespace, ServiceAccount string
}

// Caller is who signed a request, and the judge of what they may do.
// Authorize returns nil or an *Error of kind AccessDenied with AWS's text.
type Caller interface {
	ARN() string
	AccountID() string
	Authorize(ctx context.Context, access Access) error
}
