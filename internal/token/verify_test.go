package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/issuer"
)

const issuerURL = "https://issuer.example"

var now = time.Date(2026, 11, 1, 12, 0, 0, 500, time.UTC)

func clock() time.Time { return now }

// rsaKey is shared: keys are slow to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// object is a JSON object.
type object = map[string]any

// good returns the claims of a token that verifies.
func good() object {
	return object{
		"iss": issuerURL,
		"sub": "system:serviceaccount:default:demo-app-sa",
		"aud": []string{identity.Audience},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"jti": "4f1d0a7e-7a86-4c06-9c0b-6b5d0a1f1d52",
		"kubernetes.io": object{
			"namespace":      "default",
			"node":           object{"name": "node-1", "uid": "n-uid"},
			"pod":            object{"name": "demo-app-0", "uid": "p-uid"},
			"serviceaccount": object{"name": "demo-app-sa", "uid": "s-uid"},
		},
	}
}

// with returns good claims with the given ones in place of theirs; nil removes one.
func with(changes object) object {
	claims := good()
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// withKubernetes is with for the claims of Kubernetes' own.
func withKubernetes(changes object) object {
	own := good()["kubernetes.io"].(object)
	maps.Copy(own, changes)
	maps.DeleteFunc(own, func(_ string, v any) bool { return v == nil })
	return with(object{"kubernetes.io": own})
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, options *jose.SignerOptions, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// byHand builds a token that no library would.
func byHand(header, claims object, signature func(signed []byte) []byte) string {
	part := func(v object) string {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := part(header) + "." + part(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature([]byte(signed)))
}

func keySetOf(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// newVerifier knows the cluster example-cluster, whose issuer has rsaKey under
// the name k1.
func newVerifier(t testing.TB, more ...jose.JSONWebKey) *Verifier {
	t.Helper()
	keys := append(more, jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "k1", Algorithm: "RS256", Use: "sig"})
	v, err := New(Config{
		Clusters: map[string]Issuer{"example-cluster": {URL: issuerURL, JWKS: keySetOf(t, keys...)}},
		Now:      clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func k1() jose.JSONWebKey { return named("k1") }

// named is rsaKey under another name.
func named(kid string) jose.JSONWebKey { return jose.JSONWebKey{Key: rsaKey(), KeyID: kid} }

func TestVerify(t *testing.T) {
	got, err := newVerifier(t).Verify(t.Context(), "example-cluster", sign(t, jose.RS256, k1(), nil, good()))
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Subject{
		Namespace: "default", ServiceAccount: "demo-app-sa", ServiceAccountUID: "s-uid",
		PodName: "demo-app-0", PodUID: "p-uid", NodeName: "node-1", NodeUID: "n-uid",
		TokenID: "4f1d0a7e-7a86-4c06-9c0b-6b5d0a1f1d52", Expires: now.Add(time.Hour).Truncate(time.Second),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestVerifyAcceptsEC(t *testing.T) {
	for algorithm, curve := range map[jose.SignatureAlgorithm]elliptic.Curve{
		jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		v := newVerifier(t, jose.JSONWebKey{Key: &key.PublicKey, KeyID: "ec"})
		raw := sign(t, algorithm, jose.JSONWebKey{Key: key, KeyID: "ec"}, nil, good())
		if _, err := v.Verify(t.Context(), "example-cluster", raw); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestVerifyAcceptsLessAndMore(t *testing.T) {
	for name, claims := range map[string]object{
		"without a node":           withKubernetes(object{"node": nil}),
		"node without a uid":       withKubernetes(object{"node": object{"name": "node-1"}}),
		"several audiences":        with(object{"aud": []string{"other", identity.Audience}}),
		"one audience as a string": with(object{"aud": identity.Audience}),
		"issuer's clock is ahead":  with(object{"nbf": now.Add(20 * time.Second).Unix(), "iat": now.Add(20 * time.Second).Unix()}),
		"without nbf, iat and jti": with(object{"nbf": nil, "iat": nil, "jti": nil}),
		"claims unknown to us":     with(object{"hello": "world"}),
	} {
		if _, err := newVerifier(t).Verify(t.Context(), "example-cluster", sign(t, jose.RS256, k1(), nil, claims)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerifyRefuses names, for every hostile token, the failure expected.
func TestVerifyRefuses(t *testing.T) {
	signed := func(claims object) string { return sign(t, jose.RS256, k1(), nil, claims) }
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	hmacWith := func(key []byte) func([]byte) []byte {
		return func(signed []byte) []byte {
			mac := hmac.New(sha256.New, key)
			mac.Write(signed)
			return mac.Sum(nil)
		}
	}
	nothing := func([]byte) []byte { return nil }
	rs256 := func(signed []byte) []byte {
		sum := sha256.Sum256(signed)
		signature, err := rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	tampered := func(raw string, part int) string {
		parts := strings.Split(raw, ".")
		middle := len(parts[part]) / 2
		other := byte('A')
		if parts[part][middle] == other {
			other = 'B'
		}
		parts[part] = parts[part][:middle] + string(other) + parts[part][middle+1:]
		return strings.Join(parts, ".")
	}
	valid := signed(good())
	header := object{"alg": "RS256", "kid": "k1"}

	for _, test := range []struct {
		name string
		raw  string
		want identity.Kind
	}{
		{"empty", "", identity.InvalidRequest},
		{"garbage", "garbage", identity.InvalidRequest},
		{"garbage of three parts", "a.b.c", identity.InvalidToken},
		{"five parts, as encrypted tokens have", valid + ".a.b", identity.InvalidRequest},
		{"a line break at the end", valid + "\n", identity.InvalidRequest},
		{"huge", valid + strings.Repeat("A", maxToken), identity.InvalidRequest},
		{"padded", valid + "==", identity.InvalidToken},

		{"alg none", byHand(object{"alg": "none", "kid": "k1"}, good(), nothing), identity.InvalidRequest},
		{"alg none with a signature", byHand(object{"alg": "none", "kid": "k1"}, good(), rs256), identity.InvalidToken},
		{"alg nOnE", byHand(object{"alg": "nOnE", "kid": "k1"}, good(), rs256), identity.InvalidToken},
		{"HS256 signed with the public key (PEM)", byHand(object{"alg": "HS256", "kid": "k1"}, good(), hmacWith(publicPEM)), identity.InvalidToken},
		{"HS256 signed with the public key (DER)", byHand(object{"alg": "HS256", "kid": "k1"}, good(), hmacWith(der)), identity.InvalidToken},
		{"PS256, which no API server signs with", sign(t, jose.PS256, named("any"), nil, good()), identity.InvalidToken},
		{"RS512, which no API server signs with", sign(t, jose.RS512, named("any"), nil, good()), identity.InvalidToken},
		{"RS256 with a key for another algorithm", sign(t, jose.RS256, named("other"), nil, good()), identity.InvalidToken},

		{"signed by a stranger", sign(t, jose.RS256, jose.JSONWebKey{Key: stranger, KeyID: "k1"}, nil, good()), identity.InvalidToken},
		{"signed by a stranger who embeds the key", sign(t, jose.RS256, jose.JSONWebKey{Key: stranger, KeyID: "k1"},
			&jose.SignerOptions{EmbedJWK: true}, good()), identity.InvalidToken},
		{"signed by a stranger whose header points to the key", sign(t, jose.RS256, jose.JSONWebKey{Key: stranger, KeyID: "k1"},
			(&jose.SignerOptions{}).WithHeader("jku", "https://stranger.example/jwks"), good()), identity.InvalidToken},
		{"unknown key id", sign(t, jose.RS256, jose.JSONWebKey{Key: rsaKey(), KeyID: "k2"}, nil, good()), identity.InvalidToken},
		{"no key id", sign(t, jose.RS256, rsaKey(), nil, good()), identity.InvalidToken},
		{"unknown critical header", byHand(object{"alg": "RS256", "kid": "k1", "crit": []string{"x"}, "x": 1}, good(), rs256), identity.InvalidToken},
		{"claims changed", tampered(valid, 1), identity.InvalidToken},
		{"signature changed", tampered(valid, 2), identity.InvalidToken},
		{"claims that are no object", byHand(header, nil, rs256), identity.InvalidToken},

		{"of another cluster", signed(with(object{"iss": "https://other.example"})), identity.InvalidToken},
		{"without an issuer", signed(with(object{"iss": nil})), identity.InvalidToken},
		{"another audience", signed(with(object{"aud": []string{"sts.amazonaws.com"}})), identity.InvalidToken},
		{"an audience that contains ours", signed(with(object{"aud": []string{identity.Audience + ".evil"}})), identity.InvalidToken},
		{"no audience", signed(with(object{"aud": nil})), identity.InvalidToken},

		{"expired", signed(with(object{"exp": now.Unix()})), identity.ExpiredToken},
		{"expired, signed by a stranger", sign(t, jose.RS256, jose.JSONWebKey{Key: stranger, KeyID: "k1"}, nil,
			with(object{"exp": now.Add(-time.Hour).Unix()})), identity.InvalidToken},
		{"never expires", signed(with(object{"exp": nil})), identity.InvalidToken},
		{"expiry is text", signed(with(object{"exp": "tomorrow"})), identity.InvalidToken},
		{"not yet valid", signed(with(object{"nbf": now.Add(time.Minute).Unix()})), identity.InvalidToken},
		{"issued in the future", signed(with(object{"iat": now.Add(time.Minute).Unix()})), identity.InvalidToken},

		{"without the claims of Kubernetes", signed(with(object{"kubernetes.io": nil})), identity.InvalidToken},
		{"without a pod", signed(withKubernetes(object{"pod": nil})), identity.InvalidToken},
		{"pod without a uid", signed(withKubernetes(object{"pod": object{"name": "demo-app-0"}})), identity.InvalidToken},
		{"pod without a name", signed(withKubernetes(object{"pod": object{"uid": "p-uid"}})), identity.InvalidToken},
		{"without a service account", signed(withKubernetes(object{"serviceaccount": nil})), identity.InvalidToken},
		{"subject of another service account", signed(with(object{"sub": "system:serviceaccount:default:admin"})), identity.InvalidToken},
		{"subject of another namespace", signed(withKubernetes(object{"namespace": "kube-system"})), identity.InvalidToken},
		{"without a subject", signed(with(object{"sub": nil})), identity.InvalidToken},
		{"a colon in the namespace", signed(with(object{"sub": "system:serviceaccount:a:b:c", "kubernetes.io": object{
			"namespace": "a:b", "pod": object{"name": "p", "uid": "u"}, "serviceaccount": object{"name": "c", "uid": "u"}}})), identity.InvalidToken},
		{"a node's name with a line break", signed(withKubernetes(object{"node": object{"name": "a\nb"}})), identity.InvalidToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newVerifier(t, jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "any"},
				jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "other", Algorithm: "RS512"})
			subject, err := v.Verify(t.Context(), "example-cluster", test.raw)
			if err == nil {
				t.Fatalf("verified as %+v", subject)
			}
			if got := identity.KindOf(err); got != test.want {
				t.Errorf("got %v (%v), want %v", got, err, test.want)
			}
			if subject != (identity.Subject{}) {
				t.Errorf("a refused token has the subject %+v", subject)
			}
		})
	}
}

func TestExpiredTokenHasTheTextOfAWS(t *testing.T) {
	raw := sign(t, jose.RS256, k1(), nil, with(object{"exp": now.Add(-time.Hour).Unix()}))
	_, err := newVerifier(t).Verify(t.Context(), "example-cluster", raw)
	want := "The token included in the request is expired: current date/time 2026-11-01T12:00:00.0000005Z" +
		" must be before the expiration date/time 2026-11-01T11:00:00Z"
	if got := identity.SafeMessage(err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestVerifyAmongClusters has two clusters whose issuers differ in all but the
// name of their service accounts.
func TestVerifyAmongClusters(t *testing.T) {
	clusters := map[string]Issuer{}
	issuers := map[string]*issuer.Issuer{}
	for _, name := range []string{"blue", "green"} {
		i, err := issuer.New(issuer.Config{URL: "https://" + name + ".example", Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		issuers[name], clusters[name] = i, Issuer{URL: "https://" + name + ".example", JWKS: i.JWKS()}
	}
	v, err := New(Config{Clusters: clusters, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	blue, err := issuers["blue"].Mint(issuer.Request{Namespace: "default", ServiceAccount: "app", PodName: "app-0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), "blue", blue); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), "green", blue); identity.KindOf(err) != identity.InvalidToken {
		t.Errorf("the other cluster: %v", err)
	}
	if _, err := v.Verify(t.Context(), "red", blue); identity.KindOf(err) != identity.NotFound {
		t.Errorf("a cluster that is not there: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	set := keySetOf(t, jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "k1"})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, clusters := range map[string]map[string]Issuer{
		"no issuer URL":           {"a": {JWKS: set}},
		"no keys":                 {"a": {URL: issuerURL}},
		"keys over plain http":    {"a": {URL: issuerURL, JWKSURL: "http://issuer.example/jwks"}},
		"keys in a file":          {"a": {URL: issuerURL, JWKSURL: "file:///etc/jwks"}},
		"one issuer for two":      {"a": {URL: issuerURL, JWKS: set}, "b": {URL: issuerURL, JWKS: set}},
		"a key set that is none":  {"a": {URL: issuerURL, JWKS: []byte(`<html>`)}},
		"a key set without keys":  {"a": {URL: issuerURL, JWKS: []byte(`{"keys":[]}`)}},
		"symmetric keys only":     {"a": {URL: issuerURL, JWKS: keySetOf(t, jose.JSONWebKey{Key: make([]byte, 32), KeyID: "k1"})}},
		"private keys only":       {"a": {URL: issuerURL, JWKS: keySetOf(t, k1())}},
		"encryption keys only":    {"a": {URL: issuerURL, JWKS: keySetOf(t, jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "k1", Use: "enc"})}},
		"an RSA key of 1024 bits": {"a": {URL: issuerURL, JWKS: keySetOf(t, jose.JSONWebKey{Key: &weak.PublicKey, KeyID: "k1"})}},
	} {
		if _, err := New(Config{Clusters: clusters}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	signedPart := func(raw string) string { return raw[:strings.LastIndexByte(raw, '.')] }
	genuine := map[string]bool{}
	for _, options := range []*jose.SignerOptions{nil, {EmbedJWK: true}} {
		raw := sign(f, jose.RS256, k1(), options, good())
		genuine[signedPart(raw)] = true
		f.Add(raw)
	}
	f.Add(byHand(object{"alg": "none"}, good(), func([]byte) []byte { return []byte{1} }))
	f.Add("a.b.c")
	f.Add("..")
	v := newVerifier(f)
	f.Fuzz(func(t *testing.T, raw string) {
		subject, err := v.Verify(t.Context(), "example-cluster", raw)
		if err == nil && !genuine[signedPart(raw)] {
			t.Fatalf("forged: %+v", subject)
		}
		if err != nil && identity.KindOf(err) == identity.Internal {
			t.Fatalf("unforeseen: %v", err)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add(keySetOf(f, jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "k1"}, k1()))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AQAB","kid":"k1"},{"kty":"RSA","n":"AQAB","e":"","kid":"k1"},7]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeySet(data)
		for kid, key := range keys {
			if !key.IsPublic() || kid == "" {
				t.Fatalf("key %q is not one to verify with", kid)
			}
		}
		if err == nil && len(keys) == 0 {
			t.Fatal("no keys, and no error")
		}
	})
}
