package eksauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	official "github.com/aws/aws-sdk-go-v2/service/eksauth"
	"github.com/aws/aws-sdk-go-v2/service/eksauth/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/sigv4"
)

const (
	token  = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var (
	cluster = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}
	expires = time.Date(2026, 3, 17, 22, 27, 34, 123e6, time.UTC)
)

// service is an EKS Auth API whose callers' signatures are really verified.
type service struct {
	issue     func(context.Context, issue.Request) (*issue.Grant, error)
	authorize func(identity.Access) error
	accountID string
	asked     []issue.Request
	accesses  []identity.Access
}

func (s *service) start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s.handler(t))
	t.Cleanup(server.Close)
	return server.URL
}

func (s *service) handler(t *testing.T) http.Handler {
	t.Helper()
	verifier, err := sigv4.New(sigv4.Config{Secret: func(_ context.Context, scope sigv4.Scope, _ string) (string, error) {
		if scope.AccessKeyID != "AKIANODE" || scope.Service != eksauth.Service || scope.Region != cluster.Region {
			return "", &sigv4.Error{Failure: sigv4.UnknownKey}
		}
		return secret, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := eksauth.New(eksauth.Config{
		Issue: func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
			s.asked = append(s.asked, r)
			return s.issue(ctx, r)
		},
		Cluster: func(name string) (identity.Cluster, bool) { return cluster, name == cluster.Name },
		Caller: func(r *http.Request) (identity.Caller, error) {
			if _, err := verifier.Verify(r); err != nil {
				return nil, err
			}
			return caller{s}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

type caller struct{ s *service }

func (c caller) ARN() string { return "arn:aws:sts::111122223333:assumed-role/node/i-1" }
func (c caller) AccountID() string {
	if c.s.accountID != "" {
		return c.s.accountID
	}
	return cluster.AccountID
}
func (c caller) Authorize(_ context.Context, a identity.Access) error {
	c.s.accesses = append(c.s.accesses, a)
	if c.s.authorize == nil {
		return nil
	}
	return c.s.authorize(a)
}

func granted(context.Context, issue.Request) (*issue.Grant, error) {
	return &issue.Grant{
		Subject:     identity.Subject{Namespace: "default", ServiceAccount: "demo-app-sa", PodName: "app-0"},
		Association: identity.Association{ID: "a-abcdefghijklmnop1", Cluster: cluster, Namespace: "default", ServiceAccount: "demo-app-sa"},
		Session: identity.Session{
			Credentials:    identity.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "the-secret-key", SessionToken: "the-session-token", Expires: expires},
			AssumedRoleARN: "arn:aws:sts::444455556666:assumed-role/target/eks-x", AssumedRoleID: "AROAEXAMPLE:eks-x",
		},
	}, nil
}

func refused(err error) func(context.Context, issue.Request) (*issue.Grant, error) {
	return func(context.Context, issue.Request) (*issue.Grant, error) { return nil, err }
}

var nodeKey = credentials.NewStaticCredentialsProvider("AKIANODE", secret, "")

// sdk is AWS's own generated client.
func sdk(url string, key aws.CredentialsProvider) *official.Client {
	return official.New(official.Options{BaseEndpoint: &url, Region: cluster.Region, Credentials: key, Retryer: aws.NopRetryer{}})
}

func ours(t *testing.T, url string, key aws.CredentialsProvider) *eksauth.Client {
	t.Helper()
	c, err := eksauth.NewClient(eksauth.ClientConfig{Cluster: cluster.Name, Region: cluster.Region, Endpoint: url, Credentials: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOfficialClientGetsCredentials(t *testing.T) {
	s := &service{issue: granted}
	out, err := sdk(s.start(t), nodeKey).AssumeRoleForPodIdentity(t.Context(), &official.AssumeRoleForPodIdentityInput{ClusterName: aws.String(cluster.Name), Token: aws.String(token)})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]string{
		"namespace":       {*out.Subject.Namespace, "default"},
		"serviceAccount":  {*out.Subject.ServiceAccount, "demo-app-sa"},
		"audience":        {*out.Audience, "pods.eks.amazonaws.com"},
		"associationArn":  {*out.PodIdentityAssociation.AssociationArn, "arn:aws:eks:us-west-2:111122223333:podidentityassociation/example-cluster/a-abcdefghijklmnop1"},
		"associationId":   {*out.PodIdentityAssociation.AssociationId, "a-abcdefghijklmnop1"},
		"arn":             {*out.AssumedRoleUser.Arn, "arn:aws:sts::444455556666:assumed-role/target/eks-x"},
		"assumeRoleId":    {*out.AssumedRoleUser.AssumeRoleId, "AROAEXAMPLE:eks-x"},
		"accessKeyId":     {*out.Credentials.AccessKeyId, "ASIAEXAMPLE"},
		"secretAccessKey": {*out.Credentials.SecretAccessKey, "the-secret-key"},
		"sessionToken":    {*out.Credentials.SessionToken, "the-session-token"},
		"expiration":      {out.Credentials.Expiration.UTC().String(), expires.String()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
		}
	}
	if len(s.asked) != 1 || s.asked[0].Cluster != cluster.Name || s.asked[0].Token.Reveal() != token || s.asked[0].SourceIP != "127.0.0.1" ||
		s.asked[0].CallerARN != (caller{s}).ARN() || s.asked[0].RequestID == "" || s.asked[0].NodeName != "" {
		t.Errorf("asked %+v", s.asked)
	}
	if len(s.accesses) != 1 || s.accesses[0].Action != "eks-auth:AssumeRoleForPodIdentity" || s.accesses[0].Resource != cluster.ARN() {
		t.Errorf("authorized %+v", s.accesses)
	}
}

func TestOurClientGetsCredentials(t *testing.T) {
	s := &service{issue: granted}
	got, err := ours(t, s.start(t), nodeKey).AssumeRoleForPodIdentity(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := granted(t.Context(), issue.Request{})
	if got.Session != want.Session || got.Namespace != "default" || got.ServiceAccount != "demo-app-sa" ||
		got.AssociationID != want.Association.ID || got.AssociationARN != want.Association.ARN() {
		t.Errorf("got %+v", got)
	}
}

// errorTable is the API's: which exception and status each kind becomes.
var errorTable = []struct {
	kind   identity.Kind
	status int
	code   string
	is     func(error) bool
}{
	{identity.AccessDenied, 400, "AccessDeniedException", is[*types.AccessDeniedException]},
	{identity.InvalidToken, 400, "InvalidTokenException", is[*types.InvalidTokenException]},
	{identity.ExpiredToken, 400, "ExpiredTokenException", is[*types.ExpiredTokenException]},
	{identity.InvalidParameter, 400, "InvalidParameterException", is[*types.InvalidParameterException]},
	{identity.InvalidRequest, 400, "InvalidRequestException", is[*types.InvalidRequestException]},
	{identity.NotFound, 404, "ResourceNotFoundException", is[*types.ResourceNotFoundException]},
	{identity.Throttled, 429, "ThrottlingException", is[*types.ThrottlingException]},
	{identity.Internal, 500, "InternalServerException", is[*types.InternalServerException]},
	{identity.InUse, 500, "InternalServerException", is[*types.InternalServerException]},
	{identity.Unavailable, 503, "ServiceUnavailableException", is[*types.ServiceUnavailableException]},
}

func is[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

func TestEveryErrorReachesBothClients(t *testing.T) {
	for _, row := range errorTable {
		cause := errors.New("cause with " + secret + " and " + token)
		s := &service{issue: refused(identity.Errorf(row.kind, "What happened.").Because(cause))}
		url := s.start(t)
		message := "What happened."
		if row.code == "InternalServerException" {
			message = "An internal error occurred."
		}
		_, err := sdk(url, nodeKey).AssumeRoleForPodIdentity(t.Context(), &official.AssumeRoleForPodIdentityInput{ClusterName: aws.String(cluster.Name), Token: aws.String(token)})
		response, ok := errors.AsType[*smithyhttp.ResponseError](err)
		api, _ := errors.AsType[smithy.APIError](err)
		if !row.is(err) || !ok || response.HTTPStatusCode() != row.status || api.ErrorMessage() != message {
			t.Errorf("%v: the official client got %v", row.kind, err)
		}
		_, err = ours(t, url, nodeKey).AssumeRoleForPodIdentity(t.Context(), token)
		e, ok := errors.AsType[*eksauth.Error](err)
		if !ok || e.Code != row.code || e.Status != row.status || e.Message != message || len(e.RequestID) != 36 {
			t.Errorf("%v: our client got %v", row.kind, err)
		}
		if strings.Contains(err.Error(), "cause") || strings.Contains(err.Error(), token) {
			t.Errorf("%v: the answer has the cause: %v", row.kind, err)
		}
	}
}

func TestCallersAreJudgedFirst(t *testing.T) {
	denied := identity.Errorf(identity.AccessDenied, "User: x is not authorized to perform: eks-auth:AssumeRoleForPodIdentity")
	for name, c := range map[string]struct {
		service service
		key     aws.CredentialsProvider
		status  int
		code    string
	}{
		"wrong secret":       {service{}, credentials.NewStaticCredentialsProvider("AKIANODE", "wrong", ""), 403, "InvalidSignatureException"},
		"unknown key":        {service{}, credentials.NewStaticCredentialsProvider("AKIAOTHER", secret, ""), 403, "UnrecognizedClientException"},
		"refused by IAM":     {service{authorize: func(identity.Access) error { return denied }}, nodeKey, 403, "AccessDeniedException"},
		"IAM broken":         {service{authorize: func(identity.Access) error { return errors.New("disk") }}, nodeKey, 500, "InternalServerException"},
		"IAM away":           {service{authorize: func(identity.Access) error { return identity.Errorf(identity.Unavailable, "Away.") }}, nodeKey, 503, "ServiceUnavailableException"},
		"of another account": {service{accountID: "999988887777"}, nodeKey, 404, "ResourceNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			c.service.issue = granted
			_, err := ours(t, c.service.start(t), c.key).AssumeRoleForPodIdentity(t.Context(), token)
			e, ok := errors.AsType[*eksauth.Error](err)
			if !ok || e.Status != c.status || e.Code != c.code {
				t.Errorf("got %v", err)
			}
			if len(c.service.asked) != 0 {
				t.Error("the token was looked at")
			}
		})
	}
}

// agentOf is a caller who has proved to be the agent of a node.
type agentOf struct {
	caller
	node string
}

func (a agentOf) NodeName() string { return a.node }

// TestAgentsAskForTheirNode: the node that an agent proved goes along with its
// request, and an agent that proved none is refused.
func TestAgentsAskForTheirNode(t *testing.T) {
	for node, want := range map[string]int{"node-1": http.StatusOK, "": http.StatusForbidden} {
		var asked []issue.Request
		handler, err := eksauth.New(eksauth.Config{
			Issue: func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
				asked = append(asked, r)
				return granted(ctx, r)
			},
			Cluster: func(name string) (identity.Cluster, bool) { return cluster, true },
			Caller:  func(*http.Request) (identity.Caller, error) { return agentOf{caller{&service{}}, node}, nil },
			Lease:   15 * time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/clusters/example-cluster/assume-role-for-pod-identity", strings.NewReader(`{"token":"`+token+`"}`)))
		if w.Code != want {
			t.Errorf("node %q: status %d, want %d: %s", node, w.Code, want, w.Body)
		}
		if granted := want == http.StatusOK; granted != (len(asked) == 1) || granted && asked[0].NodeName != node {
			t.Errorf("node %q: asked %+v", node, asked)
		}
		if lease := w.Header().Get(eksauth.LeaseHeader); (lease == "900") != (want == http.StatusOK) {
			t.Errorf("node %q: a lease of %q seconds", node, lease)
		}
	}
}

func TestNewAsksForAll(t *testing.T) {
	if _, err := eksauth.New(eksauth.Config{}); err == nil {
		t.Error("an empty Config was accepted")
	}
}

func TestBadRequests(t *testing.T) {
	s := &service{issue: granted}
	handler, err := eksauth.New(eksauth.Config{
		Issue: func(ctx context.Context, r issue.Request) (*issue.Grant, error) {
			s.asked = append(s.asked, r)
			return granted(ctx, r)
		},
		Cluster: func(name string) (identity.Cluster, bool) { return cluster, name == cluster.Name },
		Caller:  func(*http.Request) (identity.Caller, error) { return caller{s}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	const path = "/clusters/example-cluster/assume-role-for-pod-identity"
	good := `{"token":"` + token + `"}`
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"good":                        {"POST", path, good, 200, ""},
		"members of newer SDKs":       {"POST", path, `{"eksNodeName":"n","instanceId":7,"zone":[],"other":{},"token":"` + token + `"}`, 200, ""},
		"not JSON":                    {"POST", path, `token=x`, 400, "InvalidRequestException"},
		"a list":                      {"POST", path, `[]`, 400, "InvalidRequestException"},
		"two objects":                 {"POST", path, good + good, 400, "InvalidRequestException"},
		"too large":                   {"POST", path, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "InvalidRequestException"},
		"no body":                     {"POST", path, ``, 400, "InvalidParameterException"},
		"no token":                    {"POST", path, `{}`, 400, "InvalidParameterException"},
		"Token in capitals":           {"POST", path, `{"Token":"` + token + `"}`, 400, "InvalidParameterException"},
		"token is null":               {"POST", path, `{"token":null}`, 400, "InvalidParameterException"},
		"token is a number":           {"POST", path, `{"token":1}`, 400, "InvalidParameterException"},
		"token of two parts":          {"POST", path, `{"token":"a.b"}`, 400, "InvalidParameterException"},
		"token with a space":          {"POST", path, `{"token":"a.b.c d"}`, 400, "InvalidParameterException"},
		"token with a newline":        {"POST", path, `{"token":"a.b.c\n"}`, 400, "InvalidParameterException"},
		"unknown cluster":             {"POST", "/clusters/other/assume-role-for-pod-identity", good, 404, "ResourceNotFoundException"},
		"cluster begins with -":       {"POST", "/clusters/-c/assume-role-for-pod-identity", good, 400, "InvalidParameterException"},
		"cluster of 101 characters":   {"POST", "/clusters/" + strings.Repeat("c", 101) + "/assume-role-for-pod-identity", good, 400, "InvalidParameterException"},
		"cluster with a slash inside": {"POST", "/clusters/example-cluster%2Fx/assume-role-for-pod-identity", good, 400, "InvalidParameterException"},
		"another method":              {"GET", path, ``, 404, "UnknownOperationException"},
		"another path":                {"POST", "/clusters", good, 404, "UnknownOperationException"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status || w.Header().Get("x-amzn-ErrorType") != c.code || w.Header().Get("x-amzn-RequestId") == "" {
			t.Errorf("%s: status %d %s: %s", name, w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body)
		}
	}
	if len(s.asked) != 2 {
		t.Errorf("%d requests were issued for, want the two good ones", len(s.asked))
	}
}
