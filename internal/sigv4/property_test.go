package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/podid/podid/internal/sigv4"
)

// verifierOfKey knows only the key that sign signs with.
func verifierOfKey(t testing.TB) *sigv4.Verifier {
	v, err := sigv4.New(sigv4.Config{
		Secret: func(_ context.Context, scope sigv4.Scope, token string) (string, error) {
			if scope.AccessKeyID != keyID {
				return "", &sigv4.Error{Failure: sigv4.UnknownKey}
			}
			return secret, nil
		},
		Now: func() time.Time { return signedAt },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// randomRequest makes, signs and serializes a request.
func randomRequest(t testing.TB, rnd *rand.Rand) []byte {
	t.Helper()
	words := []string{"a", "A b", "+", "%", "%2F", "ü", "a=b", "x&y", ";", ":", "~", "*", "'()!", "..a", "\x01", "日本", "-_.", "@$,"}
	word := func() string { return words[rnd.IntN(len(words))] }
	service := []string{"sts", "eks", "s3"}[rnd.IntN(3)]

	var target url.URL
	target.Scheme, target.Host = "https", "example.us-west-2.amazonaws.com"
	target.Path = "/"
	for range rnd.IntN(4) {
		target.Path += word() + "/"
		if service == "s3" && rnd.IntN(4) == 0 {
			target.Path += []string{"/", "./", "../"}[rnd.IntN(3)]
		}
	}
	target.RawPath = httpbinding.EscapePath(target.Path, false)
	query := url.Values{}
	for range rnd.IntN(5) {
		query.Add(word(), []string{"", word(), word() + word()}[rnd.IntN(3)])
	}
	target.RawQuery = query.Encode()

	method := []string{"GET", "PUT", "POST", "DELETE", "HEAD"}[rnd.IntN(5)]
	r, err := http.NewRequest(method, target.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = &target
	for range rnd.IntN(4) {
		r.Header.Add([]string{"X-Amz-Meta-A", "x-amz-target", "Content-Type", "If-Match"}[rnd.IntN(4)],
			[]string{"v", "a  b   c", "a,b", "\"a  b\"", ""}[rnd.IntN(5)])
	}
	body := ""
	if method == "PUT" || method == "POST" {
		body = strings.Repeat(word(), rnd.IntN(100))
	}
	sign(t, r, body, service, signedAt.Add(time.Duration(rnd.IntN(600)-300)*time.Second), []string{"", "to/k+en=="}[rnd.IntN(2)])
	if body == "" {
		r.Body = nil
	}
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	return wire.Bytes()
}

// accepted verifies a serialized request and returns what a handler would go by.
func accepted(v *sigv4.Verifier, wire []byte) (meaning string, err error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		return "", err
	}
	signed := strings.Split(between(r.Header.Get("Authorization")+"&", "SignedHeaders=", ","), ";")
	if q := r.URL.Query().Get("X-Amz-SignedHeaders"); q != "" {
		signed = strings.Split(q, ";")
	}
	var b strings.Builder
	for _, name := range signed {
		if name == "content-length" {
			continue // 061 is 61 as well
		}
		var values []string
		for _, value := range r.Header.Values(name) {
			values = append(values, strings.Join(strings.Fields(value), " "))
		}
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(values, ","))
	}
	scope, err := v.Verify(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	where := r.URL.Path
	if scope.Service != "s3" {
		where = path.Clean(where)
	}
	query := r.URL.Query()
	for _, values := range query {
		slices.Sort(values) // the canonical query sorts them, so their order is not signed
	}
	return fmt.Sprintf("%s %s %s\n%s\n%+v\n%s\n%s", r.Method, r.Host, where, query.Encode(), scope, b.String(), body), nil
}

func between(s, start, end string) string {
	_, s, _ = strings.Cut(s, start)
	s, _, _ = strings.Cut(s, end)
	return s
}

// What AWS's signer signs is accepted; what is altered on the way is not, unless
// it still means the same.
func TestSignerAndVerifierAgree(t *testing.T) {
	v := verifierOfKey(t)
	refused := 0
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		wire := randomRequest(t, rnd)
		want, err := accepted(v, wire)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, wire)
		}
		for range 5 {
			altered := slices.Clone(wire)
			altered[rnd.IntN(len(altered))] ^= 1 << rnd.IntN(7)
			if got, err := accepted(v, altered); err != nil {
				refused++
			} else if got != want {
				t.Fatalf("seed %d: accepted as\n%s\n%s", seed, got, altered)
			}
		}
	}
	if refused < 5000 {
		t.Errorf("only %d of 10000 alterations were refused", refused)
	}
}

func FuzzVerify(f *testing.F) {
	v := verifierOfKey(f)
	meanings := map[string]bool{}
	for seed := range uint64(40) {
		wire := randomRequest(f, rand.New(rand.NewPCG(seed, 1)))
		meaning, err := accepted(v, wire)
		if err != nil {
			f.Fatal(err)
		}
		meanings[meaning] = true
		f.Add(wire)
	}
	for _, r := range []*http.Request{presignedS3("3600")(f), presignedSTS("60")(f), chunkedUpload(f, unsignedChunks("Hello world"), 11)} {
		r.URL.Host = r.Host
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			f.Fatal(err)
		}
		meaning, err := accepted(v, wire.Bytes())
		if err != nil {
			f.Fatal(err)
		}
		meanings[meaning] = true
		f.Add(wire.Bytes())
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if meaning, err := accepted(v, wire); err == nil && !meanings[meaning] && !strings.Contains(string(wire), "UNSIGNED-PAYLOAD") {
			t.Errorf("accepted what nobody signed:\n%s", meaning)
		}
	})
}

func FuzzParseScope(f *testing.F) {
	for _, r := range []*http.Request{newSTSRequest(f), newS3Request(f), presignedS3("60")(f)} {
		f.Add(r.Header.Get("Authorization"), r.Header.Get("X-Amz-Date"), r.URL.RawQuery)
	}
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=;,Signature=", "Fri, 24 May 2013 00:00:00 GMT", "")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=99999999999999999999&%zz;")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := &http.Request{URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		scope, signed, err := sigv4.ParseScope(r)
		switch {
		case err != nil && (failure(err) != sigv4.Incomplete || !signed):
			t.Errorf("%v, signed %v", err, signed)
		case err == nil && signed != (scope.AccessKeyID != "" && scope.Region != "" && scope.Service != "" && len(scope.Date) == 8):
			t.Errorf("%+v, signed %v", scope, signed)
		}
	})
}

func FuzzUnsignedChunks(f *testing.F) {
	v := verifierOfKey(f)
	for _, content := range []string{"", "a", "Hello world", strings.Repeat("ab", 3000)} {
		f.Add([]byte(unsignedChunks(content)), len(content))
	}
	f.Add([]byte("1\r\na\r\n1\r\nb\r\n0\r\nx-amz-checksum-crc32:nYYp2g==\r\n\r\n"), 2)
	f.Add([]byte("ffffffffffffffff\r\n"), 1)
	f.Fuzz(func(t *testing.T, encoded []byte, length int) {
		got, err := verifyAndRead(v, chunkedUpload(t, string(encoded), length))
		if err != nil {
			if failure(err) < 0 {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		again := unsignedChunks(got)
		checksum := again[strings.LastIndex(again, ":")+1 : len(again)-4]
		if len(got) != length || !bytes.Contains(encoded, []byte(checksum)) {
			t.Errorf("accepted %q as %d bytes %q", encoded, length, got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v := verifierOfKey(b)
	r := newSTSRequest(b)
	const body = "Action=GetCallerIdentity"
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(body))
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyUpload(b *testing.B) {
	v := verifierOfKey(b)
	content := strings.Repeat("x", 8<<20)
	encoded := unsignedChunks(content)
	signed := chunkedUpload(b, encoded, len(content))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		r := signed.Clone(b.Context())
		r.Body = io.NopCloser(strings.NewReader(encoded))
		if _, err := v.Verify(r); err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(len(content)) {
			b.Fatal(n, err)
		}
	}
}
