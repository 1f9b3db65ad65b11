package awssim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/policy"
)

// webIdentityClaims are the claims that AssumeRoleWithWebIdentity reads
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif).
type webIdentityClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  oneOrAll `json:"aud"`
	Azp       string   `json:"azp"`
	AMR       oneOrAll `json:"amr"`
	Expires   *float64 `json:"exp"` // seconds since 1970
	NotBefore *float64 `json:"nbf"`
}

// oneOrAll is a string or a list of strings (RFC 7519, 4.1.3).
type oneOrAll []string

func (o *oneOrAll) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrAll{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// assumeRoleWithWebIdentity is
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
func (s *Sim) assumeRoleWithWebIdentity(r *http.Request, c *Caller, form url.Values) (any, error) {
	var in webIdentityInput
	if err := awswire.DecodeForm(form, &in); err != nil {
		return nil, err
	}
	var v validation
	v.text("roleArn", in.RoleArn, 20, 2048, anyPattern)
	v.text("roleSessionName", in.RoleSessionName, 2, 64, sessionPattern)
	v.text("webIdentityToken", in.WebIdentityToken, 4, 20000, anyPattern)
	v.number("durationSeconds", in.DurationSeconds, 900, 43200)
	v.optional("policy", in.Policy, 1, 2048, policyPattern)
	v.count("policyArns", len(in.PolicyArns), 10)
	if err := v.err(); err != nil {
		return nil, err
	}
	account, _, ok := splitIAM(*in.RoleArn, "role")
	if !ok {
		return nil, validationError("%.256s is invalid", *in.RoleArn)
	}
	claims, provider, audience, err := s.verifyWebIdentity(r, account, *in.WebIdentityToken)
	if err != nil {
		return nil, err
	}
	a := assumption{
		action: "sts:" + webIdentityAction, roleARN: *in.RoleArn, sessionName: *in.RoleSessionName,
		policy: deref(in.Policy), policyARNs: arnsOf(in.PolicyArns), context: policy.Context{},
		provider: provider.ARN(), webIdentity: map[string]string{provider.URL + ":sub": claims.Subject, provider.URL + ":aud": audience},
		// A web identity has no ARN to name.
		denial: func(string) error {
			return &awswire.Error{Code: "AccessDenied", Status: http.StatusForbidden, Message: "Not authorized to perform sts:" + webIdentityAction}
		},
	}
	if in.DurationSeconds != nil {
		a.duration = time.Duration(*in.DurationSeconds) * time.Second
	}
	for key, value := range a.webIdentity {
		a.context.Set(key, value)
	}
	if claims.Azp != "" {
		a.context.Set(provider.URL+":oaud", claims.Audience...)
	}
	if len(claims.AMR) > 0 {
		a.context.Set(provider.URL+":amr", claims.AMR...)
	}
	a.context.Set("aws:FederatedProvider", provider.ARN())

	// Whoever signed the request, the token alone says who asks.
	web := &Caller{sim: s, request: c.request, principal: policy.Principal{Kind: policy.WebIdentity, Provider: provider.ARN()}}
	result, err := s.assume(web, a)
	if err != nil {
		return nil, err
	}
	result.Subject, result.Audience, result.Provider = claims.Subject, audience, provider.ARN()
	return result, nil
}

// verifyWebIdentity checks a token by the OIDC provider of the account that it
// names as its issuer, and returns the audience by which it was let in.
func (s *Sim) verifyWebIdentity(r *http.Request, account, token string) (*webIdentityClaims, *oidcProvider, string, error) {
	refuse := func(err error) (*webIdentityClaims, *oidcProvider, string, error) { return nil, nil, "", err }
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return refuse(invalidIdentityToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"))
	}
	var claims webIdentityClaims
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims) != nil || claims.Issuer == "" || claims.Subject == "" {
		return refuse(invalidIdentityToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"))
	}
	name, ok := issuerName(claims.Issuer)
	provider, registered := s.state.provider(account, name)
	if !ok || !registered {
		return refuse(invalidIdentityToken("No OpenIDConnect provider found in your account for %.512s", claims.Issuer))
	}
	if err := s.verifyIssuer(r, signed, claims.Issuer); err != nil {
		return refuse(err)
	}
	now := s.config.Now()
	if claims.Expires == nil || !now.Before(instant(*claims.Expires)) {
		var until any = "(none)"
		if claims.Expires != nil {
			until = instant(*claims.Expires).Unix()
		}
		return refuse(&awswire.Error{Code: "ExpiredTokenException", Status: http.StatusBadRequest, Message: fmt.Sprintf(
			"Token expired: current date/time %d must be before the expiration date/time %v", now.Unix(), until)})
	}
	if claims.NotBefore != nil && now.Before(instant(*claims.NotBefore)) {
		return refuse(&awswire.Error{Code: "IDPRejectedClaim", Status: http.StatusForbidden, Message: "The token is not valid yet"})
	}
	for _, audience := range claims.audiences() {
		if slices.Contains(provider.ClientIDs, audience) {
			return &claims, provider, audience, nil
		}
	}
	return refuse(invalidIdentityToken("Incorrect token audience"))
}

// issuerName returns an issuer's URL as IAM names it, without the scheme. AWS
// takes https alone; an issuer on loopback may do without.
func issuerName(issuer string) (string, bool) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return "", false
	}
	return strings.TrimPrefix(issuer, u.Scheme+"://"), true
}

// audiences returns what has to be among the provider's client ids: azp if
// there is one, else aud.
func (c *webIdentityClaims) audiences() []string {
	if c.Azp != "" {
		return []string{c.Azp}
	}
	return c.Audience
}

// verifyIssuer checks the signature by the issuer's keys.
func (s *Sim) verifyIssuer(r *http.Request, signed *jose.JSONWebSignature, issuer string) error {
	unreachable := &awswire.Error{Code: "IDPCommunicationError", Status: http.StatusBadRequest,
		Message: "Couldn't retrieve verification key from your identity provider, please reference " + webIdentityAction + " documentation for requirements"}
	if s.config.FetchKeys == nil {
		return unreachable
	}
	keys, err := s.config.FetchKeys(r.Context(), issuer)
	if err != nil {
		s.config.Logger.WarnContext(r.Context(), "no keys of an OIDC issuer", "issuer", issuer, "err", err)
		return unreachable
	}
	if len(signed.Signatures) == 1 {
		kid := signed.Signatures[0].Header.KeyID
		for _, key := range keys.Keys {
			if key.KeyID != kid && kid != "" || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
				continue
			}
			if _, err := signed.Verify(key); err == nil {
				return nil
			}
		}
	}
	return invalidIdentityToken("The token's signature does not verify by any key of its issuer")
}

func invalidIdentityToken(format string, args ...any) error {
	return &awswire.Error{Code: "InvalidIdentityToken", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// instant turns a NumericDate (RFC 7519, 2) into a time.
func instant(seconds float64) time.Time {
	const last = 253402300799 // the end of the year 9999
	return time.Unix(int64(min(max(seconds, 0), last)), 0)
}
