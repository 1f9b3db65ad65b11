package audit

import (
	"cmp"
	"slices"
)

// Who returns, for people, who is behind the event: of credentials the pod, of a
// change whoever asked for it.
func (e *Event) Who() string {
	if s := e.Subject; s != nil {
		return s.Namespace + "/" + s.ServiceAccount + " (" + s.PodName + ")"
	}
	return cmp.Or(e.CallerUser, e.CallerARN)
}

// Role returns the role that it is about in the end: the one passed, that of the
// last hop, or else the one whose credentials the association gives.
func (e *Event) Role() string {
	if e.RoleARN != "" {
		return e.RoleARN
	}
	if len(e.Hops) > 0 {
		return e.Hops[len(e.Hops)-1].RoleARN
	}
	for _, a := range []*Association{e.Association, e.Before} {
		if a != nil && a.RoleARN != "" {
			return cmp.Or(a.TargetRoleARN, a.RoleARN)
		}
	}
	return ""
}

// AssociationID returns the id of the association, if it had one.
func (e *Event) AssociationID() string {
	for _, a := range []*Association{e.Association, e.Before} {
		if a != nil && a.ID != "" {
			return a.ID
		}
	}
	return ""
}

// Detail returns, for people, what else they would want to know: why it was
// refused, or which service account a change is about.
func (e *Event) Detail() string {
	if e.Outcome == Refused {
		if i := slices.IndexFunc(e.Hops, func(h Hop) bool { return h.Error != "" }); i >= 0 {
			return e.Hops[i].Error
		}
		return cmp.Or(e.ErrorMessage, e.ErrorCode)
	}
	for _, a := range []*Association{e.Association, e.Before} {
		if a != nil && a.ServiceAccount != "" {
			return a.Namespace + "/" + a.ServiceAccount
		}
	}
	return ""
}
