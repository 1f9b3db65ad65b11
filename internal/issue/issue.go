// Package issue is the path from a pod's service account token to AWS
// credentials. It is the one place that gives credentials out, and so the one
// that audits.
package issue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// auditTimeout bounds how long an answer waits for its audit event.
const auditTimeout = 10 * time.Second

// Verifier verifies service account tokens.
type Verifier interface {
	// Verify returns the subject that raw proves in the cluster of that name.
	// Its error is an *identity.Error.
	Verify(ctx context.Context, cluster, raw string) (identity.Subject, error)
}

// Associations knows which service account has which roles.
type Associations interface {
	// Lookup returns the association of a service account. Its error is an
	// *identity.Error, of kind NotFound where there is none.
	Lookup(ctx context.Context, cluster, namespace, serviceAccount string) (identity.Association, error)
}

// RoleAssumer makes role assumptions.
type RoleAssumer interface {
	// AssumeRole assumes the role of hop with the credentials given; nil means
	// podid itself, on the first hop. Its error is an *identity.Error: kind
	// AccessDenied where AWS refused. The error's text says what AWS answered,
	// and holds no secret: it is written to the audit log.
	AssumeRole(ctx context.Context, with *identity.Credentials, hop identity.Hop) (identity.Session, error)
}

// Chains has the sessions at the end of chains.
type Chains interface {
	// Assume returns the hops of a chain in order; the last one's session is the
	// pod's. Its error is that of the last hop, or an *identity.Error of its own.
	Assume(ctx context.Context, a identity.Association, s identity.Subject) ([]Step, error)
}

// Step is one hop, and how it ended.
type Step struct {
	Hop     identity.Hop
	Session identity.Session
	Err     error
	Cached  bool // made for an earlier request
}

// Config says what an Issuer works with. The first three are required, and one
// of Roles and Chains.
type Config struct {
	Verifier     Verifier
	Associations Associations
	Audit        audit.Sink
	// Roles makes every chain anew. Chains, in its place, may remember them.
	Roles  RoleAssumer
	Chains Chains
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// NewSessionID makes the end of session names. Nil: random UUIDs.
	NewSessionID func() string
}

// Issuer issues credentials. It is safe for concurrent use.
type Issuer struct{ config Config }

// New makes an Issuer.
func New(c Config) (*Issuer, error) {
	if c.Verifier == nil || c.Associations == nil || c.Audit == nil || (c.Roles == nil) == (c.Chains == nil) {
		return nil, errors.New("issuing needs a verifier, associations, an audit sink, and either roles or chains")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewSessionID == nil {
		c.NewSessionID = uuid.NewString
	}
	if c.Chains == nil {
		c.Chains = anew{c.Roles, c.NewSessionID}
	}
	return &Issuer{c}, nil
}

// anew makes every chain anew.
type anew struct {
	roles        RoleAssumer
	newSessionID func() string
}

func (n anew) Assume(ctx context.Context, a identity.Association, s identity.Subject) (steps []Step, err error) {
	var with *identity.Credentials
	for _, hop := range Chain(a, s, n.newSessionID()) {
		session, err := n.roles.AssumeRole(ctx, with, hop)
		steps = append(steps, Step{Hop: hop, Session: session, Err: err})
		if err != nil {
			return steps, err
		}
		with = &session.Credentials
	}
	return steps, nil
}

// Request asks for the credentials of a pod.
type Request struct {
	Cluster   string // name
	Token     identity.Secret
	NodeName  string // the node that the caller proved to be; empty: it proved none
	CallerARN string // who signed the request; for the audit event, as are the next two
	SourceIP  string
	RequestID string
}

// Grant is what a pod gets.
type Grant struct {
	Subject     identity.Subject
	Association identity.Association
	Session     identity.Session // of the last hop
}

// Issue gives credentials to the pod that the token is bound to. Every call
// writes one audit event before it returns; if that fails, it returns no grant.
func (i *Issuer) Issue(ctx context.Context, r Request) (*Grant, error) {
	event := audit.New(i.config.Now(), audit.SourceEKSAuth, audit.AssumeRoleForPodIdentity)
	event.RequestID, event.SourceIPAddress, event.ClusterName = r.RequestID, r.SourceIP, r.Cluster
	event.CallerARN, event.CallerNodeName = r.CallerARN, r.NodeName
	grant, err := i.grant(ctx, r, event)
	if auditErr := i.record(ctx, event, err); auditErr != nil {
		return nil, identity.Errorf(identity.Unavailable, "The request cannot be audited, so it is not answered.").
			Because(errors.Join(auditErr, err))
	}
	return grant, err
}

// grant is the path itself. It notes in event how far it came.
func (i *Issuer) grant(ctx context.Context, r Request, event *audit.Event) (*Grant, error) {
	subject, err := i.verify(ctx, r)
	if err != nil {
		return nil, err
	}
	event.Subject = &audit.Subject{
		Namespace: subject.Namespace, ServiceAccount: subject.ServiceAccount, PodName: subject.PodName,
		PodUID: subject.PodUID, NodeName: subject.NodeName, TokenID: subject.TokenID,
	}
	if r.NodeName != "" && r.NodeName != subject.NodeName {
		return nil, identity.Errorf(identity.AccessDenied, "The token included in the request is of a pod on another node.")
	}
	association, err := i.lookup(ctx, r.Cluster, subject)
	if err != nil {
		return nil, err
	}
	event.Association = &audit.Association{ID: association.ID, ARN: association.ARN()}
	steps, err := i.assume(ctx, association, subject)
	for _, step := range steps {
		event.Hops = append(event.Hops, describe(step))
	}
	if err != nil {
		return nil, refusal(steps, err)
	}
	return &Grant{subject, association, steps[len(steps)-1].Session}, nil
}

// refusal says to the caller what AWS says, which is less than AWS told podid
// (https://github.com/aws/eks-pod-identity-agent/issues).
func refusal(steps []Step, err error) error {
	if len(steps) == 0 || steps[len(steps)-1].Err == nil {
		return err
	}
	err = fmt.Errorf("assume %s: %w", steps[len(steps)-1].Hop.RoleARN, err)
	if identity.KindOf(err) == identity.AccessDenied {
		return identity.Errorf(identity.AccessDenied,
			"Unauthorized Exception! EKS does not have permissions to assume the associated role.").Because(err)
	}
	return err
}

// describe returns what the audit event says of a hop.
func describe(s Step) audit.Hop {
	h := audit.Hop{
		RoleARN: s.Hop.RoleARN, SessionName: s.Hop.SessionName, SessionTags: len(s.Hop.Tags) > 0, ExternalID: s.Hop.ExternalID,
		Outcome: audit.Granted, AccessKeyID: s.Session.Credentials.AccessKeyID, AssumedRoleARN: s.Session.AssumedRoleARN,
		AWSRequestID: s.Session.RequestID, Cached: s.Cached,
	}
	if s.Err != nil {
		h.Outcome, h.Error = audit.Refused, audit.Redact(s.Err.Error())
		return h
	}
	expires := s.Session.Credentials.Expires.UTC()
	h.Expires = &expires
	return h
}

// record writes the event, also for a caller who has gone away by now.
func (i *Issuer) record(ctx context.Context, event *audit.Event, err error) error {
	event.Outcome = audit.Granted
	if err != nil {
		event.Outcome = audit.Refused
		event.ErrorCode, event.ErrorMessage = identity.KindOf(err).String(), audit.Redact(identity.SafeMessage(err))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	return i.write(ctx, event)
}
