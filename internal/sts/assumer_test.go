package sts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/sts"
)

var _ issue.RoleAssumer = (*sts.Assumer)(nil)

const (
	roleARN   = "arn:aws:iam::111122223333:role/eks/pod-identity"
	targetARN = "arn:aws:iam::444455556666:role/target"
	clusterID = "arn:aws:eks:us-west-2:111122223333:cluster/example-cluster"
	secretKey = "0123456789abcdefghijklmnopqrstuvwxyzABCD"
)

var (
	cluster = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}
	first   = identity.Hop{
		Cluster: cluster, RoleARN: roleARN, SessionName: "eks-a-b-c", Duration: 6 * time.Hour,
		Tags:              []identity.Tag{{Key: "eks-cluster-name", Value: "example-cluster"}, {Key: "kubernetes-namespace", Value: "default"}},
		TransitiveTagKeys: []string{"eks-cluster-name", "kubernetes-namespace"},
	}
	second = identity.Hop{
		Cluster: cluster, RoleARN: targetARN, SessionName: "eks-a-b-c", Duration: time.Hour,
		ExternalID: "us-west-2/111122223333/example-cluster/default/app", Policy: "{}",
	}
	firstSession = identity.Credentials{AccessKeyID: "ASIAFIRST", SecretAccessKey: "first-secret", SessionToken: "first-token"}
)

const granted = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>` +
	`<AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/pod-identity/eks-a-b-c</Arn><AssumedRoleId>AROAX:eks-a-b-c</AssumedRoleId></AssumedRoleUser>` +
	`<Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>x-secret</SecretAccessKey><SessionToken>x-token</SessionToken>` +
	`<Expiration>2026-11-01T12:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`

// answer is one canned answer.
type answer struct {
	status int
	body   string
}

func failure(status int, code, message string) answer {
	return answer{status, "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>" + message +
		"</Message></Error><RequestId>request-1</RequestId></ErrorResponse>"}
}

// call is one request that canned got.
type call struct {
	header http.Header
	form   url.Values
}

// canned speaks the Query protocol and answers each action the same every time.
type canned struct {
	url     string
	answers map[string]answer

	mu    sync.Mutex
	calls []call
}

func serve(t *testing.T, answers map[string]answer) *canned {
	c := &canned{answers: answers}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		c.calls = append(c.calls, call{r.Header, r.PostForm})
		c.mu.Unlock()
		a, ok := c.answers[r.PostForm.Get("Action")]
		if !ok {
			t.Errorf("unexpected %s", r.PostForm.Get("Action"))
		}
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// of returns the calls of one action.
func (c *canned) of(action string) (calls []call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		if call.form.Get("Action") == action {
			calls = append(calls, call)
		}
	}
	return calls
}

func configFor(url string, hop sts.FirstHop) sts.Config {
	return sts.Config{
		AWS:      aws.Config{BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIAPODID", secretKey, "")},
		FirstHop: hop,
	}
}

func newAssumer(t *testing.T, c sts.Config) *sts.Assumer {
	t.Helper()
	a, err := sts.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFirstHopAsService(t *testing.T) {
	server := serve(t, map[string]answer{"AssumeRole": {200, granted}})
	got, err := newAssumer(t, configFor(server.url, sts.Service)).AssumeRole(t.Context(), nil, first)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Session{
		Credentials: identity.Credentials{
			AccessKeyID: "ASIAX", SecretAccessKey: "x-secret", SessionToken: "x-token", Expires: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
		},
		AssumedRoleARN: "arn:aws:sts::111122223333:assumed-role/pod-identity/eks-a-b-c", AssumedRoleID: "AROAX:eks-a-b-c",
		Issued: time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC), // six hours before
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	sent := server.of("AssumeRole")[0]
	wantForm := url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {roleARN}, "RoleSessionName": {"eks-a-b-c"}, "DurationSeconds": {"21600"},
		"Tags.member.1.Key": {"eks-cluster-name"}, "Tags.member.1.Value": {"example-cluster"},
		"Tags.member.2.Key": {"kubernetes-namespace"}, "Tags.member.2.Value": {"default"},
		"TransitiveTagKeys.member.1": {"eks-cluster-name"}, "TransitiveTagKeys.member.2": {"kubernetes-namespace"},
	}
	if !reflect.DeepEqual(sent.form, wantForm) {
		t.Errorf("sent %v, want %v", sent.form, wantForm)
	}
	if arn, account := sent.header.Get("X-Amz-Source-Arn"), sent.header.Get("X-Amz-Source-Account"); arn != clusterID || account != "111122223333" {
		t.Errorf("on behalf of %q, %q", arn, account)
	}
	authorization := sent.header.Get("Authorization")
	for _, part := range []string{"Credential=AKIAPODID/", "/us-west-2/sts/", "x-amz-source-account;x-amz-source-arn"} {
		if !strings.Contains(authorization, part) {
			t.Errorf("%s is not in %s", part, authorization)
		}
	}
}

func TestFirstHopAsIdentity(t *testing.T) {
	server := serve(t, map[string]answer{"AssumeRole": {200, granted}})
	config := configFor(server.url, sts.Identity)
	for want, longest := range map[string]time.Duration{"3600": 0, "7200": 2 * time.Hour, "21600": 12 * time.Hour} {
		config.FirstHopDuration = longest
		if _, err := newAssumer(t, config).AssumeRole(t.Context(), nil, first); err != nil {
			t.Fatal(err)
		}
		sent := server.of("AssumeRole")
		last := sent[len(sent)-1]
		if got := last.form.Get("DurationSeconds"); got != want {
			t.Errorf("%v: asked for %s seconds, want %s", longest, got, want)
		}
		if last.header.Get("X-Amz-Source-Arn") != "" || last.header.Get("X-Amz-Source-Account") != "" {
			t.Error("an identity of podid's own sends the headers of a service")
		}
	}
}

func TestSecondHop(t *testing.T) {
	server := serve(t, map[string]answer{"AssumeRole": {200, granted}})
	if _, err := newAssumer(t, configFor(server.url, sts.Service)).AssumeRole(t.Context(), &firstSession, second); err != nil {
		t.Fatal(err)
	}
	sent := server.of("AssumeRole")[0]
	wantForm := url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {targetARN}, "RoleSessionName": {"eks-a-b-c"}, "DurationSeconds": {"3600"},
		"ExternalId": {second.ExternalID}, "Policy": {"{}"},
	}
	if !reflect.DeepEqual(sent.form, wantForm) {
		t.Errorf("sent %v, want %v", sent.form, wantForm)
	}
	if !strings.Contains(sent.header.Get("Authorization"), "Credential=ASIAFIRST/") || sent.header.Get("X-Amz-Security-Token") != "first-token" {
		t.Errorf("signed with %s", sent.header.Get("Authorization"))
	}
	if sent.header.Get("X-Amz-Source-Arn") != "" {
		t.Error("the first hop's session sends the headers of a service")
	}
}

func TestErrors(t *testing.T) {
	const signed = "The Canonical String should have been x-amz-security-token:first-token"
	for _, test := range []struct {
		answer  answer
		kind    identity.Kind
		message string // of the error; empty: must only not quote AWS
		calls   int
	}{
		{failure(403, "AccessDenied", "User: arn:x is not authorized to perform: sts:TagSession on resource: arn:y"), identity.AccessDenied,
			"AccessDenied: User: arn:x is not authorized to perform: sts:TagSession on resource: arn:y", 1},
		{failure(403, "RegionDisabledException", "not activated"), identity.AccessDenied, "RegionDisabledException: not activated", 1},
		{failure(400, "PackedPolicyTooLarge", "112%"), identity.InvalidRequest, "PackedPolicyTooLarge: 112%", 1},
		{failure(400, "MalformedPolicyDocument", "syntax"), identity.InvalidRequest, "MalformedPolicyDocument: syntax", 1},
		{failure(400, "ValidationError", "duration"), identity.InvalidRequest, "ValidationError: duration", 1},
		{failure(400, "Throttling", "Rate exceeded"), identity.Throttled, "AWS STS throttles the request.", 3},
		{failure(500, "InternalFailure", signed), identity.Unavailable, "AWS STS does not answer.", 3},
		{answer{503, "<html>"}, identity.Unavailable, "AWS STS does not answer.", 3},
		{failure(403, "SignatureDoesNotMatch", signed), identity.Internal, "", 1},
		{failure(403, "InvalidClientTokenId", signed), identity.Internal, "", 1},
		{failure(403, "ExpiredToken", signed), identity.Internal, "", 1},
		{failure(400, "SomethingNew", signed), identity.Internal, "", 1},
		{answer{200, `<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>`}, identity.Internal, "", 1},
		{answer{200, strings.Replace(granted, "<SessionToken>x-token</SessionToken>", "", 1)}, identity.Internal, "", 1},
	} {
		t.Run(test.answer.body[:min(len(test.answer.body), 80)], func(t *testing.T) {
			server := serve(t, map[string]answer{"AssumeRole": test.answer})
			session, err := newAssumer(t, configFor(server.url, sts.Service)).AssumeRole(t.Context(), &firstSession, second)
			if session != (identity.Session{}) || identity.KindOf(err) != test.kind {
				t.Fatalf("got %+v, %v (%v); want %v", session, identity.KindOf(err), err, test.kind)
			}
			if e, _ := errors.AsType[*identity.Error](err); test.message != "" && e.Message != test.message {
				t.Errorf("message %q, want %q", e.Message, test.message)
			}
			if strings.Contains(err.Error(), "first-token") {
				t.Errorf("the error tells the session token: %v", err)
			}
			if got := len(server.of("AssumeRole")); got != test.calls {
				t.Errorf("%d calls, want %d", got, test.calls)
			}
		})
	}
}

func TestLongAnswersAreCut(t *testing.T) {
	server := serve(t, map[string]answer{"AssumeRole": failure(403, "AccessDenied", strings.Repeat("é", 5000))})
	_, err := newAssumer(t, configFor(server.url, sts.Service)).AssumeRole(t.Context(), nil, first)
	if n := len(err.Error()); identity.KindOf(err) != identity.AccessDenied || n > 2000 {
		t.Errorf("%v, %d bytes", identity.KindOf(err), n)
	}
}

func TestAWSAway(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	config := configFor(server.URL, sts.Service)
	config.Timeout = 50 * time.Millisecond
	hanging := newAssumer(t, config)
	gone := httptest.NewServer(nil)
	gone.Close()
	caller, hangUp := context.WithCancel(t.Context())
	hangUp()
	for name, assume := range map[string]func() error{
		"it hangs": func() error { _, err := hanging.AssumeRole(t.Context(), nil, first); return err },
		"it is down": func() error {
			_, err := newAssumer(t, configFor(gone.URL, sts.Service)).AssumeRole(t.Context(), nil, first)
			return err
		},
		"the caller hangs up": func() error { _, err := hanging.AssumeRole(caller, nil, first); return err },
	} {
		if err := assume(); identity.KindOf(err) != identity.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOnce: who asks decides about trying again, or nobody asked it to.
func TestOnce(t *testing.T) {
	for once, want := range map[bool]int{true: 1, false: 3} {
		server := serve(t, map[string]answer{"AssumeRole": failure(400, "Throttling", "Rate exceeded")})
		config := configFor(server.url, sts.Service)
		config.Once = once
		_, err := newAssumer(t, config).AssumeRole(t.Context(), nil, first)
		if calls := len(server.of("AssumeRole")); identity.KindOf(err) != identity.Throttled || calls != want {
			t.Errorf("once %v: %d calls, want %d: %v", once, calls, want, err)
		}
	}
}

// TestOwnCredentialsMissing: their provider's refusal is not the role's.
func TestOwnCredentialsMissing(t *testing.T) {
	server := serve(t, nil)
	other := serve(t, map[string]answer{"AssumeRole": failure(403, "AccessDenied", "podid itself may not")})
	config := configFor(server.url, sts.Identity)
	config.AWS.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		_, err := newAssumer(t, configFor(other.url, sts.Identity)).AssumeRole(ctx, nil, first)
		return aws.Credentials{}, fmt.Errorf("fetching: %w", err)
	})
	if _, err := newAssumer(t, config).AssumeRole(t.Context(), nil, first); identity.KindOf(err) != identity.Unavailable {
		t.Errorf("got %v: %v", identity.KindOf(err), err)
	}
}

// TestEndpoints: without a BaseEndpoint calls go to AWS's own in the cluster's region.
func TestEndpoints(t *testing.T) {
	for region, want := range map[string]string{
		"us-west-2": "sts.us-west-2.amazonaws.com", "us-gov-west-1": "sts.us-gov-west-1.amazonaws.com", "cn-north-1": "sts.cn-north-1.amazonaws.com.cn",
	} {
		var got string
		config := configFor("", sts.Identity)
		config.AWS.BaseEndpoint, config.AWS.Region = nil, "eu-west-1"
		config.AWS.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
			got = r.URL.Host
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(granted))}, nil
		})
		hop := first
		hop.Cluster.Region = region
		if _, err := newAssumer(t, config).AssumeRole(t.Context(), nil, hop); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: called %s, want %s", region, got, want)
		}
	}
}

// doer is an HTTP client for the SDK.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestNewRefuses(t *testing.T) {
	noCredentials := configFor("http://localhost", sts.Identity)
	noCredentials.AWS.Credentials = nil
	tooShort, unknown := configFor("http://localhost", sts.Identity), configFor("http://localhost", 7)
	tooShort.FirstHopDuration = time.Minute
	for name, config := range map[string]sts.Config{"no credentials": noCredentials, "a session too short": tooShort, "an unknown first hop": unknown} {
		if _, err := sts.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := sts.NewChecker(config); err == nil {
			t.Errorf("%s: accepted by the checker", name)
		}
	}
}
