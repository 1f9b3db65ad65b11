package audit

import (
	"strings"
	"time"
)

// Filter selects events. Its zero value selects all; each field that is set
// narrows it.
type Filter struct {
	Pod            string // name or UID
	Namespace      string // of the pod or the association
	ServiceAccount string // of the pod or the association
	Role           string // ARN or name of a role of any hop, of the association before or after, or to be passed
	Account        string // AWS account of such a role
	User           string // part of the caller's ARN, user name or node
	Outcome        Outcome
	EventName      string
	EventSource    string
	AccessKeyID    string    // of the credentials given, or of the request's signature
	Since          time.Time // not before; zero: no bound
	Until          time.Time // before; zero: no bound
	Text           string    // part of any text of the event, in either case
}

// Match tells whether f selects e. It changes nothing.
func (f *Filter) Match(e *Event) bool {
	return (f.Outcome == "" || e.Outcome == f.Outcome) &&
		(f.EventName == "" || strings.EqualFold(e.EventName, f.EventName)) &&
		(f.EventSource == "" || e.EventSource == f.EventSource) &&
		(f.Since.IsZero() || !e.EventTime.Before(f.Since)) &&
		(f.Until.IsZero() || e.EventTime.Before(f.Until)) &&
		f.matchSubject(e) && f.matchRole(e) && f.matchCaller(e) && f.matchKey(e) && f.matchText(e)
}

func (f *Filter) matchSubject(e *Event) bool {
	if f.Pod != "" && (e.Subject == nil || e.Subject.PodName != f.Pod && e.Subject.PodUID != f.Pod) {
		return false
	}
	if f.Namespace == "" && f.ServiceAccount == "" {
		return true
	}
	of := func(namespace, serviceAccount string) bool {
		return (f.Namespace == "" || f.Namespace == namespace) && (f.ServiceAccount == "" || f.ServiceAccount == serviceAccount)
	}
	if e.Subject != nil && of(e.Subject.Namespace, e.Subject.ServiceAccount) {
		return true
	}
	for _, a := range []*Association{e.Association, e.Before} {
		if a != nil && of(a.Namespace, a.ServiceAccount) {
			return true
		}
	}
	return false
}

func (f *Filter) matchRole(e *Event) bool {
	if f.Role == "" && f.Account == "" {
		return true
	}
	for role := range e.roles {
		if (f.Role == "" || isRole(role, f.Role)) && (f.Account == "" || accountOf(role) == f.Account) {
			return true
		}
	}
	return false
}

// isRole tells whether a role's ARN is wanted, or its name is.
func isRole(arn, wanted string) bool {
	if strings.HasPrefix(wanted, "arn:") {
		return arn == wanted
	}
	return arn[strings.LastIndexByte(arn, '/')+1:] == wanted
}

// accountOf returns the account of an ARN, arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

func (f *Filter) matchCaller(e *Event) bool {
	return f.User == "" || strings.Contains(e.CallerARN, f.User) || strings.Contains(e.CallerUser, f.User) || strings.Contains(e.CallerNodeName, f.User)
}

func (f *Filter) matchKey(e *Event) bool {
	if f.AccessKeyID == "" || e.CallerAccessKeyID == f.AccessKeyID {
		return true
	}
	for _, hop := range e.Hops {
		if hop.AccessKeyID == f.AccessKeyID {
			return true
		}
	}
	return false
}

func (f *Filter) matchText(e *Event) bool {
	if f.Text == "" {
		return true
	}
	wanted := strings.ToLower(f.Text)
	for text := range e.texts {
		if strings.Contains(strings.ToLower(text), wanted) {
			return true
		}
	}
	return false
}

// roles yields the ARNs of the roles that e is about, those of the hops first.
func (e *Event) roles(yield func(string) bool) {
	for _, hop := range e.Hops {
		if !yield(hop.RoleARN) {
			return
		}
	}
	all := []string{e.RoleARN}
	for _, a := range []*Association{e.Association, e.Before} {
		if a != nil {
			all = append(all, a.RoleARN, a.TargetRoleARN)
		}
	}
	for _, role := range all {
		if role != "" && !yield(role) {
			return
		}
	}
}

// texts yields all that is text in e.
func (e *Event) texts(yield func(string) bool) {
	all := []string{
		e.EventID, e.EventSource, e.EventName, e.RequestID, e.SourceIPAddress, e.CallerARN, e.CallerUser, e.CallerAccessKeyID,
		e.CallerNodeName, string(e.Outcome), e.ErrorCode, e.ErrorMessage, e.ClusterName, e.RoleARN,
	}
	all = append(all, e.CallerGroups...)
	if s := e.Subject; s != nil {
		all = append(all, s.Namespace, s.ServiceAccount, s.PodName, s.PodUID, s.NodeName, s.TokenID)
	}
	for _, a := range []*Association{e.Association, e.Before} {
		if a == nil {
			continue
		}
		all = append(all, a.ID, a.ARN, a.Namespace, a.ServiceAccount, a.RoleARN, a.TargetRoleARN, a.ExternalID, a.Policy)
		for k, v := range a.Tags {
			all = append(all, k, v)
		}
	}
	for _, h := range e.Hops {
		all = append(all, h.RoleARN, h.SessionName, h.ExternalID, h.Error, h.AccessKeyID, h.AssumedRoleARN, h.AWSRequestID)
	}
	for _, text := range all {
		if !yield(text) {
			return
		}
	}
}
