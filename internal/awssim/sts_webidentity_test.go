package awssim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"
)

const webIssuer = "https://oidc.example/id/1"

// idp is an OIDC issuer with one key of each kind.
type idp struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &idp{r, e}
}

func (p *idp) fetch(_ context.Context, issuer string) (jose.JSONWebKeySet, error) {
	if issuer != webIssuer {
		return jose.JSONWebKeySet{}, errors.New("no route to " + issuer)
	}
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &p.rsa.PublicKey, KeyID: "rsa", Algorithm: "RS256", Use: "sig"}, {Key: &p.ec.PublicKey, KeyID: "ec", Algorithm: "ES256", Use: "sig"},
	}}, nil
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestWebIdentity(t *testing.T) {
	p := newIDP(t)
	world := guideWorld(trust(`{"Federated":"arn:aws:iam::444455556666:oidc-provider/oidc.example/id/1"}`, `"sts:AssumeRoleWithWebIdentity"`,
		`{"StringEquals":{"oidc.example/id/1:sub":"system:serviceaccount:default:app","oidc.example/id/1:aud":"sts.amazonaws.com"}}`))
	world.Accounts[1].OIDCProviders = []OIDCProvider{
		{URL: webIssuer, ClientIDs: []string{"sts.amazonaws.com", "other.example"}}, {URL: "https://down.example", ClientIDs: []string{"sts.amazonaws.com"}},
	}
	f := start(t, world, func(c *Config) { c.FetchKeys = p.fetch })
	now := time.Now()
	claims := func(change ...any) map[string]any {
		c := map[string]any{
			"iss": webIssuer, "sub": "system:serviceaccount:default:app", "aud": []string{"sts.amazonaws.com"},
			"exp": now.Add(time.Hour).Unix(), "nbf": now.Add(-time.Minute).Unix(),
		}
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == nil {
				delete(c, change[i].(string))
			} else {
				c[change[i].(string)] = change[i+1]
			}
		}
		return c
	}
	rs := func(change ...any) string { return sign(t, jose.RS256, p.rsa, "rsa", claims(change...)) }
	ask := func(token string, adjust ...func(*sts.AssumeRoleWithWebIdentityInput)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		in := &sts.AssumeRoleWithWebIdentityInput{RoleArn: aws.String(targetRoleARN), RoleSessionName: aws.String("web"), WebIdentityToken: &token}
		for _, a := range adjust {
			a(in)
		}
		return f.stsFor("", "", "").AssumeRoleWithWebIdentity(t.Context(), in)
	}

	out, err := ask(rs(), func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(43200) })
	if err != nil {
		t.Fatal(err)
	}
	if *out.SubjectFromWebIdentityToken != "system:serviceaccount:default:app" || *out.Audience != "sts.amazonaws.com" ||
		*out.Provider != "arn:aws:iam::444455556666:oidc-provider/oidc.example/id/1" || out.PackedPolicySize != nil {
		t.Errorf("got %+v", out)
	}
	session := f.stsFor(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	if who, err := session.GetCallerIdentity(t.Context(), nil); err != nil || *who.Arn != "arn:aws:sts::444455556666:assumed-role/target/web" {
		t.Errorf("the session is %v: %v", who, err)
	}
	f.deny(session, sts.AssumeRoleInput{RoleArn: aws.String(podRoleARN)}, "arn:aws:sts::444455556666:assumed-role/target/web", "sts:AssumeRole")
	if d := f.decisions("1")[0]; d.Context["oidc.example/id/1:sub"] == nil || d.Context["aws:federatedprovider"] == nil {
		t.Errorf("the session lost its web identity: %v", d.Context)
	}
	if _, err := ask(sign(t, jose.ES256, p.ec, "ec", claims("aud", "sts.amazonaws.com"))); err != nil {
		t.Errorf("ES256: %v", err)
	}
	if _, err := ask(sign(t, jose.RS256, p.rsa, "", claims())); err != nil {
		t.Errorf("without kid: %v", err)
	}

	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+webIssuer+`"}`)) + "."
	public, err := x509.MarshalPKIXPublicKey(&p.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newIDP(t)
	const (
		badJWT   = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
		badKey   = "The token's signature does not verify by any key of its issuer"
		audience = "Incorrect token audience"
		denied   = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
		invalid  = "InvalidIdentityToken"
	)
	for _, c := range []struct {
		name, token, code string
		status            int
		text              string
	}{
		{"garbage", "garbage", invalid, 400, badJWT},
		{"alg none", none, invalid, 400, badJWT},
		{"HS256 by the public key", sign(t, jose.HS256, public, "rsa", claims()), invalid, 400, badJWT},
		{"RS512", sign(t, jose.RS512, p.rsa, "rsa", claims()), invalid, 400, badJWT},
		{"a stranger's key", sign(t, jose.RS256, stranger.rsa, "rsa", claims()), invalid, 400, badKey},
		{"another key's id", sign(t, jose.RS256, p.rsa, "ec", claims()), invalid, 400, badKey},
		{"no subject", rs("sub", nil), invalid, 400, badJWT},
		{"issuer of nobody", rs("iss", "https://other.example"), invalid, 400, "No OpenIDConnect provider found in your account for https://other.example"},
		{"issuer without TLS", rs("iss", "http://oidc.example/id/1"), invalid, 400, "No OpenIDConnect provider found in your account for http://oidc.example/id/1"},
		{"wrong audience", rs("aud", "podid"), invalid, 400, audience},
		{"azp that is no client", rs("azp", "podid"), invalid, 400, audience},
		{"no audience", rs("aud", nil), invalid, 400, audience},
		{"not yet valid", rs("nbf", now.Add(time.Hour).Unix()), "IDPRejectedClaim", 403, "The token is not valid yet"},
		{"issuer that does not answer", rs("iss", "https://down.example"), "IDPCommunicationError", 400,
			"Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements"},
		{"another subject", rs("sub", "system:serviceaccount:default:other"), "AccessDenied", 403, denied},
		{"another client of the provider", rs("aud", "other.example"), "AccessDenied", 403, denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{t, f.sim, f.url, f.offset}
			_, err := ask(c.token)
			f.refused(err, c.code, c.status, c.text)
		})
	}
	for name, token := range map[string]string{"expired": rs("exp", now.Add(-time.Second).Unix()), "without exp": rs("exp", nil)} {
		if _, err := ask(token); err == nil || !isCode(err, "ExpiredTokenException") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = ask(rs(), func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleArn = aws.String(targetRoleARN + "-gone") })
	f.refused(err, "AccessDenied", 403, denied)
	_, err = ask(rs(), func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleArn = aws.String(podRoleARN) })
	f.refused(err, invalid, 400, "No OpenIDConnect provider found in your account for "+webIssuer)

	f.change(targetRoleARN, func(r *role) { r.MaxSession = time.Hour })
	_, err = ask(rs(), func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(3601) })
	f.refused(err, "ValidationError", 400, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
}
