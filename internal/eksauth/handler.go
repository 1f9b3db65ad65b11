// Package eksauth is the EKS Auth API: its handler, and the client that agents
// use (https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html).
package eksauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/podid/podid/internal/awswire"
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
	mux := http.NewServeMux()
	mux.HandleFunc("POST /clusters/{clusterName}/assume-role-for-pod-identity", func(w http.ResponseWriter, r *http.Request) {
		caller, err := c.Caller(r)
		if err != nil {
			awswire.RESTJSON{}.WriteError(w, r, err)
			return
		}
		out, err := c.assumeRole(r, caller)
		if err != nil {
			awswire.RESTJSON{}.WriteError(w, r, exception(err))
			return
		}
		if c.Lease > 0 {
			w.Header().Set(LeaseHeader, strconv.FormatInt(int64(c.Lease/time.Second), 10))
		}
		awswire.WriteJSON(w, r, http.StatusOK, out)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		awswire.RESTJSON{}.WriteError(w, r, &awswire.Error{Code: "UnknownOperationException", Status: http.StatusNotFound,
			Message: "EKS Auth has one operation: POST /clusters/{clusterName}/assume-role-for-pod-identity."})
	})
	return mux, nil
}

func (c Config) assumeRole(r *http.Request, caller identity.Caller) (*reply, error) {
	name := r.PathValue("clusterName")
	if !clusterName.MatchString(name) {
		return nil, identity.Errorf(identity.InvalidParameter, "clusterName: want 1-100 letters, digits, - and _, beginning with a letter or digit.")
	}
	cluster, ok := c.Cluster(name)
	// Clusters have no policy that could let another account in, and what that
	// account may not see does not exist for it.
	if !ok || caller.AccountID() != cluster.AccountID {
		return nil, identity.Errorf(identity.NotFound, "No cluster found for name: %s.", name)
	}
	if err := caller.Authorize(r.Context(), identity.Access{Action: Service + ":AssumeRoleForPodIdentity", Resource: cluster.ARN()}); err != nil {
		return nil, &forbidden{err}
	}
	node := ""
	if agent, ok := caller.(NodeCaller); ok {
		if node = agent.NodeName(); node == "" {
			return nil, &forbidden{identity.Errorf(identity.AccessDenied, "The agent's token names no node.")}
		}
	}
	var in request
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return nil, err
	}
	if !tokenPattern.MatchString(in.Token) {
		return nil, identity.Errorf(identity.InvalidParameter, "token: want a service account token, three parts in base64url joined by dots.")
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	grant, err := c.Issue(r.Context(), issue.Request{
		Cluster: name, Token: identity.Secret(in.Token), NodeName: node, CallerARN: caller.ARN(), SourceIP: source, RequestID: awswire.RequestID(r.Context()),
	})
	if err != nil {
		return nil, err
	}
	return wireReply(grant), nil
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
