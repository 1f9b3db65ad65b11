package identity_test

import (
	"regexp"
	"testing"

	"github.com/podid/podid/internal/identity"
)

// JwtToken, as the model of EKS Auth has it.
var jwtToken = regexp.MustCompile(`^[A-Za-z0-9\-_=]+\.[A-Za-z0-9\-_=]+\.[A-Za-z0-9\-_=]+$`)

func FuzzIsToken(f *testing.F) {
	for _, s := range []string{"", "a", "a.b", "a.b.c", "a.b.c.d", "..", "a..c", ".b.c", "a.b.", "a-_=.b.C9", "a b.c.d", "a.b.c\n", "ä.b.c", "a.b.\x00", "a.b+.c", "a/b.c.d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if got, want := identity.IsToken(raw), jwtToken.MatchString(raw); got != want {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	})
}
