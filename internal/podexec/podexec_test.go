package podexec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/identity"
)

// TestEnviron: nothing of AWS but a pod's.
func TestEnviron(t *testing.T) {
	c := Config{Credentials: "http://127.0.0.1:1/v1/credentials", Region: "us-west-2", Environ: []string{
		"KEPT=1", "AWS_ACCESS_KEY_ID=x", "AWS_PROFILE=x", "AWS_ENDPOINT_URL=x", "PODID_CLUSTER=x", "AWSOME=kept",
	}}
	env := c.environ("/t")
	for _, want := range []string{"KEPT=1", "AWSOME=kept", "AWS_REGION=us-west-2", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/t", "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + c.Credentials} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, v := range env {
		if strings.HasSuffix(v, "=x") || strings.HasPrefix(v, "AWS_ENDPOINT_URL") {
			t.Errorf("%s is there", v)
		}
	}
	c.Endpoint = "http://127.0.0.1:7300"
	if !slices.Contains(c.environ("/t"), "AWS_ENDPOINT_URL="+c.Endpoint) {
		t.Error("no endpoint")
	}
}

// TestRun: the program finds the token, its exit code is told, and the token is
// gone with it.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := Config{
		Token: func(context.Context) (Token, error) {
			return Token{identity.Secret("the-token"), time.Now().Add(time.Hour)}, nil
		},
		Credentials: "http://127.0.0.1:1/", Region: "us-west-2", Environ: os.Environ(),
	}
	for script, want := range map[string]int{
		`test "$(cat "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")" = the-token`: 0, "exit 7": 7, "kill -TERM $$": 143,
		`test "$(stat -c %a "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")" = 600`: 0,
	} {
		c.Command = []string{"sh", "-c", script}
		if code, err := Run(t.Context(), c); err != nil || code != want {
			t.Errorf("%s: %d, %v, want %d", script, code, err, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	c.Command = []string{"/no/such/program"}
	if _, err := Run(t.Context(), c); err == nil {
		t.Error("ran what is not there")
	}
	refused := errors.New("refused")
	c.Token = func(context.Context) (Token, error) { return Token{}, refused }
	if _, err := Run(t.Context(), c); !errors.Is(err, refused) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := Run(t.Context(), Config{}); err == nil {
		t.Error("ran nothing")
	}
}

// TestRenewal is as the kubelet's, and never a storm.
func TestRenewal(t *testing.T) {
	now := time.Now()
	for life, want := range map[time.Duration]time.Duration{10 * time.Minute: 8 * time.Minute, -time.Hour: 10 * time.Second} {
		if got := renewAfter(Token{Expires: now.Add(life)}); got > want || got < want-time.Second {
			t.Errorf("%v: renewed after %v, want %v", life, got, want)
		}
	}
}
