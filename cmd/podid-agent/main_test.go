//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestServer is the whole program on free ports, against a server that answers
// as EKS Auth does.
func TestServer(t *testing.T) {
	var path, authorization string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // the agent looks whether anybody is there
			return
		}
		if strings.HasSuffix(r.URL.Path, "/changes") { // and whether it tells of changes, as EKS does not
			http.NotFound(w, r)
			return
		}
		path, authorization = r.URL.Path, r.Header.Get("Authorization")
		fmt.Fprintf(w, `{"subject":{"namespace":"default","serviceAccount":"app"},"audience":"pods.eks.amazonaws.com",
			"podIdentityAssociation":{"associationArn":"arn:a","associationId":"a-1"},
			"assumedRoleUser":{"arn":"arn:aws:sts::444455556666:assumed-role/r/s","assumeRoleId":"AROA:s"},
			"credentials":{"accessKeyId":"ASIAPOD","secretAccessKey":"k","sessionToken":"t","expiration":%d}}`, time.Now().Add(time.Hour).Unix())
	}))
	defer upstream.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIANODE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "us-west-2")

	ctx, cancel := context.WithCancel(t.Context())
	log, logged := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"server", "-c", "example-cluster", "--endpoint", upstream.URL, "-b", "127.0.0.1", "--port", "0", "--probe-port", "0", "--metrics-address", "127.0.0.1", "--metrics-port", "0"}, io.Discard, logged)
		logged.Close()
	}()
	lines := bufio.NewScanner(log)
	pods, probes, metrics := address(t, lines, "serving pods"), address(t, lines, "serving probes"), address(t, lines, "serving metrics")
	go func() {
		for lines.Scan() { // so that nobody waits to log
		}
	}()

	part := base64.RawURLEncoding.EncodeToString
	token := part([]byte(`{"alg":"RS256"}`)) + "." + part(fmt.Appendf(nil, `{"aud":"pods.eks.amazonaws.com","exp":%d}`, time.Now().Add(time.Hour).Unix())) + "." + part([]byte("s"))
	if status, body := get(t, "http://"+pods+"/v1/credentials", token); status != 200 || !strings.Contains(body, `"AccessKeyId":"ASIAPOD"`) || !strings.Contains(body, `"AccountId":"444455556666"`) {
		t.Errorf("credentials: %d %s", status, body)
	}
	if path != "/clusters/example-cluster/assume-role-for-pod-identity" || !strings.Contains(authorization, "Credential=AKIANODE/") || !strings.Contains(authorization, "/us-west-2/eks-auth/aws4_request") {
		t.Errorf("upstream: %s, %s", path, authorization)
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, "http://"+probes+probe, ""); status != 200 {
			t.Errorf("%s: %d %s", probe, status, body)
		}
	}
	if status, body := get(t, "http://"+metrics+"/metrics", ""); status != 200 || !strings.Contains(body, "\npodid_agent_requests_total{source=\"miss\"} 1\n") ||
		!strings.Contains(body, "\npodid_agent_addresses_missing 0\n") || strings.Contains(body, "ASIAPOD") {
		t.Errorf("metrics: %d %s", status, body)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// address waits for the line with the message and returns its address.
func address(t *testing.T, lines *bufio.Scanner, message string) string {
	t.Helper()
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == message {
			return line.Address
		}
		t.Log(lines.Text())
	}
	t.Fatalf("no line %q", message)
	return ""
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestCommandLine(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"":                                 {2, "usage:"},
		"serve":                            {2, `no command "serve"`},
		"help":                             {0, "usage:"},
		"version":                          {0, "podid-agent "},
		"server":                           {2, "--cluster-name is required"},
		"server --help":                    {0, "-cluster-name name"},
		"server -c c extra":                {2, `unexpected argument "extra"`},
		"server -c c --max-service-qps 1":  {2, "flag provided but not defined: -max-service-qps"},
		"server -c c --when-unheard hope":  {2, "want serve or refuse"},
		"server -c c --revalidate-after 0": {2, "at least 1s"},
		"server -c c --region r --when-unheard refuse":               {2, "AWS's own tells of no changes"},
		"server -c c --link maybe":                                   {2, "want create, use or none"},
		"server -c c --pod-cidr 10.0.0.1":                            {2, "no '/'"},
		"server -c c --token-file f":                                 {2, "say with --endpoint"},
		"server -c c --max-credential-retention-before-renewal 0":    {2, "at least 1m"},
		"server -c c --token-file /nonexistent --endpoint https://x": {1, "the agent's own token"},
		"init --help":                                    {0, "-bind-hosts address"},
		"link extra":                                     {2, `unexpected argument "extra"`},
		"initialize -b x":                                {2, "want an IP address"},
		"server -c c --port 70000":                       {2, "a port is at most 65535"},
		"server -c c --max-cache-size 0":                 {2, "--max-cache-size is at least 1"},
		"server -c c -b localhost":                       {2, "want an IP address"},
		"server -c c -v loud":                            {2, "unknown name"},
		"server -c c -b 127.0.0.1 -p 0 --metrics-port 0": {1, "no region"},
		"server -c ../c --region r -b 127.0.0.1 -p 0":    {1, "is not the name of a cluster"},
		"server -c c --region r -b 0.0.0.0 -p 0 --probe-port 0 --metrics-port 0": {1, "can be reached from outside the node"},
		"server -c c --region r --endpoint ftp://x":                              {1, "is not the URL of an endpoint"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &out); code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("%s: exit code %d: %s", args, code, out.String())
		}
	}
}
