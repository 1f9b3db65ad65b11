package awssim

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/podid/podid/internal/identity"
)

func TestSignaturesAreVerified(t *testing.T) {
	f := start(t, guideWorld(trustService))
	session := f.firstHop(false).Credentials
	other := f.firstHop(false).Credentials
	id, secret, token := *session.AccessKeyId, *session.SecretAccessKey, *session.SessionToken
	if len(id) != 20 || !strings.HasPrefix(id, "ASIA") || len(secret) != 40 {
		t.Errorf("credentials %s with a secret of %d characters", id, len(secret))
	}
	const (
		invalid  = "The security token included in the request is invalid."
		mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	)
	for _, c := range []struct {
		name              string
		id, secret, token string
		code, text        string
	}{
		{"unknown key", "AKIAUNKNOWNUNKNOWN11", testSecret, "", "InvalidClientTokenId", invalid},
		{"wrong secret", aliceKeyID, testSecret[1:] + "x", "", "SignatureDoesNotMatch", mismatch},
		{"wrong secret of a service", serviceKeyID, testSecret[1:] + "x", "", "SignatureDoesNotMatch", mismatch},
		{"session without its token", id, secret, "", "InvalidClientTokenId", invalid},
		{"session with another's token", id, secret, *other.SessionToken, "InvalidClientTokenId", invalid},
		{"session with another's secret", id, *other.SecretAccessKey, token, "SignatureDoesNotMatch", mismatch},
		{"session with a changed token", id, secret, changed(token), "InvalidClientTokenId", invalid},
		{"session with a garbage token", id, secret, "garbage", "InvalidClientTokenId", invalid},
		{"long-term key with a token", aliceKeyID, testSecret, token, "InvalidClientTokenId", invalid},
		{"service key with a token", serviceKeyID, testSecret, token, "InvalidClientTokenId", invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{t, f.sim, f.url, f.offset}
			_, err := f.stsFor(c.id, c.secret, c.token).GetCallerIdentity(t.Context(), nil)
			f.refused(err, c.code, 403, c.text)
		})
	}

	t.Run("inactive key", func(t *testing.T) {
		f := &fixture{t, f.sim, f.url, f.offset}
		if err := f.sim.state.update(func(tx *tx) error {
			u, _ := f.sim.state.user(clusterAccount, "alice")
			edited := *u
			edited.Keys = []accessKey{u.Keys[0]}
			edited.Keys[0].Inactive = true
			tx.put(&edited)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		_, err := f.alice().GetCallerIdentity(t.Context(), nil)
		f.refused(err, "InvalidClientTokenId", 403, invalid)
	})
	t.Run("expired session, whose role is gone too", func(t *testing.T) {
		f := start(t, guideWorld(trustService))
		c := f.as(f.firstHop(false))
		f.offset.Store(int64(6*time.Hour - time.Minute))
		// The SDK learns from the Date of the first answer by how much its clock is off.
		if _, err := c.GetCallerIdentity(t.Context(), nil); err != nil {
			t.Errorf("a minute before the session ends: %v", err)
		}
		f.offset.Store(int64(6*time.Hour + time.Second))
		f.remove(podRoleARN)
		_, err := c.GetCallerIdentity(t.Context(), nil)
		f.refused(err, "ExpiredToken", 403, "The security token included in the request is expired")
	})
}

// changed returns a token whose first character is another one; always, whatever it was.
func changed(token string) string {
	if token[0] == 'A' {
		return "B" + token[1:]
	}
	return "A" + token[1:]
}

func TestSessionsDieWithTheirRole(t *testing.T) {
	f := start(t, guideWorld(trustService))
	c := f.as(f.firstHop(false))
	f.change(podRoleARN, func(r *role) { r.Trust = f.trustPolicy(trust(rootOf(targetAccount), `"sts:AssumeRole"`, "")) })
	if _, err := c.GetCallerIdentity(t.Context(), nil); err != nil {
		t.Errorf("a session outlives a change of the trust policy: %v", err)
	}
	old, _ := f.sim.state.roleByARN(podRoleARN)
	f.remove(podRoleARN)
	dead := func() {
		t.Helper()
		_, err := c.GetCallerIdentity(t.Context(), nil)
		f.refused(err, "InvalidClientTokenId", 403, "The security token included in the request is invalid.")
	}
	dead()
	again := *old
	again.ID = newUniqueID(prefixRole)
	if err := f.sim.state.update(func(t *tx) error { t.put(&again); return nil }); err != nil {
		t.Fatal(err)
	}
	dead() // made anew under the same name, it is another role
}

// A role named in a trust policy is that very role, not a later one of the same name.
func TestTrustIsBoundToTheRole(t *testing.T) {
	f := start(t, guideWorld(trust(`{"AWS":"`+podRoleARN+`"}`, assumeAndTag, "")))
	target := sts.AssumeRoleInput{RoleArn: aws.String(targetRoleARN)}
	f.assume(f.as(f.firstHop(false)), target)
	old, _ := f.sim.state.roleByARN(podRoleARN)
	f.remove(podRoleARN)
	r, _ := f.sim.state.roleByARN(targetRoleARN)
	if shown := f.sim.state.shown(r.Trust); !strings.Contains(shown, old.ID) || strings.Contains(shown, podRoleARN) {
		t.Errorf("the trust policy shows %s", shown)
	}
	again := *old
	again.ID = newUniqueID(prefixRole)
	if err := f.sim.state.update(func(t *tx) error { t.put(&again); return nil }); err != nil {
		t.Fatal(err)
	}
	f.deny(f.as(f.firstHop(false)), target, podSession, "sts:AssumeRole")
}

func TestUnsignedAndMisdirectedRequests(t *testing.T) {
	var reached []string
	f := start(t, guideWorld(trustService), func(c *Config) {
		c.Handlers = map[string]http.Handler{"eks": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := CallerFrom(r.Context())
			body, _ := io.ReadAll(r.Body)
			err := caller.Authorize(r.Context(), identity.Access{Action: "iam:PassRole", Resource: podRoleARN})
			reached = append(reached, caller.ARN()+" "+string(body))
			if err != nil {
				reached = append(reached, err.Error())
			}
		})}
	})
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, c := range []struct {
		name, method, target, body string
		headers                    map[string]string
		status                     int
		contains                   string
	}{
		{"STS", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", form, 403, "<Code>MissingAuthenticationToken</Code>"},
		{"STS by GET", "GET", "/?Action=AssumeRole&Version=2011-06-15", "", nil, 403, "<Code>MissingAuthenticationToken</Code>"},
		{"EKS", "POST", "/clusters/c/assume-role-for-pod-identity", "{}", map[string]string{"Content-Type": "application/json"}, 403, `{"message":"Missing Authentication Token"}`},
		{"EKS by GET", "GET", "/clusters/c/pod-identity-associations", "", nil, 403, `"Missing Authentication Token"`},
		{"garbage signature", "POST", "/", "Action=GetCallerIdentity", map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": "AWS4-HMAC-SHA256 nonsense"}, 400, "<Code>IncompleteSignature</Code>"},
		{"form beyond 1 MiB", "POST", "/", "Action=" + strings.Repeat("x", 1<<20), form, 413, "RequestEntityTooLarge"},
		{"form that is none", "POST", "/", "%zz", form, 400, "MalformedInput"},
		{"unknown service", "POST", "/clusters/c", "", map[string]string{"Content-Type": "application/json", "X-Amz-Date": "20260101T000000Z",
			"Authorization": "AWS4-HMAC-SHA256 Credential=" + aliceKeyID + "/20260101/us-west-2/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)}, 403, "Credential should be scoped to correct service."},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{t, f.sim, f.url, f.offset}
			status, body := f.send(c.method, c.target, c.body, c.headers)
			if status != c.status || !strings.Contains(body, c.contains) {
				t.Errorf("got %d %s\nwant %d %s", status, body, c.status, c.contains)
			}
		})
	}
	if len(reached) > 0 {
		t.Errorf("the handler was reached: %v", reached)
	}

	r, err := http.NewRequest("POST", f.url+"/clusters", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	const hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: aliceKeyID, SecretAccessKey: testSecret}, r, hash, "eks", "us-west-2", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(r); err != nil {
		t.Fatal(err)
	}
	if len(reached) != 1 || reached[0] != "arn:aws:iam::111122223333:user/alice {}" {
		t.Errorf("the handler saw %v", reached)
	}
	if d := f.decisions("1")[0]; d.Action != "iam:PassRole" || d.Context["aws:resourcetag/stage"][0] != "test" || d.Context["aws:principaltag/team"][0] != "blue" ||
		d.Context["aws:username"][0] != "alice" || d.Context["aws:requestedregion"][0] != "us-west-2" || d.Context["aws:sourceip"][0] != "127.0.0.1" {
		t.Errorf("the decision was %+v", d)
	}
}

func TestUnknownActions(t *testing.T) {
	f := start(t, guideWorld(trustService))
	_, err := f.alice().GetSessionToken(t.Context(), nil)
	f.refused(err, "InvalidAction", 400, "Could not find operation GetSessionToken for version 2011-06-15")
}

func TestDecisionsDoorIsForLoopback(t *testing.T) {
	f := start(t, guideWorld(trustService), func(c *Config) { c.Decisions = 3 })
	for range 5 {
		f.firstHop(false)
	}
	if all := f.decisions("100"); len(all) != 3 || all[0].ID != 3 || all[2].ID != 5 {
		t.Errorf("a log of three holds %v", all)
	}
	for _, c := range []struct {
		remote, host, method, query string
		status                      int
	}{
		{"127.0.0.1:1", "localhost:7300", "GET", "", 200}, {"[::1]:1", "[::1]:7300", "GET", "", 200}, {"127.0.0.1:1", "127.0.0.2", "GET", "", 200},
		{"192.0.2.1:1", "localhost", "GET", "", 403}, {"127.0.0.1:1", "evil.example:7300", "GET", "", 403}, {"127.0.0.1:1", "localhost.evil.example", "GET", "", 403},
		{"127.0.0.1:1", "", "GET", "", 403}, {"", "localhost", "GET", "", 403},
		{"127.0.0.1:1", "localhost", "POST", "", 405}, {"127.0.0.1:1", "localhost", "GET", "?last=-1", 400}, {"127.0.0.1:1", "localhost", "GET", "?last=x", 400},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, "/decisions"+c.query, nil)
		r.RemoteAddr, r.Host = c.remote, c.host
		f.sim.Decisions().ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s from %s at %s: %d, want %d", c.method, c.query, c.remote, c.host, w.Code, c.status)
		}
	}
}
