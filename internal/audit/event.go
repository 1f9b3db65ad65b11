// Package audit records who was given which credentials. A credential that
// cannot be audited is not given, so a Sink either keeps an event whole or
// says that it did not.
package audit

import (
	"context"
	"errors"
	"time"
)

// Version is the version of Event's form. It changes when a field changes its
// meaning or goes away, not when one is added.
const Version = "1.0"

// Outcome is how a request ended.
type Outcome string

// The outcomes.
const (
	Granted Outcome = "granted"
	Refused Outcome = "refused"
)

// Event is one request for credentials, from its arrival to its answer. Its
// names follow CloudTrail's
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
// It never holds a token, a secret key or a session token.
type Event struct {
	EventVersion    string       `json:"eventVersion"`
	EventTime       time.Time    `json:"eventTime"` // of the request's arrival
	EventName       string       `json:"eventName"` // "AssumeRoleForPodIdentity"
	RequestID       string       `json:"requestID,omitempty"`
	SourceIPAddress string       `json:"sourceIPAddress,omitempty"`
	CallerARN       string       `json:"callerArn,omitempty"`      // who sent the request, such as a node's role
	CallerNodeName  string       `json:"callerNodeName,omitempty"` // the node that the caller proved to be the agent of
	Outcome         Outcome      `json:"outcome"`
	ErrorCode       string       `json:"errorCode,omitempty"`    // identity.Kind in words
	ErrorMessage    string       `json:"errorMessage,omitempty"` // as shown to the caller
	ClusterName     string       `json:"clusterName"`
	Subject         *Subject     `json:"subject,omitempty"`     // once the token is verified
	Association     *Association `json:"association,omitempty"` // once it is found
	Hops            []Hop        `json:"hops,omitempty"`        // in the order in which they were tried
}

// Subject is who asked, as the token proved it.
type Subject struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	PodName        string `json:"podName"`
	PodUID         string `json:"podUid"`
	NodeName       string `json:"nodeName,omitempty"`
	TokenID        string `json:"tokenId,omitempty"` // jti, under which the API server's audit log knows the token
}

// Association is what entitled them.
type Association struct {
	ID  string `json:"associationId"`
	ARN string `json:"associationArn"`
}

// Hop is one role assumption.
type Hop struct {
	RoleARN     string     `json:"roleArn"`
	SessionName string     `json:"roleSessionName"`
	SessionTags bool       `json:"sessionTags"` // whether this hop sets the six tags
	ExternalID  string     `json:"externalId,omitempty"`
	Outcome     Outcome    `json:"outcome"`
	Error       string     `json:"error,omitempty"` // what AWS answered; the caller is not shown it
	AccessKeyID string     `json:"accessKeyId,omitempty"`
	Expires     *time.Time `json:"expiration,omitempty"`
	Cached      bool       `json:"cached,omitempty"` // assumed for an earlier request
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
