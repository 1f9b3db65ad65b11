// Package eksauth is the EKS Auth API: its handler, and the client that agents
// use (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html).
package eksauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
)

// Config says what the handler works with. Issue, Cluster and Caller are required.
type Config struct {
	// Issue answers a request; an issue.Issuer's Issue does.
	Issue func(context.Context, issue.Request) (*issue.Grant, error)
	// Cluster finds a cluster by name.
	Cluster func(name string) (identity.Cluster, bool)
	// Caller returns who sent the request; a NodeCaller, if that was the agent of
	// a node. Its error is answered as awswire.RESTJSON answers it, before
	// anything else is looked at.
	Caller func(*http.Request) (identity.Caller, error)
	// Lease is how long a pod may hold credentials before its agent asks again,
	// so that a change of its association reaches it. 0: until they expire.
	Lease time.Duration
	// Changes are told to agents that listen at podid's own door, POST
	// /clusters/{clusterName}/changes; and no grant comes from an earlier state
	// than its agent has heard of. Nil: there is no such door.
	Changes *changes.Feed
	// Streaming is told of each agent that begins to listen at that door, by the
	// name of its node, "" if it proved none; what it returns is called at the end.
	// Nil: nobody to tell.
	Streaming func(node string) (end func())
	// Told is told how an agent says that it is, by the name of the node that it
	// proved. Nil: there is no such door.
	Told func(node string, s AgentStatus)
	// Delivered is told how long after this process saw a change it was written
	// to an agent. Nil: nobody to tell.
	Delivered func(time.Duration)
	// Lookup finds the association of a service account, as Issue does; an
	// issue.Associations' Lookup does. Required with Changes.
	Lookup func(ctx context.Context, cluster, namespace, serviceAccount string) (identity.Association, error)
}

// NodeCaller is a caller who has proved to be the agent of one node. It is given
// credentials for the pods of that node alone.
type NodeCaller interface {
	identity.Caller
	// NodeName is the node's name. A NodeCaller without one is refused.
	NodeName() string
}

// New makes the handler of the EKS Auth API.
func New(c Config) (http.Handler, error) {
	if c.Issue == nil || c.Cluster == nil || c.Caller == nil {
		return nil, errors.New("eksauth: Issue, Cluster and Caller are required")
	}
	if c.Changes != nil && c.Lookup == nil {
		return nil, errors.New("eksauth: Changes need Lookup")
	}
	if c.Lease < 0 || c.Lease > maxLease {
		return nil, fmt.Errorf("eksauth: a lease of %v: want at most %v", c.Lease, maxLease)
	}
	if c.Streaming == nil {
		c.Streaming = func(string) func() { return func() {} }
	}
	if c.Delivered == nil {
		c.Delivered = func(time.Duration) {}
	}
	mux := http.NewServeMux()
	serve := func(pattern string, do func(http.ResponseWriter, *http.Request, identity.Caller) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			caller, err := c.Caller(r)
			if err != nil {
				awswire.RESTJSON{}.WriteError(w, r, err)
				return
			}
			if err := do(w, r, caller); err != nil {
				awswire.RESTJSON{}.WriteError(w, r, exception(err))
			}
		})
	}
	serve("POST /clusters/{clusterName}/assume-role-for-pod-identity", c.assumeRole)
	if c.Changes != nil {
		serve("POST /clusters/{clusterName}/changes", c.listen)
	}
	if c.Told != nil {
		serve("POST /clusters/{clusterName}/agent", c.told)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		awswire.RESTJSON{}.WriteError(w, r, &awswire.Error{Code: "UnknownOperationException", Status: http.StatusNotFound,
			Message: "EKS Auth has one operation: POST /clusters/{clusterName}/assume-role-for-pod-identity."})
	})
	return mux, nil
}

func (c Config) assumeRole(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	cluster, node, err := c.authorized(r, caller)
	if err != nil {
		return err
	}
	var in request
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return err
	}
	if !identity.IsToken(in.Token) {
		return identity.Errorf(identity.InvalidParameter, "token: want a service account token, three parts in base64url joined by dots.")
	}
	rest := sayAlive(w, r)
	defer rest()
	sequence, err := c.caughtUp(r)
	if err != nil {
		rest()
		return err
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	grant, err := c.Issue(r.Context(), issue.Request{
		Cluster: cluster.Name, Token: identity.Secret(in.Token), NodeName: node, CallerARN: caller.ARN(), SourceIP: source, RequestID: awswire.RequestID(r.Context()),
	})
	rest()
	if err != nil {
		return err
	}
	if c.Lease > 0 {
		w.Header().Set(LeaseHeader, strconv.FormatInt(int64(c.Lease/time.Second), 10))
	}
	if c.Changes != nil {
		w.Header().Set(SequenceHeader, strconv.FormatUint(sequence, 10))
		w.Header().Set(VersionHeader, grant.Association.Version())
	}
	awswire.WriteJSON(w, r, http.StatusOK, wireReply(grant))
	return nil
}

// authorized finds the cluster that r is about, for a caller who may assume
// roles there, and the node whose agent that is, if it is one's.
func (c Config) authorized(r *http.Request, caller identity.Caller) (cluster identity.Cluster, node string, err error) {
	name := r.PathValue("clusterName")
	if !clusterName.MatchString(name) {
		return cluster, "", identity.Errorf(identity.InvalidParameter, "clusterName: want 1-100 letters, digits, - and _, beginning with a letter or digit.")
	}
	cluster, ok := c.Cluster(name)
	// Clusters have no policy that could let another account in, and what that
	// account may not see does not exist for it.
	if !ok || caller.AccountID() != cluster.AccountID {
		return cluster, "", identity.Errorf(identity.NotFound, "No cluster found for name: %s.", name)
	}
	if err := caller.Authorize(r.Context(), identity.Access{Action: Service + ":AssumeRoleForPodIdentity", Resource: cluster.ARN()}); err != nil {
		return cluster, "", &forbidden{err}
	}
	if agent, ok := caller.(NodeCaller); ok {
		if node = agent.NodeName(); node == "" {
			return cluster, "", &forbidden{identity.Errorf(identity.AccessDenied, "The agent's token names no node.")}
		}
	}
	return cluster, node, nil
}

func wireReply(g *issue.Grant) *reply {
	c := g.Session.Credentials
	return &reply{
		Subject:         subject{Namespace: g.Subject.Namespace, ServiceAccount: g.Subject.ServiceAccount},
		Audience:        identity.Audience,
		Association:     association{ARN: g.Association.ARN(), ID: g.Association.ID},
		AssumedRoleUser: assumedRoleUser{ARN: g.Session.AssumedRoleARN, ID: g.Session.AssumedRoleID},
		Credentials: credentials{
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
			Expiration: awswire.Timestamp(c.Expires),
		},
	}
}

// forbidden marks the refusal of the caller itself by IAM, which is a 403 as
// everywhere; that of a role is a 400.
type forbidden struct{ error }

func (f *forbidden) Unwrap() error { return f.error }

// exceptions is the API's one table (model eks-auth 2023-11-26).
var exceptions = map[identity.Kind]struct {
	code   string
	status int
}{
	identity.AccessDenied:     {"AccessDeniedException", http.StatusBadRequest},
	identity.InvalidToken:     {"InvalidTokenException", http.StatusBadRequest},
	identity.ExpiredToken:     {"ExpiredTokenException", http.StatusBadRequest},
	identity.InvalidParameter: {"InvalidParameterException", http.StatusBadRequest},
	identity.InvalidRequest:   {"InvalidRequestException", http.StatusBadRequest},
	identity.NotFound:         {"ResourceNotFoundException", http.StatusNotFound},
	identity.Throttled:        {"ThrottlingException", http.StatusTooManyRequests},
	identity.Unavailable:      {"ServiceUnavailableException", http.StatusServiceUnavailable},
	identity.Internal:         {"InternalServerException", http.StatusInternalServerError},
}

func exception(err error) *awswire.Error {
	kind := identity.KindOf(err)
	if _, behind := errors.AsType[*behind](err); behind {
		return &awswire.Error{Code: behindException, Status: http.StatusServiceUnavailable, Message: identity.SafeMessage(err)}
	}
	row, ok := exceptions[kind]
	if !ok {
		row, err = exceptions[identity.Internal], nil
	}
	if _, caller := errors.AsType[*forbidden](err); caller && kind == identity.AccessDenied {
		row.status = http.StatusForbidden
	}
	answer := &awswire.Error{Code: row.code, Status: row.status, Message: identity.SafeMessage(err)}
	if e, ok := errors.AsType[*identity.Error](err); ok {
		answer.RetryAfter = e.RetryAfter
	}
	return answer
}

// maxLease is longer than any credentials live
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
const maxLease = 12 * time.Hour
