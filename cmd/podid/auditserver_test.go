package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podid/podid/internal/audit"
)

// TestAuditOfAServer: by its URL, signed with the access key of the environment.
func TestAuditOfAServer(t *testing.T) {
	ring := audit.NewRing(10)
	ring.Write(t.Context(), granted("web-0", 0))
	refuse := ""
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse != "" {
			w.WriteHeader(http.StatusForbidden)
			json.NewEncoder(w).Encode(map[string]string{"message": refuse})
			return
		}
		if who := r.Header.Get("Authorization"); r.URL.Path != audit.Path || !strings.Contains(who, "Credential=AKIAEXAMPLE/") || !strings.Contains(who, "/eu-west-1/eks/aws4_request") {
			http.NotFound(w, r)
			return
		}
		q, err := audit.ParseQuery(r.URL.Query())
		if err != nil {
			t.Error(err)
		}
		reply, err := ring.Answer(q)
		if err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(reply)
	}))
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "", "AWS_CA_BUNDLE": bundle,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"PODID_AGENT_URL": "http://127.0.0.1:1", // an env file of podid dev counts less than what is named
	} {
		t.Setenv(name, value)
	}
	for _, address := range []string{server.URL, server.URL + "/"} {
		if status, out, stderr := podid("audit", "--server", address, "-n", "shop"); status != 0 || !strings.Contains(out, "shop/app (web-0)") {
			t.Errorf("%d %q %q", status, out, stderr)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		status, out, stderr := podid(append([]string{"audit"}, args...)...)
		if status != 1 || out != "" || !strings.Contains(stderr, want) || strings.Contains(stderr, "at podid dev, chosen by") {
			t.Errorf("%v: %d %q %q, want %q", args, status, out, stderr, want)
		}
	}
	refused("asking podid at "+server.URL+": the answer has status 404", "--server", server.URL, "--region", "us-west-2")
	refuse = "User: alice is not authorized to perform: podid:ListAuditEvents"
	refused("asking podid at "+server.URL+": "+refuse, "--server", server.URL)
	refused("asking podid at https://127.0.0.1:1: dial tcp 127.0.0.1:1:", "--server", "https://127.0.0.1:1")
	refused("ask the server, or look into files", "--server", server.URL, bundle)
	t.Setenv("AWS_CA_BUNDLE", "")
	refused("AWS_CA_BUNDLE names the file", "--server", server.URL)
	t.Setenv("AWS_REGION", "")
	refused("no region: give --region", "--server", server.URL)
}

// TestAuditServerURL: what is not a place to ask is not asked.
func TestAuditServerURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://podid.podid-system.svc:8443": "", "https://[::1]:8443/": "", "https://podid": "", "http://127.0.0.1:7300": "", "http://localhost:7300": "", "http://[::1]:7300": "",
		"": "want https://", "podid:8443": "want https://", "127.0.0.1:8443": "want https://", "ftp://podid": "want https://", "https://": "want https://", "https://:8443": "want https://",
		"https://user:word@podid": "want https://", "https://podid/audit/events": "want https://", "https://podid?x": "want https://", "https://podid#x": "want https://", "https://podid:port": "want https://",
		"http://podid:8443": "is asked by https", "http://192.0.2.1:7300": "is asked by https",
	} {
		_, err := serverURL(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestAuditOfPodidDevByURL needs no env file.
func TestAuditOfPodidDevByURL(t *testing.T) {
	t.Setenv("PODID_AGENT_URL", "")
	ring := audit.NewRing(10)
	ring.Write(t.Context(), granted("web-0", 0))
	dev := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_podid/audit/events" || r.Header.Get("Authorization") != "" {
			http.NotFound(w, r)
			return
		}
		reply, err := ring.Answer(audit.Query{Limit: 10})
		if err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(reply)
	}))
	defer dev.Close()
	if status, out, stderr := podid("audit", "--server", dev.URL); status != 0 || !strings.Contains(out, "web-0") {
		t.Errorf("%d %q %q", status, out, stderr)
	}
}
