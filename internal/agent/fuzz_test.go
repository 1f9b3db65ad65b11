package agent_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/podid/podid/internal/agent"
	"github.com/podid/podid/internal/eksauth"
)

// FuzzRequest holds that only a well-formed token that came to the right
// address reaches the upstream, and that no request breaks the agent.
func FuzzRequest(f *testing.F) {
	good := token("app-0", 24*time.Hour)
	f.Add("GET", "/v1/credentials", "169.254.170.23", good, "application/json")
	f.Add("HEAD", "/v1/credentials", "169.254.170.23:80", good, "")
	f.Add("POST", "/v1/credentials", "169.254.170.23", good, "*/*")
	f.Add("GET", "//v1//credentials", "169.254.170.23", good, "*/*")
	f.Add("GET", "/", "example.com", "", "")
	f.Add("GET", "/v1/credentials", "[fd00:ec2::23]", "a.b.c", "text/plain")
	f.Add("GET", "/v1/credentials", "[::1%25eth0]:80", "Bearer "+good, "application/json;q=0")
	var asked string
	var answer error
	handler, err := agent.HandlerForTest(&upstream{answer: func(_ context.Context, token string) (*eksauth.Grant, error) {
		asked = token
		return nil, answer
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, host, authorization, accept string) {
		r, err := http.NewRequest(method, "http://x/", nil)
		if err != nil {
			t.Skip("not a request that net/http would let in")
		}
		r.URL.Path, r.Host = path, host
		r.Header["Authorization"], r.Header["Accept"] = []string{authorization}, []string{accept}
		asked, answer = "", errors.New("away "+authorization)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if asked != "" && (asked != authorization || host == "" || strings.Count(asked, ".") != 2) {
			t.Errorf("the upstream was asked for %q by Host %q", asked, host)
		}
		if w.Code == http.StatusOK {
			t.Errorf("credentials out of nothing: %s", w.Body)
		}
		if len(authorization) > 20 && !strings.Contains(host, authorization) && strings.Contains(w.Body.String(), authorization) {
			t.Errorf("the answer quotes the token: %s", w.Body)
		}
	})
}
