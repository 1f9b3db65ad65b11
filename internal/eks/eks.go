// Package eks is the EKS API as far as pod identity associations go, and the
// description of clusters that its clients need
// (https://docs.aws.amazon.com/eks/latest/APIReference/Welcome.html).
package eks

import (
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

// Config says what the handler works with.
type Config struct {
	// Associations answers the requests. Required.
	Associations *association.Service
	// Caller returns who signed the request. Its error is answered as
	// awswire.RESTJSON answers it, before anything else is looked at. Required.
	Caller func(*http.Request) (identity.Caller, error)
	// Logger takes the causes of failures that a caller is not told. Nil: nothing.
	Logger *slog.Logger
}

// api answers requests whose caller is known.
type api struct{ associations *association.Service }

// operation answers one operation with a value that becomes its JSON.
type operation func(a api, r *http.Request, c identity.Caller) (any, error)

// New makes the handler of the EKS API.
func New(c Config) (http.Handler, error) {
	if c.Associations == nil || c.Caller == nil {
		return nil, errors.New("eks: Associations and Caller are required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	serve := func(path string, table exceptions, methods map[string]operation) {
		for method, do := range methods {
			mux.HandleFunc(method+" "+path, c.handler(table, do))
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
			unknownOperation(w, r, http.StatusMethodNotAllowed)
		})
	}
	const associations = "/clusters/{name}/pod-identity-associations"
	serve(associations, operations, map[string]operation{"POST": api.create, "GET": api.list})
	serve(associations+"/{id}", operations, map[string]operation{"GET": api.describe, "POST": api.update, "DELETE": api.delete})
	// podid's own, beside AWS's operations.
	serve(associations+"/{id}/revoke", operations, map[string]operation{"POST": api.revoke})
	// The ARN is one segment, percent-encoded: ServeMux splits the path before it decodes.
	serve("/tags/{arn}", tagging, map[string]operation{"POST": api.tag, "DELETE": api.untag, "GET": api.listTags})
	serve("/clusters", operations, map[string]operation{"GET": api.listClusters})
	serve("/clusters/{name}", operations, map[string]operation{"GET": api.describeCluster})
	notFound := func(w http.ResponseWriter, r *http.Request) { unknownOperation(w, r, http.StatusNotFound) }
	mux.HandleFunc("/", notFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// ServeMux would send whoever asks for an empty segment, an empty cluster
		// name say, on to the path without it, which is another operation's.
		if escaped := r.URL.EscapedPath(); path.Clean(escaped) != escaped {
			notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// handler makes an operation a handler: who asks, what they get, or why not.
func (c Config) handler(table exceptions, do operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, err := c.Caller(r)
		if err != nil {
			awswire.RESTJSON{}.WriteError(w, r, err)
			return
		}
		r = r.WithContext(audit.WithOrigin(r.Context(), origin(r)))
		out, err := do(api{c.Associations}, r, caller)
		if err != nil {
			if kind := identity.KindOf(err); kind == identity.Internal || kind == identity.Unavailable {
				c.Logger.ErrorContext(r.Context(), "eks request failed", "request_id", awswire.RequestID(r.Context()), "error", err)
			}
			awswire.RESTJSON{}.WriteError(w, r, table.exception(r, err))
			return
		}
		awswire.WriteJSON(w, r, http.StatusOK, out)
	}
}

// origin says where a request came from, for its audit events.
func origin(r *http.Request) audit.Origin {
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	return audit.Origin{EventSource: audit.SourceEKS, RequestID: awswire.RequestID(r.Context()), SourceIPAddress: source}
}

func unknownOperation(w http.ResponseWriter, r *http.Request, status int) {
	awswire.RESTJSON{}.WriteError(w, r, &awswire.Error{
		Code: "UnknownOperationException", Status: status,
		Message: "podid serves the pod identity associations of EKS, their tags, DescribeCluster and ListClusters.",
	})
}

func (a api) create(r *http.Request, c identity.Caller) (any, error) {
	var in createRequest
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return nil, err
	}
	made, err := a.associations.Create(r.Context(), c, association.CreateInput{
		Cluster: r.PathValue("name"), Namespace: in.Namespace, ServiceAccount: in.ServiceAccount, RoleARN: in.RoleARN, TargetRoleARN: in.TargetRoleARN,
		DisableSessionTags: in.DisableSessionTags, Policy: in.Policy, Tags: in.Tags, RequestToken: in.ClientRequestToken,
	})
	return wire(made), err
}

func (a api) describe(r *http.Request, c identity.Caller) (any, error) {
	found, err := a.associations.Describe(r.Context(), c, r.PathValue("name"), r.PathValue("id"))
	return wire(found), err
}

func (a api) update(r *http.Request, c identity.Caller) (any, error) {
	var in updateRequest
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return nil, err
	}
	updated, err := a.associations.Update(r.Context(), c, association.UpdateInput{
		Cluster: r.PathValue("name"), ID: r.PathValue("id"), RoleARN: in.RoleARN, TargetRoleARN: in.TargetRoleARN,
		DisableSessionTags: in.DisableSessionTags, Policy: in.Policy, RequestToken: in.ClientRequestToken,
	})
	return wire(updated), err
}

func (a api) delete(r *http.Request, c identity.Caller) (any, error) {
	deleted, err := a.associations.Delete(r.Context(), c, r.PathValue("name"), r.PathValue("id"))
	return wire(deleted), err
}

func (a api) revoke(r *http.Request, c identity.Caller) (any, error) {
	revoked, err := a.associations.Revoke(r.Context(), c, r.PathValue("name"), r.PathValue("id"))
	return revokeReply{wire(revoked).Association, awswire.Timestamp(revoked.RevokedAt)}, err
}

func (a api) list(r *http.Request, c identity.Caller) (any, error) {
	query, page, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	found, next, err := a.associations.List(r.Context(), c, association.ListInput{
		Cluster: r.PathValue("name"), Namespace: query.Get("namespace"), ServiceAccount: query.Get("serviceAccount"), Page: page,
	})
	out := listReply{Associations: []wireSummary{}, NextToken: next}
	for _, f := range found {
		out.Associations = append(out.Associations, summary(f))
	}
	return out, err
}

// pageOf reads maxResults and nextToken. A query that cannot be read is refused
// rather than read in part, or a filter might be missing from it.
func pageOf(r *http.Request) (url.Values, association.Page, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, association.Page{}, identity.Errorf(identity.InvalidRequest, "The query string cannot be read: percent-encode its values.")
	}
	page := association.Page{Token: query.Get("nextToken")}
	if query.Has("maxResults") {
		n, err := strconv.Atoi(query.Get("maxResults"))
		if err != nil {
			return nil, page, identity.Errorf(identity.InvalidParameter, "maxResults: want a number from 1 to 100.")
		}
		page.MaxResults = &n
	}
	return query, page, nil
}

func (a api) tag(r *http.Request, c identity.Caller) (any, error) {
	var in tagsMessage
	if err := awswire.DecodeJSON(r, &in); err != nil {
		return nil, err
	}
	return struct{}{}, a.associations.Tag(r.Context(), c, r.PathValue("arn"), in.Tags)
}

func (a api) untag(r *http.Request, c identity.Caller) (any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, identity.Errorf(identity.InvalidRequest, "The query string cannot be read: percent-encode its values.")
	}
	return struct{}{}, a.associations.Untag(r.Context(), c, r.PathValue("arn"), query["tagKeys"])
}

func (a api) listTags(r *http.Request, c identity.Caller) (any, error) {
	tags, err := a.associations.ListTags(r.Context(), c, r.PathValue("arn"))
	if tags == nil {
		tags = map[string]string{}
	}
	return tagsMessage{tags}, err
}

func (a api) listClusters(r *http.Request, c identity.Caller) (any, error) {
	_, page, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	names, next, err := a.associations.ListClusters(r.Context(), c, page)
	if names == nil {
		names = []string{}
	}
	return clustersReply{names, next}, err
}

func (a api) describeCluster(r *http.Request, c identity.Caller) (any, error) {
	cluster, err := a.associations.DescribeCluster(r.Context(), c, r.PathValue("name"))
	return wireOf(cluster), err
}
