package association

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
)

// auditTimeout bounds how long an answer waits for its audit events.
const auditTimeout = 10 * time.Second

// maxGroups bounds the caller's groups in an event: the user says who it was.
const maxGroups = 50

// Auditor writes the audit events of decisions about associations. The zero
// value writes none.
type Auditor struct {
	Sink audit.Sink
	// Logger takes the events of deletions and revocations that Sink did not
	// keep. Nil: nothing.
	Logger *slog.Logger
}

// Decision is one change of an association, from the request for it to its audit
// events. It is its caller, so that it hears which roles the caller may pass.
// It is for one goroutine.
//
// A change that gives something is not made unless its event is kept first. One
// that takes away, which is a deletion or a revocation, is made all the same:
// a full disk must not keep credentials alive that somebody wants dead.
type Decision struct {
	identity.Caller
	auditor   Auditor
	event     *audit.Event
	takesAway bool
	verdicts  []*audit.Event // of iam:PassRole, one for each role
	written   bool           // Admit wrote the event
}

// Decide begins a decision: caller asks at that time for what an event of that
// name is about. Where the request came from is in ctx (audit.WithOrigin).
func (a Auditor) Decide(ctx context.Context, caller identity.Caller, at time.Time, name, cluster string) *Decision {
	origin := audit.OriginOf(ctx)
	e := audit.New(at, origin.EventSource, name)
	e.RequestID, e.SourceIPAddress, e.CallerARN = origin.RequestID, origin.SourceIPAddress, caller.ARN()
	if clusterName.MatchString(cluster) { // else it may be anything
		e.ClusterName = cluster
	}
	if known, ok := caller.(interface {
		User() (name string, groups []string)
	}); ok {
		var groups []string
		e.CallerUser, groups = known.User()
		e.CallerGroups = groups[:min(len(groups), maxGroups)]
	}
	if signed, ok := caller.(interface{ AccessKeyID() string }); ok {
		e.CallerAccessKeyID = signed.AccessKeyID()
	}
	takesAway := name == audit.DeletePodIdentityAssociation || name == audit.RevokePodIdentityAssociation
	return &Decision{Caller: caller, auditor: a, event: e, takesAway: takesAway}
}

// Authorize asks the caller's judge, and notes what it says of passing a role.
func (d *Decision) Authorize(ctx context.Context, access identity.Access) error {
	err := d.Caller.Authorize(ctx, access)
	if access.Action != "iam:PassRole" || d.written {
		return err
	}
	verdict := *d.event
	again := audit.New(d.event.EventTime, d.event.EventSource, audit.PassRole)
	verdict.EventID, verdict.EventName, verdict.RoleARN = again.EventID, again.EventName, access.Resource
	verdict.Association, verdict.Before = &audit.Association{Namespace: access.Namespace, ServiceAccount: access.ServiceAccount}, nil
	conclude(&verdict, audit.Granted, err)
	for i, earlier := range d.verdicts {
		if earlier.RoleARN == verdict.RoleARN { // judged anew, as the association moved in between
			d.verdicts[i] = &verdict
			return err
		}
	}
	d.verdicts = append(d.verdicts, &verdict)
	return err
}

// of says which association the request is about, as far as it is known.
func (d *Decision) of(a identity.Association) {
	if d.written {
		return
	}
	d.event.Before = recorded(&a)
}

// Changes says what the association is and what it is to be; nil: it is not
// there. What breaks the rules is not recorded, since it may hold anything.
func (d *Decision) Changes(before, after *identity.Association) {
	if d.written {
		return
	}
	if after != nil && (Rules{}).Validate(*after) != nil {
		after = nil
	}
	d.event.Before, d.event.Association = recorded(before), recorded(after)
	if before == nil && after != nil {
		// The store makes its id.
		d.event.Association.ID, d.event.Association.ARN = "", ""
	}
}

func recorded(a *identity.Association) *audit.Association {
	if a == nil {
		return nil
	}
	r := &audit.Association{
		ID: a.ID, ARN: a.ARN(), Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, RoleARN: a.RoleARN, TargetRoleARN: a.TargetRoleARN,
		DisableSessionTags: a.DisableSessionTags, ExternalID: a.ExternalID(), Policy: a.Policy, Tags: a.Tags,
	}
	if !a.RevokedAt.IsZero() {
		at := a.RevokedAt.UTC()
		r.RevokedAt = &at
	}
	return r
}

// errUnaudited marks what was refused since it could not be audited.
var errUnaudited = errors.New("an audit event was not kept")

// Admit writes the event, once: the change is allowed, and about to be made. Its
// error, an *identity.Error of kind Unavailable, says not to make it.
func (d *Decision) Admit(ctx context.Context) error {
	if d.written {
		return nil
	}
	conclude(d.event, audit.Admitted, nil)
	err := d.write(ctx)
	if err != nil && d.takesAway {
		d.auditor.logger().ErrorContext(ctx, "an audit event was not kept, and the change is made all the same, since it takes access away",
			"event", d.event, "error", err)
		err = nil
	}
	if err != nil {
		return identity.Errorf(identity.Unavailable, "The change cannot be audited, so it is not made.").Because(errors.Join(errUnaudited, err))
	}
	d.written = true
	return nil
}

// End says how the request ended, and returns its error: of one that failed, an
// event of its own is written, unless it failed for want of one.
func (d *Decision) End(ctx context.Context, err error) error {
	switch {
	case err == nil: // most are written; a request that came for the second time changed nothing
		return d.Admit(ctx)
	case errors.Is(err, errUnaudited):
		return err
	}
	if d.written { // the store did not take it
		again := *d.event
		again.EventID = audit.New(d.event.EventTime, "", "").EventID
		d.event = &again
	}
	conclude(d.event, audit.Refused, err)
	if failed := d.write(ctx); failed != nil {
		return identity.Errorf(identity.Unavailable, "The request cannot be audited, so it is not answered.").Because(errors.Join(errUnaudited, failed, err))
	}
	return err
}

func conclude(e *audit.Event, outcome audit.Outcome, err error) {
	e.Outcome = outcome
	if err != nil {
		e.Outcome, e.ErrorCode, e.ErrorMessage = audit.Refused, identity.KindOf(err).String(), audit.Redact(identity.SafeMessage(err))
	}
}

// write writes the verdicts, once, and then the event: also for a caller who has
// gone away by now.
func (d *Decision) write(ctx context.Context) error {
	if d.auditor.Sink == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	for len(d.verdicts) > 0 {
		if err := d.auditor.Sink.Write(ctx, d.verdicts[0]); err != nil {
			return fmt.Errorf("verdict on passing %s: %w", d.verdicts[0].RoleARN, err)
		}
		d.verdicts = d.verdicts[1:]
	}
	return d.auditor.Sink.Write(ctx, d.event)
}

func (a Auditor) logger() *slog.Logger {
	if a.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Logger
}
