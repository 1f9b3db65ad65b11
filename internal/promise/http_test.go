package promise

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPollOverHTTP(t *testing.T) {
	r := newPair(t).a
	r.announce(key)
	server := httptest.NewTLSServer(r.Handler())
	defer server.Close()
	at := Member{ID: "a", Address: strings.TrimPrefix(server.URL, "https://")}
	first, err := Ask(t.Context(), server.Client(), at, Poll{From: "c", To: "a"})
	if err != nil || first.Last != 1 || len(first.Keys) != 0 {
		t.Fatalf("the first poll: %+v, %v", first, err)
	}
	r.announce("shop/next")
	next, err := Ask(t.Context(), server.Client(), at, Poll{From: "c", To: "a", Instance: first.Instance, Last: first.Last})
	if err != nil || next.Last != 2 || len(next.Keys) != 1 || next.Keys[0] != "shop/next" {
		t.Fatalf("the next poll: %+v, %v", next, err)
	}
	if _, err := Ask(t.Context(), server.Client(), at, Poll{From: "c", To: "b"}); err == nil {
		t.Error("a answers for b")
	}
	if _, err := Ask(t.Context(), server.Client(), at, Poll{From: strings.Repeat("c", maxPoll), To: "a"}); err == nil {
		t.Error("a reads a poll of any length")
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "another page": "<html>", "no instance": `{"last":1}`, "too long": `{"instance":"` + strings.Repeat("x", maxAnswer) + `"}`,
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
		if a, err := Ask(t.Context(), server.Client(), Member{Address: strings.TrimPrefix(server.URL, "https://")}, Poll{}); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
		server.Close()
	}
}

func FuzzPoll(f *testing.F) {
	f.Add([]byte(`{"from":"c","to":"a","instance":"i","last":1}`))
	f.Add([]byte(`{"to":"a","last":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := readPoll(bytes.NewReader(body))
		if err != nil {
			return
		}
		r := newPair(t).a
		r.announce(key)
		q.To = "a"
		if a, err := r.promise(q); err != nil || len(a.Keys) > 1 {
			t.Errorf("%+v, %v", a, err)
		}
		q.Instance = r.instance
		r.hear(q)
		if a, err := r.promise(q); err != nil || len(a.Keys) > 1 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"instance":"i","last":1,"keys":["shop/app"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if a, err := readAnswer(bytes.NewReader(body)); err == nil && a.Instance == "" {
			t.Error("an answer of nobody")
		}
	})
}
