package devenv

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/podid/podid/internal/console"
)

// consoleCall asks the console's API, and returns the status.
func consoleCall(t *testing.T, info *Info, method, path string, body, into any) int {
	t.Helper()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, info.URL+console.Prefix+path, &text)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(console.ChangeHeader, "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatalf("%s %s: %s, %v", method, path, res.Status, err)
		}
	}
	return res.StatusCode
}

func TestConsoleLists(t *testing.T) {
	info, _ := running(t, Config{})
	var s console.Session
	if status := consoleCall(t, info, "GET", "/session", nil, &s); status != http.StatusOK || s.Mode != console.Development || len(s.Clusters) != 1 || !s.AllNamespaces {
		t.Errorf("session %d %+v", status, s)
	}
	var page console.AssociationPage
	if status := consoleCall(t, info, "GET", "/associations?q=demo-app&account=444455556666", nil, &page); status != http.StatusOK || page.Total != 1 {
		t.Fatalf("list %d %+v", status, page)
	}
	if a := page.Items[0]; a.ServiceAccount != "demo-app-sa" || !strings.HasSuffix(a.ExternalID, "/default/demo-app-sa") {
		t.Errorf("%+v", a)
	}
	var e console.ErrorReply
	if status := consoleCall(t, info, "GET", "/associations?colour=red", nil, &e); status != http.StatusBadRequest || e.Error.Code != "InvalidParameter" || e.Error.RequestID == "" {
		t.Errorf("%d %+v", status, e)
	}
}
