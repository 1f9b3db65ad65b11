package agent

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzClaims holds that nothing makes the parser panic, and what it promises of
// the tokens it accepts.
func FuzzClaims(f *testing.F) {
	part := base64.RawURLEncoding.EncodeToString
	header, signature := part([]byte(`{"alg":"RS256"}`)), part([]byte("s"))
	for _, claims := range []string{
		`{"exp":1764000000}`, `{"exp":1764000000.5,"nbf":0.5}`, `{"exp":-1}`, `{"exp":1e400}`, `{"exp":"1"}`, `{"exp":null}`, `{}`, `[]`, `null`, ` {"exp":1}`,
		`{"exp":1764000000,"kubernetes.io":{"namespace":"n","pod":{"name":"p"}}}`, `{"exp":1,"kubernetes.io":[]}`, `{"exp":1,"Exp":2}`,
		strings.Repeat(`{"a":`, 2000), `{"exp":1}{`,
	} {
		f.Add(header + "." + part([]byte(claims)) + "." + signature)
	}
	for _, token := range []string{"", ".", "..", "...", "a.b", "a.b.c", header + "..", header + ".e30.", header + ".e30=.c2lnbg", "Bearer a.b.c", header + ".\n.c", strings.Repeat("a", maxToken+1)} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := parseClaims(token)
		if err != nil {
			if utf8.ValidString(token) && len(token) > 8 && strings.Contains(err.Error(), token) {
				t.Errorf("the error quotes the token: %v", err)
			}
			return
		}
		if len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " =\n+/") {
			t.Errorf("accepted %q", token)
		}
		if c.expires.Unix() < 0 || c.expires.Year() > 9999 || len(c.claimed()) > 507 {
			t.Errorf("claims %+v", c)
		}
		if c.validity.check(c.expires) == nil || c.validity.check(c.expires.Add(time.Second)) == nil {
			t.Errorf("good after its end: %+v", c)
		}
	})
}
