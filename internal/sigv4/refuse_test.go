package sigv4_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/podid/podid/internal/sigv4"
)

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "a secret, not AWS's"
)

var signedAt = time.Date(2026, 3, 17, 22, 0, 0, 0, time.UTC)

// sign signs r with AWS's own signer.
func sign(t testing.TB, r *http.Request, body, service string, at time.Time, token string) *http.Request {
	t.Helper()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	if service == "s3" && r.Header.Get("X-Amz-Content-Sha256") == "" {
		r.Header.Set("X-Amz-Content-Sha256", hexHash(body))
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = hexHash(body)
	}
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: token},
		r, hash, service, "us-west-2", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newSTSRequest(t testing.TB) *http.Request {
	r := httptest.NewRequest("POST", "https://sts.us-west-2.amazonaws.com/?a=1&b=&a=0", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return sign(t, r, "Action=GetCallerIdentity", "sts", signedAt, "a token")
}

func presign(t testing.TB, rawURL, service string, expires string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", rawURL, nil)
	q := r.URL.Query()
	if expires != "" {
		q.Set("X-Amz-Expires", expires)
	}
	r.URL.RawQuery = q.Encode()
	hash := emptyHash
	if service == "s3" {
		hash = "UNSIGNED-PAYLOAD"
	}
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret, SessionToken: "a token"},
		r, hash, service, "us-west-2", signedAt, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err != nil {
		t.Fatal(err)
	}
	return httptest.NewRequest("GET", signed, nil)
}

func authorization(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func query(r *http.Request, change func(url.Values)) {
	q := r.URL.Query()
	change(q)
	r.URL.RawQuery = q.Encode()
}

func body(r *http.Request, s string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s))
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name   string
		alter  func(r *http.Request)
		want   sigv4.Failure
		inText string // of the message
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, sigv4.Missing, ""},
		{"bearer token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, sigv4.Incomplete, "not supported"},
		{"version 2", func(r *http.Request) { r.Header.Set("Authorization", "AWS AKID:sig") }, sigv4.Incomplete, "not supported"},
		{"version 4A", func(r *http.Request) { authorization(r, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256") }, sigv4.Incomplete, "not supported"},
		{"two Authorization headers", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, sigv4.Incomplete, "one auth"},
		{"header and query", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=x" }, sigv4.Incomplete, "one auth"},
		{"nothing but the algorithm", func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 ") }, sigv4.Incomplete, "key=value"},
		{"no credential", func(r *http.Request) { authorization(r, "Credential=", "Nope=") }, sigv4.Incomplete, "requires 'Credential' parameter"},
		{"no signed headers", func(r *http.Request) { authorization(r, "SignedHeaders=", "Nope=") }, sigv4.Incomplete, "requires 'SignedHeaders'"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.Incomplete, "either a 'X-Amz-Date' or a 'Date'"},
		{"field twice", func(r *http.Request) { authorization(r, "SignedHeaders=", "Credential=x, SignedHeaders=") }, sigv4.Incomplete, ""},
		{"date of no known form", func(r *http.Request) { r.Header.Set("X-Amz-Date", "2026-03-17T22:00:00Z") }, sigv4.Incomplete, "ISO-8601 'basic format'"},
		{"two dates", func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260317T220001Z") }, sigv4.Incomplete, "once"},
		{"two tokens", func(r *http.Request) { r.Header.Add("X-Amz-Security-Token", "other") }, sigv4.Incomplete, "once"},
		{"short credential", func(r *http.Request) { authorization(r, "/aws4_request", "") }, sigv4.Incomplete, "exactly 5"},
		{"another terminator", func(r *http.Request) { authorization(r, "/aws4_request", "/aws5_request") }, sigv4.Incomplete, "valid terminator"},
		{"unsorted headers", func(r *http.Request) { authorization(r, "SignedHeaders=", "SignedHeaders=x-z;") }, sigv4.Incomplete, "sorted"},
		{"header in upper case", func(r *http.Request) { authorization(r, ";host", ";Host") }, sigv4.Incomplete, "lower case"},
		{"signature too short", func(r *http.Request) { authorization(r, "Signature=", "Signature=00&") }, sigv4.Incomplete, "64"},
		{"query not encoded", func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, sigv4.Incomplete, "URL-encoded"},
		{"scope of another day", func(r *http.Request) { authorization(r, "/20260317/", "/20260318/") }, sigv4.WrongScope,
			"'20260318' != '20260317', from '20260317T220000Z'"},
		{"date header not that of the scope", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260318T000000Z") }, sigv4.WrongScope, ""},

		{"another region", func(r *http.Request) { authorization(r, "us-west-2", "us-west-1") }, sigv4.Mismatch, ""},
		{"another service", func(r *http.Request) { authorization(r, "/sts/", "/iam/") }, sigv4.Mismatch, ""},
		{"date a second off", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260317T220001Z") }, sigv4.Mismatch, ""},
		{"method", func(r *http.Request) { r.Method = "PUT" }, sigv4.Mismatch, ""},
		{"host", func(r *http.Request) { r.Host = "sts.us-west-1.amazonaws.com" }, sigv4.Mismatch, ""},
		{"path", func(r *http.Request) { r.URL.Path = "/a" }, sigv4.Mismatch, ""},
		{"query value", func(r *http.Request) { query(r, func(q url.Values) { q.Set("b", "2") }) }, sigv4.Mismatch, ""},
		{"one more of a repeated parameter", func(r *http.Request) { query(r, func(q url.Values) { q.Add("a", "1") }) }, sigv4.Mismatch, ""},
		{"parameter with a semicolon", func(r *http.Request) { r.URL.RawQuery += "&c;d=1" }, sigv4.Mismatch, ""},
		{"parameter removed", func(r *http.Request) { query(r, func(q url.Values) { q.Del("b") }) }, sigv4.Mismatch, ""},
		{"signed header", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, sigv4.Mismatch, ""},
		{"signed header removed", func(r *http.Request) { r.Header.Del("Content-Type") }, sigv4.Mismatch, ""},
		{"second value of a signed header", func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }, sigv4.Mismatch, ""},
		{"session token", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "another") }, sigv4.Mismatch, ""},
		{"session token removed", func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, sigv4.Mismatch, ""},
		{"session token not signed", func(r *http.Request) { authorization(r, ";x-amz-security-token", "") }, sigv4.Mismatch, "not signed: x-amz-security-token"},
		{"host not signed", func(r *http.Request) { authorization(r, ";host", "") }, sigv4.Mismatch, "'Host'"},
		{"x-amz header not signed", func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, sigv4.Mismatch, "not signed: x-amz-target"},
		{"signature", func(r *http.Request) { authorization(r, "Signature=", "Signature="+strings.Repeat("0", 64)+", x=") }, sigv4.Mismatch, ""},
		{"byte of the body", func(r *http.Request) { body(r, "Action=GetCallerIdentitz") }, sigv4.Mismatch, ""},
		{"body longer", func(r *http.Request) { body(r, "Action=GetCallerIdentity&") }, sigv4.Mismatch, ""},
		{"body gone", func(r *http.Request) { body(r, "") }, sigv4.Mismatch, ""},
		{"body too large", func(r *http.Request) { body(r, strings.Repeat("a", 1<<20+1)) }, sigv4.BodyTooLarge, ""},
		{"body too large, of unknown length", func(r *http.Request) { body(r, strings.Repeat("a", 1<<20+1)); r.ContentLength = -1 }, sigv4.BodyTooLarge, ""},
	}
	v := verifierAt(t, signedAt, secret)
	if _, err := v.Verify(newSTSRequest(t)); err != nil {
		t.Fatal("unaltered:", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newSTSRequest(t)
			before := r.Header.Get("Authorization")
			tt.alter(r)
			_, err := v.Verify(r)
			if failure(err) != tt.want || !strings.Contains(err.Error(), tt.inText) {
				t.Errorf("got %v (%d), want %v with %q\nwas %s\nis  %s", err, failure(err), tt.want, tt.inText, before, r.Header.Get("Authorization"))
			}
		})
	}
}

// TestTime holds the clock against requests that are good in all else.
func TestTime(t *testing.T) {
	const min = time.Minute
	tests := []struct {
		name string
		r    func(t testing.TB) *http.Request
		at   time.Duration // after signing
		want sigv4.Failure // -1: accepted
		text string
	}{
		{"five minutes late", newSTSRequest, 5 * min, -1, ""},
		{"later", newSTSRequest, 5*min + 1*time.Second, sigv4.Expired,
			"Signature expired: 20260317T220000Z is now earlier than 20260317T220001Z (20260317T220501Z - 5 min.)"},
		{"five minutes early", newSTSRequest, -5 * min, -1, ""},
		{"earlier", newSTSRequest, -5*min - time.Second, sigv4.NotYet,
			"Signature not yet current: 20260317T220000Z is still later than 20260317T215959Z (20260317T215459Z + 5 min.)"},
		{"S3 allows fifteen", newS3Request, 15 * min, -1, ""},
		{"S3 allows no more", newS3Request, 15*min + time.Second, sigv4.Expired, "15 min."},
		{"presigned, in time", presignedS3("3600"), 60 * min, -1, ""},
		{"presigned, late", presignedS3("3600"), 60*min + time.Second, sigv4.Expired, "Signature expired"},
		{"presigned, for a week", presignedS3("604800"), 7 * 24 * 60 * min, -1, ""},
		{"presigned, for more than a week", presignedS3("604801"), 0, sigv4.Incomplete, "less than a week"},
		{"presigned, for no time", presignedS3("0"), 0, sigv4.Incomplete, "positive"},
		{"presigned, for a negative time", presignedS3("-1"), 0, sigv4.Incomplete, "positive"},
		{"presigned, for ever", presignedS3(""), 0, sigv4.Incomplete, "'X-Amz-Expires'"},
		{"presigned, from the future", presignedS3("3600"), -16 * min, sigv4.NotYet, ""},
		{"presigned for STS without saying for how long", presignedSTS(""), 5 * min, -1, ""},
		{"the same, late", presignedSTS(""), 5*min + time.Second, sigv4.Expired, ""},
		{"presigned for STS", presignedSTS("900"), 15 * min, -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verifierAt(t, signedAt.Add(tt.at), secret).Verify(tt.r(t))
			if failure(err) != tt.want || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

func newS3Request(t testing.TB) *http.Request {
	return sign(t, httptest.NewRequest("PUT", "https://s3.us-west-2.amazonaws.com/bucket/a%20key//./x", nil), "content", "s3", signedAt, "")
}

func presignedS3(expires string) func(testing.TB) *http.Request {
	return func(t testing.TB) *http.Request {
		return presign(t, "https://s3.us-west-2.amazonaws.com/bucket/a%20key?versionId=1", "s3", expires)
	}
}

func presignedSTS(expires string) func(testing.TB) *http.Request {
	return func(t testing.TB) *http.Request {
		return presign(t, "https://sts.us-west-2.amazonaws.com/?Action=GetCallerIdentity", "sts", expires)
	}
}

func TestRefusesPresigned(t *testing.T) {
	tests := []struct {
		name  string
		alter func(r *http.Request)
		want  sigv4.Failure
	}{
		{"longer expiry", func(r *http.Request) { query(r, func(q url.Values) { q.Set("X-Amz-Expires", "3601") }) }, sigv4.Mismatch},
		{"another token", func(r *http.Request) { query(r, func(q url.Values) { q.Set("X-Amz-Security-Token", "x") }) }, sigv4.Mismatch},
		{"no token", func(r *http.Request) { query(r, func(q url.Values) { q.Del("X-Amz-Security-Token") }) }, sigv4.Mismatch},
		{"parameter added", func(r *http.Request) { r.URL.RawQuery += "&acl" }, sigv4.Mismatch},
		{"key", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/bucket/another", "" }, sigv4.Mismatch},
		{"method", func(r *http.Request) { r.Method = "DELETE" }, sigv4.Mismatch},
		{"x-amz header that was not signed", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, sigv4.Mismatch},
		{"token in a header", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, sigv4.Mismatch},
		{"another algorithm", func(r *http.Request) {
			query(r, func(q url.Values) { q.Set("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256") })
		}, sigv4.Incomplete},
		{"no signature", func(r *http.Request) { query(r, func(q url.Values) { q.Del("X-Amz-Signature") }) }, sigv4.Incomplete},
		{"two signatures", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Signature=" + strings.Repeat("0", 64) }, sigv4.Incomplete},
		{"two expiries", func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Expires=604800" }, sigv4.Incomplete},
		{"scope of another day", func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "%2F20260317", "%2F20260316", 1)
		}, sigv4.WrongScope},
	}
	v := verifierAt(t, signedAt, secret)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := presignedS3("3600")(t)
			if _, err := v.Verify(r.Clone(t.Context())); err != nil {
				t.Fatal("unaltered:", err)
			}
			tt.alter(r)
			if _, err := v.Verify(r); failure(err) != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestSecret holds what Config.Secret is told and what is made of its answer.
func TestSecret(t *testing.T) {
	expired := &sigv4.Error{Failure: sigv4.ExpiredSession, Message: "gone"}
	broken := errors.New("the database is away")
	for name, tt := range map[string]struct {
		secret string
		err    error
		want   error
	}{
		"known":   {secret, nil, nil},
		"refused": {"", expired, expired},
		"broken":  {secret, broken, broken},
		"empty":   {"", nil, &sigv4.Error{Failure: sigv4.UnknownKey}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := sigv4.New(sigv4.Config{Now: func() time.Time { return signedAt }, Secret: func(_ context.Context, s sigv4.Scope, token string) (string, error) {
				if want := (sigv4.Scope{AccessKeyID: keyID, Date: "20260317", Region: "us-west-2", Service: "sts"}); s != want || token != "a token" {
					t.Errorf("asked for %+v, %q", s, token)
				}
				return tt.secret, tt.err
			}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(newSTSRequest(t))
			if !errors.Is(err, tt.want) && (tt.want == nil || err == nil || err.Error() != tt.want.Error()) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := sigv4.New(sigv4.Config{}); err == nil {
		t.Error("New accepts a Config without Secret")
	}
}

func TestParseScope(t *testing.T) {
	want := sigv4.Scope{AccessKeyID: keyID, Date: "20260317", Region: "us-west-2", Service: "s3"}
	for name, r := range map[string]*http.Request{"header": newS3Request(t), "presigned": presignedS3("60")(t)} {
		scope, signed, err := sigv4.ParseScope(r)
		if scope != want || !signed || err != nil {
			t.Errorf("%s: %+v, %v, %v", name, scope, signed, err)
		}
	}
	if _, signed, err := sigv4.ParseScope(httptest.NewRequest("GET", "/", nil)); signed || err != nil {
		t.Errorf("unsigned: %v, %v", signed, err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	if _, signed, err := sigv4.ParseScope(r); !signed || failure(err) != sigv4.Incomplete {
		t.Errorf("garbage: %v, %v", signed, err)
	}
}

// A body that was verified is there to be read, once more.
func TestBodyIsKept(t *testing.T) {
	for name, r := range map[string]*http.Request{"sts": newSTSRequest(t), "s3": newS3Request(t)} {
		if _, err := verifierAt(t, signedAt, secret).Verify(r); err != nil {
			t.Fatal(name, err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains([]byte("Action=GetCallerIdentity content"), got) || int64(len(got)) != r.ContentLength || len(got) == 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
