package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
)

const auditedRole = "arn:aws:iam::444455556666:role/demo-target"

// granted is an event of yesterday noon, and so many days before it.
func granted(pod string, daysBefore int) *audit.Event {
	now := time.Now()
	at := time.Date(now.Year(), now.Month(), now.Day()-1-daysBefore, 12, 0, 0, 0, time.Local)
	e := audit.New(at, audit.SourceEKSAuth, audit.AssumeRoleForPodIdentity)
	e.Outcome, e.ClusterName = audit.Granted, "example-cluster"
	e.Subject = &audit.Subject{Namespace: "shop", ServiceAccount: "app", PodName: pod, PodUID: pod + "-uid"}
	e.Hops = []audit.Hop{
		{RoleARN: "arn:aws:iam::111122223333:role/pod-identity", Outcome: audit.Granted, AccessKeyID: "ASIAFIRST"},
		{RoleARN: auditedRole, Outcome: audit.Granted, AccessKeyID: "ASIA" + strings.ToUpper(pod)},
	}
	return e
}

// auditFile writes events to a file that is put aside after each.
func auditFile(t *testing.T, events ...*audit.Event) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := audit.NewFile(audit.FileConfig{Path: path, MaxBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := f.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWhoBecameARoleYesterday is one command.
func TestWhoBecameARoleYesterday(t *testing.T) {
	path := auditFile(t, granted("before", 1), granted("web-0", 0), granted("web-1", 0), granted("today", -1))
	for _, role := range []string{"demo-target", auditedRole} {
		status, out, stderr := podid("audit", "--role", role, "--since", "yesterday", "--until", "today", path)
		if status != 0 || stderr != "" || !strings.Contains(out, "shop/app (web-0)") || !strings.Contains(out, "shop/app (web-1)") || strings.Count(out, "\n") != 3 {
			t.Errorf("%d\n%s%s", status, out, stderr)
		}
	}
	status, out, _ := podid("audit", "--access-key-id", "ASIAWEB-1", "-o", "json", path)
	var found audited
	if err := json.Unmarshal([]byte(out), &found); status != 0 || err != nil || len(found.Events) != 1 || found.Events[0].Subject.PodName != "web-1" {
		t.Errorf("whose a key is: %d, %v\n%s", status, err, out)
	}
	for flags, lines := range map[string]int{
		"--pod web-0": 2, "-n shop -s app": 5, "-n other": 0, "--account 444455556666 --limit 2": 3, "--outcome refused": 0, "--text WEB-0": 2, "--event assumeroleforpodidentity -o wide": 5,
	} {
		if status, out, stderr := podid(append(append([]string{"audit"}, strings.Fields(flags)...), path)...); status != 0 || strings.Count(out, "\n") != lines {
			t.Errorf("%s: %d, want %d lines\n%s%s", flags, status, lines, out, stderr)
		}
	}
}

func TestAuditOfWhatCannotBe(t *testing.T) {
	for _, name := range []string{"PODID_AGENT_URL", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "")
	}
	path := auditFile(t, granted("web-0", 0))
	for want, flags := range map[string]string{
		"is no time":                    "--since tomorrow " + path,
		"--outcome \"no\"":              "--outcome no " + path,
		"want 1 to 1000":                "--limit 0 " + path,
		"no such file":                  path + ".none",
		"or name files of audit events": "",
	} {
		status, out, stderr := podid(append([]string{"audit"}, strings.Fields(flags)...)...)
		if status != 1 || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %q, want %q", flags, status, stderr, want)
		}
	}
}

func TestTablesAreOneLineEach(t *testing.T) {
	e := granted("web-0", 0)
	e.Outcome, e.ErrorMessage = audit.Refused, "first\nsecond"
	e.Hops[0].Error = "\x1b[2Jcleared\ttab\nsecond"
	status, out, _ := podid("audit", auditFile(t, e))
	if status != 0 || strings.Count(out, "\n") != 2 || strings.ContainsAny(out, "\x1b\t") || !strings.Contains(out, "cleared tab") {
		t.Errorf("%d %q", status, out)
	}
}

func TestAuditVerify(t *testing.T) {
	path := auditFile(t, granted("a", 2), granted("b", 1), granted("c", 0))
	status, out, _ := podid("audit", "verify", path)
	if status != 0 || !strings.HasPrefix(out, "whole: 3 lines\nhead: 3:") {
		t.Errorf("%d %q", status, out)
	}
	_, head, _ := strings.Cut(out, "head: ")
	if status, out, _ := podid("audit", "verify", path, "--head", strings.TrimSpace(head)); status != 0 {
		t.Errorf("%d %q", status, out)
	}
	if status, out, _ := podid("audit", "verify", path, "--head", "2:"+strings.Repeat("0", 64)); status != 1 || !strings.Contains(out, "line 1: the line was changed") {
		t.Errorf("%d %q", status, out)
	}
	files, err := audit.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[1], bytes.Replace(text, []byte("granted"), []byte("refused"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, _ = podid("audit", "verify", path)
	if status != 1 || !strings.HasPrefix(out, "broken: "+path+", line 1: the line before it") {
		t.Errorf("%d %q", status, out)
	}
	status, out, _ = podid("audit", "verify", "-o", "json", path)
	var v verification
	if err := json.Unmarshal([]byte(out), &v); status != 1 || err != nil || v.Verdict != "broken" || v.File != path || v.Line != 1 {
		t.Errorf("%d %+v %v", status, v, err)
	}
}

// TestAuditOfARunningPodid asks podid dev, which may have forgotten some.
func TestAuditOfARunningPodid(t *testing.T) {
	ring := audit.NewRing(2)
	dev := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := audit.ParseQuery(r.URL.Query())
		if err != nil || r.URL.Path != "/_podid/audit/events" {
			http.Error(w, fmt.Sprint(r.URL, err), http.StatusBadRequest)
			return
		}
		reply, err := ring.Answer(q)
		if err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(reply)
	}))
	defer dev.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": dev.URL, "AWS_REGION": "us-west-2", "PODID_CLUSTER": "c", "PODID_AGENT_URL": dev.URL, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
	} {
		t.Setenv(name, value)
	}
	if status, out, stderr := podid("audit"); status != 0 || out != "" || !strings.HasPrefix(stderr, "no events match\na running podid remembers events since ") {
		t.Errorf("of nothing: %d %q %q", status, out, stderr)
	}
	for i := range 2 {
		ring.Write(t.Context(), granted(fmt.Sprint("web-", i), 0))
	}
	if status, out, stderr := podid("audit", "--limit", "1"); status != 0 || !strings.Contains(out, "web-1") || strings.Contains(out, "web-0") || !strings.HasPrefix(stderr, "there are more") {
		t.Errorf("%d %q %q", status, out, stderr)
	}
	ring.Write(t.Context(), granted("web-2", -1))
	status, out, stderr := podid("audit", "--since", "7d")
	if status != 0 || strings.Count(out, "\n") != 3 || !strings.HasPrefix(stderr, "a running podid remembers events since ") {
		t.Errorf("%d %q %q", status, out, stderr)
	}
	if status, _, stderr := podid("audit", "--since", "1h"); status != 0 || strings.Contains(stderr, "remembers") {
		t.Errorf("all of the last hour are there: %d %q", status, stderr)
	}
}
