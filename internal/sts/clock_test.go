package sts_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/sts"
)

// TestAClockTenMinutesOff: AWS refuses signatures of another time, and its SDK
// learns by how much its clock is off.
func TestAClockTenMinutesOff(t *testing.T) {
	for name, off := range map[string]time.Duration{"behind": 10 * time.Minute, "ahead": -10 * time.Minute} {
		for _, once := range []bool{false, true} {
			sim, err := awssim.New(awssim.Config{
				Now: func() time.Time { return time.Now().Add(off) },
				World: awssim.World{Accounts: []awssim.Account{{ID: "111122223333", Roles: []awssim.Role{{
					Name: "pod-identity", Path: "/eks/", TrustPolicy: trust(theService, both, `{}`),
				}}}}},
				ServiceKeys: []awssim.ServiceKey{{AccessKeyID: "AKIASERVICEPODIDENTI", Secret: secretKey, Service: identity.ServicePrincipal}},
			})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(sim)
			defer server.Close()
			config := smallConfig(server.URL, sts.Service)
			config.Once = once
			assumer := newAssumer(t, config)
			for n := range 3 {
				if _, err := assumer.AssumeRole(t.Context(), nil, first); err != nil {
					t.Errorf("a clock that is %s, once %v, call %d: %v", name, once, n, err)
				}
			}
		}
	}
}
