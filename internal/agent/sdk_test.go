package agent_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/agent"
)

// onLoopback runs an agent on a real port and returns the URI that pods get.
func onLoopback(t testing.TB, up agent.Upstream) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{Upstream: up, Listeners: []net.Listener{listener}})
	if err != nil {
		t.Fatal(err)
	}
	go a.Run(t.Context())
	return "http://" + listener.Addr().String() + "/v1/credentials"
}

// TestSDKWithThePodsEnvironment has nothing but what the webhook puts into a pod.
func TestSDKWithThePodsEnvironment(t *testing.T) {
	up := &upstream{answer: grants(time.Hour)}
	file := filepath.Join(t.TempDir(), "eks-pod-identity-token")
	if err := os.WriteFile(file, []byte(token("app-0", time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // has it put back
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", onLoopback(t, up))
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
	c, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.AccessKeyID != "ASIA1" || got.SecretAccessKey != "secret-key-of-ASIA1" || got.SessionToken != "session-token" ||
		got.AccountID != "444455556666" || !got.CanExpire || time.Until(got.Expires) < 50*time.Minute {
		t.Errorf("got %+v", got)
	}
	if err := os.WriteFile(file, []byte(token("app-1", time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Credentials.(*aws.CredentialsCache).Invalidate()
	if got, err = c.Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID != "ASIA2" {
		t.Errorf("with another token: %v, %v", got.AccessKeyID, err)
	}
}

func TestSDKReadsRefusals(t *testing.T) {
	up := &upstream{answer: refuses(404, "ResourceNotFoundException", 0)}
	uri := onLoopback(t, up)
	for tok, want := range map[string]struct{ code, text string }{
		token("app-0", time.Hour):  {"ResourceNotFoundException", "[r-1]: (ResourceNotFoundException): no., fault: client"},
		token("app-0", -time.Hour): {"InvalidTokenException", "Service account token failed basic claim validations: token is expired"},
	} {
		provider := endpointcreds.New(uri, func(o *endpointcreds.Options) { o.AuthorizationToken = tok })
		_, err := provider.Retrieve(t.Context())
		e, ok := errors.AsType[smithy.APIError](err)
		if !ok || e.ErrorCode() != want.code || e.ErrorMessage() != want.text || e.ErrorFault() != smithy.FaultClient {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	wantCalls(t, up, 1)
}
