//go:build linux

package agent_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSecretsStayInside: not in the log at its loudest, nor the metrics, nor
// the probes, nor core dumps, nor the reach of processes of the same user.
func TestSecretsStayInside(t *testing.T) {
	up := newEKSAuth(t)
	p := start(t, "--link", "create", "--endpoint", up.URL, "-v", "debug")
	mustAsk(t, 1)
	up.becomes(refuses(404, "ResourceNotFoundException"))
	ask(2)
	up.becomes(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	ask(3)
	_, metrics := page(t, "http://127.0.0.1:2705/metrics")
	_, ready := page(t, "http://localhost:2703/readyz")
	if status, _ := page(t, "http://localhost:2703/debug/pprof/"); status != 404 {
		t.Errorf("/debug: %d", status)
	}
	if status, _ := page(t, "http://127.0.0.1:2705/debug/vars"); status != 404 {
		t.Errorf("/debug: %d", status)
	}
	if !strings.Contains(p.log.String(), `"claimedPod":"default/app-3"`) {
		t.Error("nothing is logged: this proves nothing")
	}
	for where, text := range map[string]string{"log": p.log.String(), "metrics": metrics, "readyz": ready} {
		for _, secret := range []string{secretPart, token(1), token(2), token(3), strings.Split(token(1), ".")[1]} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has %.40q:\n%.2000s", where, secret, text)
			}
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0 ") {
		t.Errorf("%v\n%s", err, limits)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil || strings.Contains(string(status), "VmLck:\t       0 kB") {
		t.Errorf("memory is not locked, though root may: %v", err)
	}
}

// TestNobodyElseReadsTheMemory, not even a process of the same user.
func TestNobodyElseReadsTheMemory(t *testing.T) {
	up := newEKSAuth(t)
	p := command(t, "server", "--cluster-name", "c", "--bind-hosts", "127.0.0.1", "--port", "8080", "--endpoint", up.URL)
	p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
	p.launch()
	eventually(t, 5*time.Second, "podid-agent serves", func() bool { return strings.Contains(p.log.String(), "serving metrics") })
	var memory unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/mem", p.cmd.Process.Pid), &memory); err != nil || memory.Uid != 0 {
		t.Errorf("its memory belongs to user %d: %v", memory.Uid, err) // root owns what is not dumpable (proc(5))
	}
	if a := askAt(1, "127.0.0.1:8080"); a.id == "" {
		t.Errorf("%+v", a)
	}
	if n := metric(t, "process_open_fds"); n == 0 {
		t.Error("it cannot look at itself")
	}
}

// TestItsOwnToken is sent over TLS, and both it and the CA may change.
func TestItsOwnToken(t *testing.T) {
	up := newEKSAuth(t)
	authorizations := make(chan string, 10)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/changes") {
			authorizations <- r.Header.Get("Authorization")
		}
		up.Config.Handler.ServeHTTP(w, r)
	}))
	defer secure.Close()
	folder := t.TempDir()
	tokenFile, caFile := filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(tokenFile, token(100))
	write(caFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	p := command(t, "server", "-c", "example-cluster", "--link", "create", "--endpoint", secure.URL, "--token-file", tokenFile, "--ca-file", caFile)
	p.cmd.Env = nil // no AWS region, no keys
	p.launch()
	eventually(t, 5*time.Second, "podid-agent serves", func() bool { return strings.Contains(p.log.String(), "serving metrics") })
	for n := range 2 {
		write(tokenFile, token(100+n))
		mustAsk(t, n)
		if got := <-authorizations; got != "Bearer "+token(100+n) {
			t.Errorf("sent %.60q", got)
		}
	}
	os.Remove(tokenFile)
	if a := ask(7); a.status == 200 {
		t.Errorf("without its token it got %+v", a)
	}
	mustAsk(t, 1)
	if strings.Contains(p.log.String(), token(100)) {
		t.Error("the agent's own token is logged")
	}
}
