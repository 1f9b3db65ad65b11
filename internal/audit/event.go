// Package audit records every decision that podid takes: who was given which
// credentials, who changed which association, which role they might pass. A
// credential that cannot be audited is not given, so a Sink either keeps an
// event whole or says that it did not.
package audit

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Version is the version of Event's form, MAJOR.MINOR as CloudTrail's: the
// second number grows when a field is added, the first when one changes its
// meaning or goes away.
const Version = "1.1"

// Outcome is how a decision came out.
type Outcome string

// The outcomes.
const (
	// Granted: credentials were given; of a PassRole, the role may be passed.
	Granted Outcome = "granted"
	// Refused: nothing was given, or changed.
	Refused Outcome = "refused"
	// Admitted: a change was allowed, and about to be stored. If it then was not,
	// an event of the same request ID and the outcome refused follows; of a change
	// through the Kubernetes API only the API server knows.
	Admitted Outcome = "admitted"
)

// The event sources: the doors of podid.
const (
	SourceEKSAuth    = "eks-auth.amazonaws.com" // AssumeRoleForPodIdentity
	SourceEKS        = "eks.amazonaws.com"      // the association API
	SourceKubernetes = "kubernetes.podid.dev"   // kubectl and the like, seen by the admission webhook
	SourceConsole    = "console.podid.dev"
)

// The names of events: AWS's of their operations, and podid's own RevokePodIdentityAssociation.
const (
	AssumeRoleForPodIdentity     = "AssumeRoleForPodIdentity"
	CreatePodIdentityAssociation = "CreatePodIdentityAssociation"
	UpdatePodIdentityAssociation = "UpdatePodIdentityAssociation"
	DeletePodIdentityAssociation = "DeletePodIdentityAssociation"
	RevokePodIdentityAssociation = "RevokePodIdentityAssociation"
	TagResource                  = "TagResource"
	UntagResource                = "UntagResource"
	PassRole                     = "PassRole"
)

// Event is one decision. Its names follow CloudTrail's
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html);
// docs/audit.md describes each. It never holds a token, a secret key or a
// session token.
type Event struct {
	EventVersion      string       `json:"eventVersion"`
	EventID           string       `json:"eventID,omitempty"` // unique
	EventTime         time.Time    `json:"eventTime"`         // of the request's arrival
	EventSource       string       `json:"eventSource,omitempty"`
	EventName         string       `json:"eventName"`
	RequestID         string       `json:"requestID,omitempty"` // podid's own, as answered in x-amzn-requestid; of admission, the review's uid
	SourceIPAddress   string       `json:"sourceIPAddress,omitempty"`
	CallerARN         string       `json:"callerArn,omitempty"`         // who sent the request, such as a node's role
	CallerUser        string       `json:"callerUser,omitempty"`        // the same, as Kubernetes knows them
	CallerGroups      []string     `json:"callerGroups,omitempty"`      // of CallerUser
	CallerAccessKeyID string       `json:"callerAccessKeyId,omitempty"` // that signed the request
	CallerNodeName    string       `json:"callerNodeName,omitempty"`    // the node that the caller proved to be the agent of
	Outcome           Outcome      `json:"outcome"`
	ErrorCode         string       `json:"errorCode,omitempty"`    // identity.Kind in words
	ErrorMessage      string       `json:"errorMessage,omitempty"` // as shown to the caller
	ClusterName       string       `json:"clusterName"`
	Subject           *Subject     `json:"subject,omitempty"`           // of credentials: once the token is verified
	Association       *Association `json:"association,omitempty"`       // once it is known; of a change, as it is to be
	Before            *Association `json:"associationBefore,omitempty"` // of a change, as it was
	RoleARN           string       `json:"roleArn,omitempty"`           // of PassRole: the role to be passed
	Hops              []Hop        `json:"hops,omitempty"`              // of credentials, in the order in which they were tried
}

// New returns an event that happened at that time, with an id of its own.
func New(at time.Time, source, name string) *Event {
	return &Event{EventVersion: Version, EventID: uuid.NewString(), EventTime: at.UTC(), EventSource: source, EventName: name}
}

// Subject is the pod that asked, as its token proved it.
type Subject struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	PodName        string `json:"podName"`
	PodUID         string `json:"podUid"`
	NodeName       string `json:"nodeName,omitempty"`
	TokenID        string `json:"tokenId,omitempty"` // jti, under which the API server's audit log knows the token
}

// Association is what entitles pods. Of credentials it has only its id and ARN:
// the rest is in the subject and the hops.
type Association struct {
	ID                 string            `json:"associationId,omitempty"` // empty: it has none yet
	ARN                string            `json:"associationArn,omitempty"`
	Namespace          string            `json:"namespace,omitempty"`
	ServiceAccount     string            `json:"serviceAccount,omitempty"`
	RoleARN            string            `json:"roleArn,omitempty"`
	TargetRoleARN      string            `json:"targetRoleArn,omitempty"`
	DisableSessionTags bool              `json:"disableSessionTags,omitempty"`
	ExternalID         string            `json:"externalId,omitempty"`
	Policy             string            `json:"policy,omitempty"` // session policy
	Tags               map[string]string `json:"tags,omitempty"`
	RevokedAt          *time.Time        `json:"revokedAt,omitempty"` // credentials made before are not to be used
}

// Hop is one role assumption.
type Hop struct {
	RoleARN        string     `json:"roleArn"`
	SessionName    string     `json:"roleSessionName"`
	SessionTags    bool       `json:"sessionTags"` // whether this hop sets the six tags
	ExternalID     string     `json:"externalId,omitempty"`
	Outcome        Outcome    `json:"outcome"`
	Error          string     `json:"error,omitempty"`          // what AWS answered; the caller is not shown it
	AccessKeyID    string     `json:"accessKeyId,omitempty"`    // of the credentials made: no secret, and CloudTrail's userIdentity.accessKeyId of what is done with them
	AssumedRoleARN string     `json:"assumedRoleArn,omitempty"` // CloudTrail's userIdentity.arn of the same
	AWSRequestID   string     `json:"awsRequestId,omitempty"`   // requestID of CloudTrail's event of the AssumeRole
	Expires        *time.Time `json:"expiration,omitempty"`
	Cached         bool       `json:"cached,omitempty"` // assumed for an earlier request
}

// Sink keeps events. Write returns nil only once the event is kept whole. It
// neither changes the event nor holds on to it.
type Sink interface {
	Write(ctx context.Context, e *Event) error
}

// Multi returns a Sink that writes to all of sinks, each of which must keep the
// event. All are tried, whatever the others say.
func Multi(sinks ...Sink) Sink { return multi(sinks) }

type multi []Sink

func (m multi) Write(ctx context.Context, e *Event) error {
	errs := make([]error, len(m))
	for i, sink := range m {
		errs[i] = sink.Write(ctx, e)
	}
	return errors.Join(errs...)
}

// Then returns a Sink that writes to sink and, once it has kept the event, to
// the others, whose failure is the event's too. So whoever looks at the others
// finds no decision that came to nothing because it could not be audited.
func Then(sink Sink, others ...Sink) Sink { return then{sink, others} }

type then struct {
	first  Sink
	others multi
}

func (t then) Write(ctx context.Context, e *Event) error {
	if err := t.first.Write(ctx, e); err != nil {
		return err
	}
	return t.others.Write(ctx, e)
}
