package issuer_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token"
	"github.com/podid/podid/internal/token/issuer"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func newIssuer(t *testing.T, url, keyFile string) *issuer.Issuer {
	t.Helper()
	i, err := issuer.New(issuer.Config{URL: url, KeyFile: keyFile, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func mint(t *testing.T, i *issuer.Issuer, r issuer.Request) string {
	t.Helper()
	raw, err := i.Mint(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// part decodes one part of a token.
func part(t *testing.T, raw string, n int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(data, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestMintMakesClaimsAsTheAPIServerDoes(t *testing.T) {
	raw := mint(t, newIssuer(t, "https://issuer.example", ""), issuer.Request{
		Namespace: "default", ServiceAccount: "app", ServiceAccountUID: "s", PodName: "app-0", PodUID: "p",
		NodeName: "node-1", NodeUID: "n", Lifetime: time.Hour,
	})
	header, claims := part(t, raw, 0), part(t, raw, 1)
	if kid, _ := header["kid"].(string); len(header) != 2 || header["alg"] != "RS256" || len(kid) != 43 {
		t.Errorf("header %v", header)
	}
	jti, _ := claims["jti"].(string)
	if len(jti) != 36 {
		t.Errorf("jti %q", jti)
	}
	delete(claims, "jti")
	got, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"aud":["pods.eks.amazonaws.com"],"exp":1793538000,"iat":1793534400,"iss":"https://issuer.example",` +
		`"kubernetes.io":{"namespace":"default","node":{"name":"node-1","uid":"n"},"pod":{"name":"app-0","uid":"p"},` +
		`"serviceaccount":{"name":"app","uid":"s"}},"nbf":1793534400,"sub":"system:serviceaccount:default:app"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMadeUpUIDsStayTheSame(t *testing.T) {
	i := newIssuer(t, "https://issuer.example", "")
	own := func(namespace, pod string) map[string]any {
		raw := mint(t, i, issuer.Request{Namespace: namespace, ServiceAccount: "app", PodName: pod, NodeName: "app"})
		return part(t, raw, 1)["kubernetes.io"].(map[string]any)
	}
	uid := func(claims map[string]any, object string) any { return claims[object].(map[string]any)["uid"] }
	first, again, other := own("default", "app"), own("default", "app"), own("other", "app")
	for _, object := range []string{"pod", "serviceaccount", "node"} {
		if uid(first, object) != uid(again, object) {
			t.Errorf("the %s's uid changes from token to token", object)
		}
		if same := uid(first, object) == uid(other, object); same != (object == "node") {
			t.Errorf("the %s's uid in another namespace: same is %v", object, same)
		}
	}
	if uid(first, "pod") == uid(first, "serviceaccount") || uid(first, "pod") == uid(first, "node") {
		t.Error("objects of one name share a uid")
	}
}

// TestServedKeysVerifyTokens goes the whole way that a verifier does.
func TestServedKeysVerifyTokens(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	i := newIssuer(t, server.URL, "")
	mux.Handle("/", i.Handler())

	response, err := http.Get(server.URL + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(response.Body).Decode(&discovery); err != nil {
		t.Fatal(err)
	}
	v, err := token.New(token.Config{
		Clusters: map[string]token.Issuer{"c": {URL: discovery.Issuer, JWKSURL: discovery.JWKSURI}}, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	request := issuer.Request{Namespace: "default", ServiceAccount: "app", PodName: "app-0", NodeName: "node-1"}
	subject, err := v.Verify(t.Context(), "c", mint(t, i, request))
	if err != nil {
		t.Fatal(err)
	}
	if subject.PodName != "app-0" || subject.NodeName != "node-1" || !subject.Expires.Equal(now.Add(24*time.Hour)) {
		t.Errorf("subject %+v", subject)
	}

	for name, test := range map[string]struct {
		change func(*issuer.Request)
		want   identity.Kind
	}{
		"expired":          {func(r *issuer.Request) { r.NotBefore, r.Lifetime = now.Add(-2*time.Hour), time.Hour }, identity.ExpiredToken},
		"not yet valid":    {func(r *issuer.Request) { r.NotBefore = now.Add(time.Hour) }, identity.InvalidToken},
		"without a pod":    {func(r *issuer.Request) { r.PodName = "" }, identity.InvalidToken},
		"another audience": {func(r *issuer.Request) { r.Audiences = []string{"vault"} }, identity.InvalidToken},
	} {
		bad := request
		test.change(&bad)
		if _, err := v.Verify(t.Context(), "c", mint(t, i, bad)); identity.KindOf(err) != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestMintRefuses(t *testing.T) {
	i := newIssuer(t, "https://issuer.example", "")
	for name, r := range map[string]issuer.Request{
		"no namespace":       {ServiceAccount: "app"},
		"no service account": {Namespace: "default"},
		"negative lifetime":  {Namespace: "default", ServiceAccount: "app", Lifetime: -time.Second},
	} {
		if _, err := i.Mint(r); err == nil {
			t.Errorf("%s: minted", name)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "issuer.pem")
	first, second := newIssuer(t, "https://a.example", path), newIssuer(t, "https://a.example", path)
	if string(first.JWKS()) != string(second.JWKS()) {
		t.Error("the key changes from start to start")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if strings.Contains(string(first.JWKS()), `"d"`) {
		t.Error("the private key is published")
	}

	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.New(issuer.Config{URL: "https://a.example", KeyFile: path}); err == nil {
		t.Error("a key that others can read is accepted")
	}
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("-----BEGIN PRIVATE KEY-----"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.New(issuer.Config{URL: "https://a.example", KeyFile: garbage}); err == nil {
		t.Error("garbage is accepted as a key")
	}
}
