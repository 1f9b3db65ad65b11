package eksauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/eksauth"
)

const goodReply = `{"subject":{"namespace":"n","serviceAccount":"s"},"audience":"pods.eks.amazonaws.com",
 "podIdentityAssociation":{"associationArn":"arn:a","associationId":"a-1"},
 "assumedRoleUser":{"arn":"arn:aws:sts::444455556666:assumed-role/r/s","assumeRoleId":"AROA:s"},
 "credentials":{"accessKeyId":"ASIA","secretAccessKey":"k-e-y","sessionToken":"t-o-k-e-n","expiration":1700862734.0}}`

// answering is a server that gives every call the same answer.
func answering(t *testing.T, status int, header map[string]string, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAWSsOwnReplyIsRead(t *testing.T) {
	g, err := ours(t, answering(t, 200, nil, goodReply), nodeKey).AssumeRoleForPodIdentity(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if g.Session.Credentials.Expires.Unix() != 1700862734 || g.AssociationID != "a-1" || g.Session.AssumedRoleID != "AROA:s" {
		t.Errorf("got %+v", g)
	}
}

func TestUnusableReplies(t *testing.T) {
	for name, body := range map[string]string{
		"empty":           "",
		"not JSON":        "<html>k-e-y",
		"wrong types":     strings.Replace(goodReply, `"ASIA"`, `["k-e-y"]`, 1),
		"no key":          strings.Replace(goodReply, "accessKeyId", "x", 1),
		"no secret":       strings.Replace(goodReply, "secretAccessKey", "x", 1),
		"no token":        strings.Replace(goodReply, "sessionToken", "x", 1),
		"no expiration":   strings.Replace(goodReply, "expiration", "x", 1),
		"expiration text": strings.Replace(goodReply, "1700862734.0", `"soon"`, 1),
		"no role":         strings.Replace(goodReply, `"arn"`, `"x"`, 1),
		"endless":         goodReply + strings.Repeat(" ", 1<<20),
	} {
		_, err := ours(t, answering(t, 200, nil, body), nodeKey).AssumeRoleForPodIdentity(t.Context(), token)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if _, ok := errors.AsType[*eksauth.Error](err); ok {
			t.Errorf("%s: taken for a refusal: %v", name, err)
		}
		if strings.Contains(err.Error(), "k-e-y") || strings.Contains(err.Error(), "t-o-k-e-n") {
			t.Errorf("%s: the error quotes the reply: %v", name, err)
		}
	}
}

func TestRefusalsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		want   eksauth.Error
	}{
		"by header":         {404, map[string]string{"x-amzn-ErrorType": "ResourceNotFoundException", "x-amzn-RequestId": "r"}, `{"message":"m"}`, eksauth.Error{Code: "ResourceNotFoundException", Message: "m", RequestID: "r"}},
		"with a URI":        {400, map[string]string{"x-amzn-ErrorType": "InvalidTokenException:http://internal.amazon.com/coral/"}, `{"Message":"m"}`, eksauth.Error{Code: "InvalidTokenException", Message: "m"}},
		"with a namespace":  {400, map[string]string{"x-amzn-ErrorType": "aws.eks#ExpiredTokenException"}, `{}`, eksauth.Error{Code: "ExpiredTokenException"}},
		"by __type":         {400, nil, `{"__type":"com.amazon#AccessDeniedException","message":"m"}`, eksauth.Error{Code: "AccessDeniedException", Message: "m"}},
		"by code":           {400, nil, `{"code":"InvalidRequestException","message":"m"}`, eksauth.Error{Code: "InvalidRequestException", Message: "m"}},
		"a proxy's page":    {502, nil, `<html>bad gateway`, eksauth.Error{Code: "UnknownError"}},
		"nothing":           {503, map[string]string{"Retry-After": "7"}, ``, eksauth.Error{Code: "UnknownError", RetryAfter: 7 * time.Second}},
		"retry at a date":   {429, map[string]string{"Retry-After": "Tue, 24 Nov 2026 00:00:00 GMT"}, ``, eksauth.Error{Code: "UnknownError"}},
		"retry long ago":    {429, map[string]string{"Retry-After": "-7"}, ``, eksauth.Error{Code: "UnknownError"}},
		"a hostile name":    {400, map[string]string{"x-amzn-ErrorType": "<script>"}, `{"message":"a\nb\u0000"}`, eksauth.Error{Code: "UnknownError", Message: "a b "}},
		"a long message":    {400, nil, `{"message":"` + strings.Repeat("ä", 800) + `"}`, eksauth.Error{Code: "UnknownError", Message: strings.Repeat("ä", 500)}},
		"a redirect":        {307, map[string]string{"Location": "http://192.0.2.1/"}, ``, eksauth.Error{Code: "UnknownError"}},
		"success of a kind": {204, nil, ``, eksauth.Error{Code: "UnknownError"}},
	} {
		c.want.Status = c.status
		_, err := ours(t, answering(t, c.status, c.header, c.body), nodeKey).AssumeRoleForPodIdentity(t.Context(), token)
		if e, ok := errors.AsType[*eksauth.Error](err); !ok || *e != c.want {
			t.Errorf("%s: got %#v, want %#v", name, err, c.want)
		}
	}
}

func TestCallsAreBoundedInTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c, err := eksauth.NewClient(eksauth.ClientConfig{
		Cluster: "c", Region: "us-west-2", Endpoint: server.URL, Credentials: nodeKey, Timeout: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssumeRoleForPodIdentity(t.Context(), token); err == nil {
		t.Error("an answer out of nothing")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.AssumeRoleForPodIdentity(gone, token); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClientConfigIsChecked(t *testing.T) {
	good := eksauth.ClientConfig{Cluster: "c", Region: "us-west-2", Credentials: nodeKey}
	if _, err := eksauth.NewClient(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*eksauth.ClientConfig){
		"no cluster":        func(c *eksauth.ClientConfig) { c.Cluster = "" },
		"cluster of a path": func(c *eksauth.ClientConfig) { c.Cluster = "a/../b" },
		"no region":         func(c *eksauth.ClientConfig) { c.Region = "" },
		"region of a host":  func(c *eksauth.ClientConfig) { c.Region = "evil.example/" },
		"no credentials":    func(c *eksauth.ClientConfig) { c.Credentials = nil },
		"negative timeout":  func(c *eksauth.ClientConfig) { c.Timeout = -1 },
		"no scheme":         func(c *eksauth.ClientConfig) { c.Endpoint = "eks-auth.example.com" },
		"file":              func(c *eksauth.ClientConfig) { c.Endpoint = "file:///etc/passwd" },
	} {
		c := good
		change(&c)
		if _, err := eksauth.NewClient(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzReply holds that no reply, good or bad, breaks the client or comes back
// as credentials without all their parts.
func FuzzReply(f *testing.F) {
	f.Add(200, "", goodReply)
	f.Add(200, "", `{"credentials":null}`)
	f.Add(200, "", `{"credentials":{"expiration":1e999}}`)
	f.Add(400, "a#B:c", `{"message":"\u0000\ud800"}`)
	f.Add(500, "", `[`)
	var status int
	var exception, body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-amzn-ErrorType", exception)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	f.Cleanup(server.Close)
	client, err := eksauth.NewClient(eksauth.ClientConfig{Cluster: "c", Region: "us-west-2", Endpoint: server.URL, Credentials: nodeKey})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s int, x, b string) {
		if s < 200 || s > 599 {
			t.Skip("no status of a reply")
		}
		status, exception, body = s, x, b
		g, err := client.AssumeRoleForPodIdentity(t.Context(), token)
		if e, ok := errors.AsType[*eksauth.Error](err); ok {
			if e.Code == "" || len(e.Code) > 100 || len(e.Message) > 1000 || strings.ContainsAny(e.Message, "\r\n\x00") {
				t.Errorf("refusal %#v", e)
			}
		}
		if err == nil && (!json.Valid([]byte(b)) || g.Session.Credentials.AccessKeyID == "" || g.Session.Credentials.Expires.IsZero() || g.Session.AssumedRoleARN == "") {
			t.Errorf("credentials %+v", g)
		}
	})
}
