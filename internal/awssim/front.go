package awssim

import (
	"context"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
	"github.com/podid/podid/internal/sigv4"
)

// ServeHTTP tells the services apart by the scope of the signature, verifies
// the signature, and hands the request to the service.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := awswire.WithRequestID(r.Context())
	c := &Caller{sim: s, request: s.circumstances(ctx, r)}
	r = r.WithContext(context.WithValue(ctx, callerKey{}, c))
	// Of the clock that signatures are judged by, from which SDKs learn how much theirs is off.
	w.Header().Set("Date", c.request.at.UTC().Format(http.TimeFormat))
	if r.ContentLength == 0 && r.Header.Get("Expect") != "" {
		// botocore waits for "100 Continue" even with nothing to send, which net/http
		// then does not answer; what it reads late would disturb its next request.
		w.Header().Set("Connection", "close")
	}
	answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	name := s.serve(answer, r, c)
	s.config.Logger.LogAttrs(ctx, slog.LevelInfo, "request",
		slog.String("request_id", c.request.id), slog.String("service", name), slog.String("method", r.Method),
		slog.String("path", r.URL.Path), slog.String("caller", c.name()), slog.String("access_key_id", c.accessKeyID), slog.String("source_ip", c.request.sourceIP),
		slog.Int("status", answer.status), slog.Duration("took", s.config.Now().Sub(c.request.at)))
}

// serve answers r and returns the name of the service that it was for.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request, c *Caller) string {
	scope, signed, err := sigv4.ParseScope(r)
	if err != nil {
		name := s.guess(r)
		protocolOf(name).WriteError(w, r, err)
		return name
	}
	if !signed {
		return s.serveUnsigned(w, r, c)
	}
	name := scope.Service
	inside, outside := s.services[name], s.config.Handlers[name]
	if inside == nil && outside == nil {
		name = s.guess(r)
		protocolOf(name).WriteError(w, r, &sigv4.Error{Failure: sigv4.WrongScope, Message: "Credential should be scoped to correct service."})
		return name
	}
	if _, err := s.verifier.Verify(r); err != nil {
		*c = Caller{sim: s, accessKeyID: c.accessKeyID, request: c.request} // who was claimed is not proven
		protocolOf(name).WriteError(w, r, err)
		return name
	}
	c.request.region = scope.Region
	if c.principal.Kind == policy.Service {
		c.request.sourceArn = signedHeader(r, "X-Amz-Source-Arn")
		c.request.sourceAccount = signedHeader(r, "X-Amz-Source-Account")
	}
	if inside != nil {
		inside(w, r, c)
	} else {
		outside.ServeHTTP(w, r)
	}
	return name
}

// serveUnsigned lets through what AWS serves without a signature: web
// identities, and S3, whose bucket policies may allow everyone.
func (s *Sim) serveUnsigned(w http.ResponseWriter, r *http.Request, c *Caller) string {
	name := s.guess(r)
	serve := s.services[name]
	if name == "sts" {
		form, err := awswire.ParseForm(r)
		if err == nil && form.Get("Action") != webIdentityAction {
			err = &sigv4.Error{Failure: sigv4.Missing}
		}
		if err != nil {
			protocolOf(name).WriteError(w, r, err)
			return name
		}
	} else if name != "s3" || serve == nil {
		protocolOf(name).WriteError(w, r, &sigv4.Error{Failure: sigv4.Missing})
		return name
	}
	serve(w, r, c)
	return name
}

// guess names the service of a request whose signature does not: forms are for
// STS, JSON and the paths of EKS for EKS, and all else is S3's, where the path
// is the caller's own.
func (s *Sim) guess(r *http.Request) string {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	_, isBucket := s.state.bucket(first)
	query, _ := url.ParseQuery(r.URL.RawQuery) // what can't be read names no action
	switch {
	case first == "" && (media == "application/x-www-form-urlencoded" || query.Has("Action")):
		return "sts"
	case !isBucket && (media == "application/json" || first == "clusters" || first == "tags"):
		return "eks"
	}
	return "s3"
}

// protocolOf returns the protocol that a service answers in.
func protocolOf(service string) awswire.Protocol {
	switch service {
	case "sts":
		return stsProtocol
	case "iam":
		return awswire.Query{Namespace: awswire.IAMNamespace}
	case "s3":
		return awswire.S3{}
	}
	return awswire.RESTJSON{}
}

// identify finds out whose key a signature was made with, puts that into the
// Caller of ctx, and returns the key's secret. Nothing is to be done with the Caller
// before the signature is verified.
//
// The order of the checks is that of STS, as observed: token present and bound
// to the key, expiry, role alive; the signature comes after them.
func (s *Sim) identify(ctx context.Context, scope sigv4.Scope, sessionToken string) (string, error) {
	c, _ := CallerFrom(ctx)
	c.accessKeyID = scope.AccessKeyID
	if strings.HasPrefix(scope.AccessKeyID, prefixTemporary) {
		se, err := s.sealer.open(sessionToken)
		if err != nil || se.AccessKeyID != scope.AccessKeyID {
			return "", &sigv4.Error{Failure: sigv4.InvalidSessionToken}
		}
		if !c.request.at.Before(se.Expires) {
			return "", &sigv4.Error{Failure: sigv4.ExpiredSession}
		}
		r, alive := s.state.roleByID(se.RoleID)
		if !alive {
			return "", &sigv4.Error{Failure: sigv4.UnknownKey}
		}
		c.role, c.session = r, se
		c.principal = policy.Principal{
			Kind: policy.RoleSession, ARN: sessionARN(r, se.Name), AccountID: r.AccountID, RoleARN: r.ARN(), UniqueID: r.ID,
		}
		return s.sealer.secretOf(sessionToken).Reveal(), nil
	}
	if sessionToken != "" {
		return "", &sigv4.Error{Failure: sigv4.InvalidSessionToken}
	}
	if k, ok := s.serviceKeys[scope.AccessKeyID]; ok {
		c.service = k
		c.principal = policy.Principal{Kind: policy.Service, Service: k.Service}
		return k.Secret.Reveal(), nil
	}
	u, key, ok := s.state.userByKey(scope.AccessKeyID)
	if !ok || key.Inactive {
		return "", &sigv4.Error{Failure: sigv4.UnknownKey}
	}
	c.user = u
	c.principal = policy.Principal{Kind: policy.User, ARN: u.ARN(), AccountID: u.AccountID, UniqueID: u.ID}
	return key.Secret.Reveal(), nil
}

// circumstances reads what a request says about itself.
func (s *Sim) circumstances(ctx context.Context, r *http.Request) request {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = "" // not from a socket; then no condition on the address matches
	}
	return request{
		id: awswire.RequestID(ctx), at: s.config.Now(), region: s.config.Region, sourceIP: ip, tls: r.TLS != nil,
		userAgent: r.UserAgent(), referer: r.Referer(),
	}
}

// signedHeader returns the one value of a header, if the signature covers it.
func signedHeader(r *http.Request, name string) string {
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	values := r.Header.Values(name)
	if len(values) != 1 {
		return ""
	}
	for signed := range strings.SplitSeq(strings.TrimSpace(list), ";") {
		if strings.EqualFold(signed, name) {
			return values[0]
		}
	}
	return ""
}

// statusWriter remembers the status for the request's event.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
