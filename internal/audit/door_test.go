package audit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/audit"
)

func TestQueriesAreAsked(t *testing.T) {
	ring := audit.NewRing(2)
	write(t, ring, "1", "2", "3")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := audit.ParseQuery(r.URL.Query())
		if r.URL.Path != audit.Path || err != nil {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"message":"no: %v"}`, err)
			return
		}
		reply, err := ring.Answer(q)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(reply)
	}))
	defer server.Close()
	reply, err := audit.Ask(t.Context(), server.Client(), server.URL, audit.Query{Filter: audit.Filter{Outcome: audit.Granted}, Limit: 1})
	if err != nil || !reply.Since.Equal(noon) || reply.Older == "" {
		t.Errorf("%+v, %v", reply, err)
	}
	want(t, ids(reply.Events), "3")
	if _, err := audit.Ask(t.Context(), server.Client(), server.URL, audit.Query{Before: "x"}); err == nil || !strings.Contains(err.Error(), "400") {
		t.Error(err)
	}
	if _, err := audit.Ask(t.Context(), server.Client(), server.URL, audit.Query{Limit: 5000}); err == nil || !strings.Contains(err.Error(), "no: limit") {
		t.Error(err)
	}
	if reply, err := audit.NewRing(1).Answer(audit.Query{}); err != nil || reply.Events == nil || time.Since(reply.Since) > time.Minute {
		t.Errorf("of nothing: %+v, %v", reply, err)
	}
}

func TestQueriesAsParameters(t *testing.T) {
	var q audit.Query
	all := reflect.ValueOf(&q.Filter).Elem()
	for i := range all.NumField() { // so that none is forgotten
		switch f := all.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(all.Type().Field(i).Name)
		default:
			f.Set(reflect.ValueOf(noon.Add(time.Duration(i))))
		}
	}
	q.Limit, q.Before, q.After = 7, "1", "2"
	if got, err := audit.ParseQuery(q.Values()); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("%+v became %+v, %v", q, got, err)
	}
	for _, text := range []string{"limit=0", "limit=x", "since=yesterday", "nobody=x", "pod=a&pod=b"} {
		v, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.ParseQuery(v); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"now": "2026-03-01T00:30:00+01:00", "today": "2026-03-01T00:00:00+01:00", "Yesterday": "2026-02-28T00:00:00+01:00",
		"90m": "2026-02-28T23:00:00+01:00", "1h30m": "2026-02-28T23:00:00+01:00", "7d": "2026-02-22T00:30:00+01:00", "2w": "2026-02-15T00:30:00+01:00",
		"2026-02-03": "2026-02-03T00:00:00+01:00", "2026-02-03 14:30": "2026-02-03T14:30:00+01:00", "2026-02-03T14:30:00Z": "2026-02-03T14:30:00Z",
		"2026-02-03T14:30": "2026-02-03T14:30:00+01:00", "0s": "2026-03-01T00:30:00+01:00",
	} {
		if got, err := audit.ParseTime(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "tomorrow", "-1h", "-7d", "2026-13-01", "1000000h", "99999999d", "7x", "1.5d"} {
		if got, err := audit.ParseTime(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("yesterday")
	f.Add("7d")
	f.Add("2026-02-03T14:30:00Z")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := audit.ParseTime(text, noon)
		if err == nil && (at.IsZero() && text[0] != '0' || noon.Sub(at) > 100*366*24*time.Hour && len(text) < 10) {
			t.Errorf("%q is taken for %v", text, at)
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	f.Add("namespace=shop&since=2026-11-01T12:00:00Z&limit=7&before=1")
	f.Add("pod=a&pod=b&%zz")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := audit.ParseQuery(v)
		if err != nil {
			return
		}
		again, err := audit.ParseQuery(q.Values())
		if err != nil || !again.Filter.Since.Equal(q.Filter.Since) || !again.Filter.Until.Equal(q.Filter.Until) || again.Limit != q.Limit || again.Before != q.Before || again.Filter.Text != q.Filter.Text {
			t.Errorf("%q became %+v, and then %+v, %v", text, q, again, err)
		}
	})
}
