package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/test/clients"
)

// TestStockAgent has eks-pod-identity-agent itself get a pod its credentials
// from podid's server. STOCK_AGENT is the path of its binary.
func TestStockAgent(t *testing.T) {
	binary := os.Getenv("STOCK_AGENT")
	clients.Require(t, "stock-agent", binary != "", "STOCK_AGENT names no binary of eks-pod-identity-agent")
	info := start(t)
	associate(t, info)
	address := stockAgent(t, info, binary)
	ask := func(token string) (int, []byte) {
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
	status, body := ask(mint(t, info, demoPod()))
	var got struct{ AccessKeyID, SecretAccessKey, Token, AccountID, Expiration string }
	if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK || got.AccountID != "444455556666" {
		t.Fatalf("status %d: %.300s, %v", status, body, err)
	}
	if ends, err := time.Parse(time.RFC3339, got.Expiration); err != nil || time.Until(ends) < 50*time.Minute {
		t.Errorf("expires %s, %v", got.Expiration, err)
	}
	id, err := sts.NewFromConfig(aws.Config{Region: info.Cluster.Region, BaseEndpoint: &info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(got.AccessKeyID, got.SecretAccessKey, got.Token)}).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || !strings.HasPrefix(*id.Arn, targetSTS) {
		t.Errorf("the pod is %+v, %v", id, err)
	}
	// A service account without an association: what the server refuses, the pod is told.
	other := demoPod()
	other.ServiceAccount = "nobody"
	if status, body := ask(mint(t, info, other)); status != http.StatusNotFound || !strings.Contains(string(body), "ResourceNotFoundException") {
		t.Errorf("without an association: status %d: %s", status, body)
	}
}

// stockAgent starts it against info's server and returns where it answers.
func stockAgent(t *testing.T, info *devenv.Info, binary string) string {
	t.Helper()
	var ports []string
	var held []net.Listener // until the last port is known
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		ports = append(ports, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	for _, l := range held {
		l.Close()
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	agent := exec.CommandContext(ctx, binary, "server", "--cluster-name", cluster, "--endpoint", info.URL, "-b", "127.0.0.1", "-p", ports[0],
		"--probe-port", ports[1], "--metrics-address", "127.0.0.1", "--metrics-port", ports[2])
	agent.Env = info.Env()
	agent.Stdout, agent.Stderr = log, log
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
			return address
		}
		if time.Now().After(end) {
			t.Fatal("the stock agent does not serve: ", err)
		}
	}
}
