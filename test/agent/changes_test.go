//go:build linux

package agent_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestChangesAreHeard by the process, which by its flags gives nothing that
// nobody confirms.
func TestChangesAreHeard(t *testing.T) {
	up := newEKSAuth(t)
	said := make(chan string)
	streams := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"type":"current","sequence":1}`+"\n")
		for {
			http.NewResponseController(w).Flush()
			select {
			case line, ok := <-said:
				if !ok {
					return
				}
				io.WriteString(w, line+"\n")
			case <-r.Context().Done():
				return
			}
		}
	})
	up.tells.Store(&streams)
	p := start(t, "--link", "create", "--endpoint", up.URL, "--revalidate-after", "2s", "--when-unheard", "refuse")
	eventually(t, 5*time.Second, "it listens", func() bool { return metric(t, "podid_agent_listening") == 1 })
	had := mustAsk(t, 1)
	if again := mustAsk(t, 1); again.id != had.id {
		t.Errorf("%s, and before %s", again.id, had.id)
	}
	said <- `{"type":"changed","sequence":2,"namespace":"default","serviceAccount":"app","associationId":"a-abcdefghijklmnop1","version":"new"}`
	eventually(t, time.Second, "the change is heard", func() bool { return metric(t, "podid_agent_dropped_total") == 1 })
	if mustAsk(t, 1).id == had.id {
		t.Error("the credentials from before the change")
	}

	away, fails := refuses(503, "ServiceUnavailableException"), refuses(500, "InternalServerException")
	up.tells.Store(&away)
	up.becomes(fails)
	close(said) // the stream ends
	eventually(t, 10*time.Second, "nothing unconfirmed is given", func() bool { return ask(1).status == 503 })
	if _, text := page(t, "http://localhost:2703/readyz"); !strings.Contains(text, "changes of associations have not been heard for") {
		t.Errorf("readyz: %s", text)
	}
	up.becomes(up.grants(time.Hour))
	eventually(t, 5*time.Second, "the server confirms it", func() bool { return ask(1).status == 200 })
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
