package token

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// BenchmarkVerify is what every issue costs, whatever is in memory.
func BenchmarkVerify(b *testing.B) {
	v, raw := newVerifier(b), sign(b, jose.RS256, k1(), nil, good())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), "example-cluster", raw); err != nil {
			b.Fatal(err)
		}
	}
}
