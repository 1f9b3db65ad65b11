package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
)

func event(id string) *audit.Event {
	expires := time.Date(2026, 11, 1, 13, 0, 0, 0, time.UTC)
	return &audit.Event{
		EventVersion: audit.Version, EventTime: expires.Add(-time.Hour), EventName: "AssumeRoleForPodIdentity",
		RequestID: id, Outcome: audit.Granted, ClusterName: "example-cluster",
		Hops: []audit.Hop{{RoleARN: "arn:aws:iam::111122223333:role/r", Outcome: audit.Granted, Expires: &expires}},
	}
}

func write(t *testing.T, sink audit.Sink, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := sink.Write(t.Context(), event(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the request ids of the whole lines of a file.
func read(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range bytes.Lines(data) {
		var e audit.Event
		if json.Unmarshal(line, &e) == nil {
			ids = append(ids, e.RequestID)
		}
	}
	return ids
}

func want(t *testing.T, got []string, ids ...string) {
	t.Helper()
	if !reflect.DeepEqual(got, ids) {
		t.Errorf("got %v, want %v", got, ids)
	}
}

func open(t *testing.T, path string) *audit.File {
	t.Helper()
	f, err := audit.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestEventKeepsItsForm(t *testing.T) {
	var out bytes.Buffer
	e := event("r")
	e.CallerARN, e.SourceIPAddress = "arn:aws:sts::111122223333:assumed-role/node/i-1", "10.0.0.1"
	e.ErrorCode, e.ErrorMessage = "access denied", "a\nb <c>"
	e.Subject = &audit.Subject{Namespace: "default", ServiceAccount: "app", PodName: "app-0", PodUID: "u", NodeName: "n", TokenID: "j"}
	e.Association = &audit.Association{ID: "a-1", ARN: "arn:a"}
	if err := audit.NewWriter(&out).Write(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	want := `{"eventVersion":"1.1","eventTime":"2026-11-01T12:00:00Z","eventName":"AssumeRoleForPodIdentity","requestID":"r",` +
		`"sourceIPAddress":"10.0.0.1","callerArn":"arn:aws:sts::111122223333:assumed-role/node/i-1","outcome":"granted",` +
		`"errorCode":"access denied","errorMessage":"a\nb <c>","clusterName":"example-cluster",` +
		`"subject":{"namespace":"default","serviceAccount":"app","podName":"app-0","podUid":"u","nodeName":"n","tokenId":"j"},` +
		`"association":{"associationId":"a-1","associationArn":"arn:a"},` +
		`"hops":[{"roleArn":"arn:aws:iam::111122223333:role/r","roleSessionName":"","sessionTags":false,"outcome":"granted",` +
		`"expiration":"2026-11-01T13:00:00Z"}]}` + "\n"
	if got := out.String(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestFileOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	first := open(t, path)
	write(t, first, "1", "2")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, path), "3")
	want(t, read(t, path), "1", "2", "3")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestFileToleratesATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	write(t, f, "1", "2")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(data)-10)); err != nil {
		t.Fatal(err)
	}
	write(t, open(t, path), "3", "4")
	want(t, read(t, path), "1", "3", "4")
}

func TestFileFollowsRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	write(t, f, "1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2")
	want(t, read(t, path+".1"), "1")
	want(t, read(t, path), "2")
}

func TestFileThatCannotKeepEventsSaysSo(t *testing.T) {
	full := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Fatal(err)
	}
	f := open(t, full)
	if err := f.Write(t.Context(), event("1")); err == nil {
		t.Error("written to a full disk")
	}
	closed := open(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Write(t.Context(), event("1")); err == nil {
		t.Error("written to a closed file")
	}
	if _, err := audit.OpenFile(filepath.Join(t.TempDir(), "no", "audit.jsonl")); err == nil {
		t.Error("opened in a folder that is not there")
	}
}

func TestFileKeepsEventsOfManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := open(t, path)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := f.Write(context.Background(), event(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := read(t, path); len(got) != 20 {
		t.Errorf("kept %v", got)
	}
}

func TestRingKeepsTheLatest(t *testing.T) {
	ring := audit.NewRing(3)
	ids := func() (ids []string) {
		for _, e := range ring.Events() {
			ids = append(ids, e.RequestID)
		}
		return ids
	}
	write(t, ring, "1", "2")
	want(t, ids(), "1", "2")
	write(t, ring, "3", "4", "5")
	want(t, ids(), "3", "4", "5")
}

func TestRingDoesNotHoldOnToTheEvent(t *testing.T) {
	ring := audit.NewRing(1)
	e := event("1")
	if err := ring.Write(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.RequestID, e.Hops[0].Outcome = "2", audit.Refused
	if kept := ring.Events()[0]; kept.RequestID != "1" || kept.Hops[0].Outcome != audit.Granted {
		t.Errorf("kept %+v", kept)
	}
}

// broken keeps nothing.
type broken struct{ error }

func (b broken) Write(context.Context, *audit.Event) error { return b.error }

func TestMultiNeedsEverySink(t *testing.T) {
	ring, full := audit.NewRing(2), errors.New("full")
	if err := audit.Multi(broken{full}, ring).Write(t.Context(), event("1")); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if len(ring.Events()) != 1 {
		t.Error("the second sink was not tried")
	}
	if err := audit.Multi(ring, ring).Write(t.Context(), event("2")); err != nil {
		t.Error(err)
	}
}

func TestThenKeepsNothingThatIsNotKeptFirst(t *testing.T) {
	ring, full := audit.NewRing(2), errors.New("full")
	if err := audit.Then(broken{full}, ring).Write(t.Context(), event("1")); !errors.Is(err, full) || len(ring.Events()) != 0 {
		t.Errorf("got %v, and %d events", err, len(ring.Events()))
	}
	if err := audit.Then(ring, broken{full}).Write(t.Context(), event("2")); !errors.Is(err, full) || len(ring.Events()) != 1 {
		t.Errorf("got %v, and %d events", err, len(ring.Events()))
	}
}

func TestWriterReportsFailure(t *testing.T) {
	if err := audit.NewWriter(failing{}).Write(t.Context(), event("1")); err == nil || !strings.Contains(err.Error(), "audit") {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("closed pipe") }
