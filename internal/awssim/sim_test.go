package awssim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

// The accounts, roles and keys of most tests: the example of the EKS user guide.
const (
	clusterAccount = "111122223333"
	targetAccount  = "444455556666"
	clusterARN     = "arn:aws:eks:us-west-2:111122223333:cluster/example-cluster"
	podRoleARN     = "arn:aws:iam::111122223333:role/eks/pod-role"
	targetRoleARN  = "arn:aws:iam::444455556666:role/target"
	serviceKeyID   = "AKIASERVICEPODIDENTI"
	aliceKeyID     = "AKIAALICEALICEALICE1"
	testSecret     = "0123456789abcdefghijklmnopqrstuvwxyzABCD"

	trustService = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	mayAssume    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}]}`
	mayAll       = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

// trust returns a trust policy with one statement.
func trust(principal, actions, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + condition + `}]}`
}

func rootOf(account string) string { return `{"AWS":"arn:aws:iam::` + account + `:root"}` }

const assumeAndTag = `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`

// guideWorld has a Pod Identity role, a target role with the given trust
// policy, and the user alice, who may do everything in the cluster's account.
func guideWorld(targetTrust string) World {
	return World{Accounts: []Account{
		{ID: clusterAccount, Users: []User{{
			Name: "alice", InlinePolicies: map[string]string{"all": mayAll}, Tags: []identity.Tag{{Key: "team", Value: "blue"}},
			AccessKeys: []AccessKey{{ID: aliceKeyID, Secret: testSecret}},
		}}, Roles: []Role{{
			Name: "pod-role", Path: "/eks/", TrustPolicy: trustService, InlinePolicies: map[string]string{"assume": mayAssume},
			Tags: []identity.Tag{{Key: "stage", Value: "test"}},
		}}},
		{ID: targetAccount, Roles: []Role{{Name: "target", TrustPolicy: targetTrust, MaxSessionDuration: 12 * time.Hour}}},
	}}
}

// fixture is a small AWS behind HTTP.
type fixture struct {
	*testing.T
	sim    *Sim
	url    string
	offset *atomic.Int64 // of the simulator's clock to the real one
}

// start serves a world. The clients sign with the real time.
func start(t *testing.T, world World, adjust ...func(*Config)) *fixture {
	t.Helper()
	offset := new(atomic.Int64)
	config := Config{
		World:       world,
		ServiceKeys: []ServiceKey{{AccessKeyID: serviceKeyID, Secret: testSecret, Service: "pods.eks.amazonaws.com"}},
		Now:         func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
	}
	for _, f := range adjust {
		f(&config)
	}
	sim, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return &fixture{T: t, sim: sim, url: server.URL, offset: offset}
}

// stsFor returns the official client with the given credentials.
func (f *fixture) stsFor(id, secret, token string, options ...func(*sts.Options)) *sts.Client {
	return sts.New(sts.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(f.url), RetryMaxAttempts: 3,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	}, options...)
}

func (f *fixture) alice() *sts.Client { return f.stsFor(aliceKeyID, testSecret, "") }

// service returns a client that is pods.eks.amazonaws.com, acting for the cluster.
func (f *fixture) service() *sts.Client {
	return f.stsFor(serviceKeyID, testSecret, "", withHeaders(map[string]string{
		"X-Amz-Source-Arn": clusterARN, "X-Amz-Source-Account": clusterAccount,
	}))
}

// withHeaders adds headers before the request is signed.
func withHeaders(headers map[string]string) func(*sts.Options) {
	return func(o *sts.Options) {
		for name, value := range headers {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue(name, value))
		}
	}
}

// as returns a client with the credentials of an assumed role.
func (f *fixture) as(out *sts.AssumeRoleOutput) *sts.Client {
	c := out.Credentials
	return f.stsFor(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

func (f *fixture) assume(c *sts.Client, in sts.AssumeRoleInput) *sts.AssumeRoleOutput {
	f.Helper()
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("session")
	}
	out, err := c.AssumeRole(f.Context(), &in)
	if err != nil {
		f.Fatalf("AssumeRole %s: %v", aws.ToString(in.RoleArn), err)
	}
	return out
}

// refused asserts code, status and text of an error.
func (f *fixture) refused(err error, code string, status int, text string) {
	f.Helper()
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		f.Errorf("got %v, want %s", err, code)
		return
	}
	if api.ErrorCode() != code || response.HTTPStatusCode() != status || api.ErrorMessage() != text {
		f.Errorf("got %s %d %q\nwant %s %d %q", api.ErrorCode(), response.HTTPStatusCode(), api.ErrorMessage(), code, status, text)
	}
}

// refuse asserts that an AssumeRole fails.
func (f *fixture) refuse(c *sts.Client, in sts.AssumeRoleInput, code string, status int, text string) {
	f.Helper()
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("session")
	}
	_, err := c.AssumeRole(f.Context(), &in)
	f.refused(err, code, status, text)
}

// deny asserts that an AssumeRole is denied, and for which action.
func (f *fixture) deny(c *sts.Client, in sts.AssumeRoleInput, caller, action string) {
	f.Helper()
	f.refuse(c, in, "AccessDenied", 403, "User: "+caller+" is not authorized to perform: "+action+" on resource: "+aws.ToString(in.RoleArn))
}

// change edits a role in place of IAM.
func (f *fixture) change(arn string, edit func(r *role)) {
	f.Helper()
	if err := f.sim.state.update(func(t *tx) error {
		r, ok := f.sim.state.roleByARN(arn)
		if !ok {
			return errors.New("no such role")
		}
		edited := *r
		edit(&edited)
		t.put(&edited)
		return nil
	}); err != nil {
		f.Fatal(err)
	}
}

// remove deletes a role in place of IAM.
func (f *fixture) remove(arn string) {
	f.Helper()
	if err := f.sim.state.update(func(t *tx) error {
		r, ok := f.sim.state.roleByARN(arn)
		if !ok {
			return errors.New("no such role")
		}
		t.delete(r)
		return nil
	}); err != nil {
		f.Fatal(err)
	}
}

// send sends a raw request and returns status and body.
func (f *fixture) send(method, target, body string, headers map[string]string) (int, string) {
	f.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, f.url+target, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// sendSTS signs a form and sends it, with headers that the signature does not cover.
func (f *fixture) sendSTS(keyID, form string, unsigned map[string]string) (int, string) {
	f.Helper()
	r, err := http.NewRequest("POST", f.url+"/", strings.NewReader(form))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hash := sha256.Sum256([]byte(form))
	creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(f.Context(), creds, r, hex.EncodeToString(hash[:]), "sts", "us-west-2", time.Now()); err != nil {
		f.Fatal(err)
	}
	headers := unsigned
	if headers == nil {
		headers = map[string]string{}
	}
	for name := range r.Header {
		headers[name] = r.Header.Get(name)
	}
	return f.send("POST", "/", form, headers)
}

// decisions reads the debug door.
func (f *fixture) decisions(n string) []decisionReply {
	f.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://127.0.0.1:7300/decisions?last="+n, nil)
	r.RemoteAddr = "127.0.0.1:5000"
	f.sim.Decisions().ServeHTTP(w, r)
	var reply decisionsReply
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != 200 {
		f.Fatalf("decisions: %d %s %v", w.Code, w.Body, err)
	}
	return reply.Decisions
}

type tagOf = identity.Tag

func (f *fixture) identityPolicy(text string) document {
	f.Helper()
	d, err := parseDocument(policy.Identity, text)
	if err != nil {
		f.Fatal(err)
	}
	return d
}

func (f *fixture) trustPolicy(text string) document {
	f.Helper()
	d, err := f.sim.state.bind(policy.Trust, text)
	if err != nil {
		f.Fatal(err)
	}
	return d
}
