package clients

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// StockAgent starts eks-pod-identity-agent, whose binary STOCK_AGENT names, as
// the agent of a cluster whose EKS Auth is at endpoint, with an environment of
// its own. It returns how pods ask it.
func StockAgent(t *testing.T, cluster, endpoint string, env []string) (ask func(token string) (status int, body []byte)) {
	t.Helper()
	binary := os.Getenv("STOCK_AGENT")
	Require(t, "stock-agent", binary != "", "STOCK_AGENT names no binary of eks-pod-identity-agent")
	ports := freePorts(t, 3)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	agent := exec.CommandContext(ctx, binary, "server", "--cluster-name", cluster, "--endpoint", endpoint, "-b", "127.0.0.1", "-p", ports[0],
		"--probe-port", ports[1], "--metrics-address", "127.0.0.1", "--metrics-port", ports[2])
	agent.Env, agent.Stdout, agent.Stderr = env, log, log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		agent.Wait() // it was killed
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the log of the stock agent:\n%.5000s", text)
		}
	})
	address := net.JoinHostPort("127.0.0.1", ports[0])
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the stock agent does not serve: ", err)
		}
	}
	return func(token string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/credentials", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "169.254.170.23" // wherever it listens
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
		return response.StatusCode, body
	}
}

// freePorts finds ports that nobody has at the moment.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all are held until the last is known
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}
