package server

import (
	"context"
	"net/http"

	kubeevents "k8s.io/client-go/tools/events"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/controller"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/rbac"
)

// telling makes Kubernetes Events of refusals, for those whose pods they are.
func (s *server) telling() (err error) {
	s.events = kubeevents.NewBroadcaster(&kubeevents.EventSinkImpl{Interface: s.cluster.client.EventsV1()})
	s.refused, err = controller.NewRefused(controller.RefusedConfig{Events: s.events.NewRecorder(s.cluster.scheme, "podid"), Object: s.store.Object})
	s.config.Audit = audit.Then(s.config.Audit, s.refused)
	return err
}

// runEvents sends them until ctx ends.
func (s *server) runEvents(ctx context.Context) error {
	defer s.events.Shutdown()
	if err := s.events.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// auditEvents answers queries for the audit events that this replica has in
// memory. Who may see them, RBAC says: all, or those of the namespace asked for.
func (s *server) auditEvents(caller func(*http.Request) (identity.Caller, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := s.auditReply(r, caller)
		if err != nil {
			awswire.RESTJSON{}.WriteError(w, r, auditError(err))
			return
		}
		awswire.WriteJSON(w, r, http.StatusOK, reply)
	})
}

func (s *server) auditReply(r *http.Request, caller func(*http.Request) (identity.Caller, error)) (reply audit.Reply, err error) {
	who, err := caller(r)
	if err != nil {
		return reply, err
	}
	q, err := audit.ParseQuery(r.URL.Query())
	if err != nil {
		return reply, identity.Errorf(identity.InvalidParameter, "%v", err)
	}
	access := identity.Access{Action: rbac.ListAuditEvents, Resource: s.config.Cluster.ARN(), Namespace: q.Filter.Namespace}
	if err := who.Authorize(r.Context(), access); err != nil {
		return reply, err
	}
	if reply, err = s.recent.Answer(q); err != nil {
		return reply, identity.Errorf(identity.InvalidParameter, "%v", err)
	}
	return reply, nil
}

// auditError is the table of exceptions of the audit door. What is no
// *identity.Error has its own name already.
func auditError(err error) error {
	e := &awswire.Error{Message: identity.SafeMessage(err)}
	switch identity.KindOf(err) {
	case identity.InvalidParameter:
		e.Code, e.Status = "InvalidParameterException", http.StatusBadRequest
	case identity.AccessDenied:
		e.Code, e.Status = "AccessDeniedException", http.StatusForbidden
	case identity.Unavailable:
		e.Code, e.Status = "ServiceUnavailableException", http.StatusServiceUnavailable
	default:
		return err
	}
	return e
}
