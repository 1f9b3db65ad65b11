package chain

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

// BenchmarkHit is an answer from memory, among 10,000 chains, by all cores at once.
func BenchmarkHit(b *testing.B) {
	c, err := New(Config{Roles: &sts{}, Rate: 1e9})
	if err != nil {
		b.Fatal(err)
	}
	const pods = 10_000
	subjects := make([]identity.Subject, pods)
	for i := range subjects {
		subjects[i] = pod(i)
		if _, err := c.Assume(b.Context(), association(), subjects[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			if _, err := c.Assume(b.Context(), association(), subjects[i%pods]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMemory reports what 100,000 pods' chains take, with credentials as
// long as AWS's.
func BenchmarkMemory(b *testing.B) {
	const pods = 100_000
	long := identity.Secret(make([]byte, 1400)) // a session token with six tags, as seen
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, err := New(Config{Roles: roles(func(hop identity.Hop) identity.Session {
			return identity.Session{AssumedRoleARN: hop.RoleARN, Credentials: identity.Credentials{
				AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: long[:40] + "x", SessionToken: long + "x", Expires: time.Now().Add(time.Hour),
			}}
		}), Rate: 1e9})
		if err != nil {
			b.Fatal(err)
		}
		for i := range pods {
			if _, err := c.Assume(b.Context(), association(), pod(i)); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/pods, "B/pod")
		runtime.KeepAlive(c)
	}
}

type roles func(identity.Hop) identity.Session

func (f roles) AssumeRole(_ context.Context, _ *identity.Credentials, hop identity.Hop) (identity.Session, error) {
	return f(hop), nil
}
