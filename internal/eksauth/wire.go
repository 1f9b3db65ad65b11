package eksauth

import (
	"regexp"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/changes"
)

// clusterName is the pattern of names, as the model has it.
var clusterName = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)

// The shapes of AssumeRoleForPodIdentity
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html,
// model eks-auth 2023-11-26). Newer SDKs also send eksNodeName, instanceId and
// zone; nothing documents what they are for, and they are ignored.
type request struct {
	Token string `json:"token"`
}

type reply struct {
	Subject         subject         `json:"subject"`
	Audience        string          `json:"audience"`
	Association     association     `json:"podIdentityAssociation"`
	AssumedRoleUser assumedRoleUser `json:"assumedRoleUser"`
	Credentials     credentials     `json:"credentials"`
}

type subject struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
}

type association struct {
	ARN string `json:"associationArn"`
	ID  string `json:"associationId"`
}

type assumedRoleUser struct {
	ARN string `json:"arn"`
	ID  string `json:"assumeRoleId"` // so spelled; STS says AssumedRoleId
}

type credentials struct {
	AccessKeyID     string            `json:"accessKeyId"`
	SecretAccessKey string            `json:"secretAccessKey"`
	SessionToken    string            `json:"sessionToken"`
	Expiration      awswire.Timestamp `json:"expiration"`
}

// listenRequest is the body of podid's own POST /clusters/{clusterName}/changes.
type listenRequest struct {
	// Since is the highest sequence that the agent has heard of.
	Since uint64            `json:"since"`
	Held  []heldAssociation `json:"held"`
}

type heldAssociation struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	AssociationID  string `json:"associationId"`
	Version        string `json:"version"`
}

// wireChange is one line of the answer.
type wireChange struct {
	Type           string `json:"type"`
	Sequence       uint64 `json:"sequence"`
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
	AssociationID  string `json:"associationId,omitempty"`
	Version        string `json:"version,omitempty"` // of changed; none: deleted
}

// The types of lines.
const (
	typeChanged = "changed"
	typeCurrent = "current" // what was asked about, and not said to have changed, is so
	typeAlive   = "alive"
)

func wireOf(c changes.Change) wireChange {
	return wireChange{
		Type: typeChanged, Sequence: c.Sequence, Namespace: c.Namespace, ServiceAccount: c.ServiceAccount,
		AssociationID: c.AssociationID, Version: c.Version,
	}
}

// failure is the body of an error. AWS's own services spell it both ways.
type failure struct {
	Message      string `json:"message"`
	UpperMessage string `json:"Message"`
	Type         string `json:"__type"`
	Code         string `json:"code"`
}
