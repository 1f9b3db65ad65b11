package devenv

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/podexec"
	"github.com/podid/podid/internal/token/issuer"
)

// running starts development mode and returns how to use it and how to stop it.
func running(t *testing.T, c Config) (*Info, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan *Info, 1)
	done := make(chan error, 1)
	c.Ready = func(i *Info) error { ready <- i; return nil }
	go func() { done <- Run(ctx, c) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case info := <-ready:
		return info, stop
	case err := <-done:
		stopped = true
		cancel()
		t.Fatalf("Run: %v", err)
		return nil, nil
	}
}

// ask asks the agent for a pod's credentials, and returns the account they are
// of or the exception.
func ask(t *testing.T, info *Info, cluster, namespace, serviceAccount string) string {
	t.Helper()
	token, err := info.Issuers[cluster].Mint(issuer.Request{Namespace: namespace, ServiceAccount: serviceAccount, PodName: "pod-1"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, info.AgentURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ AccountId, Code, Message string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.AccountId + answer.Code
}

// TestExampleWorlds asks, in each world, for the credentials of each
// association: in those named denied-* the chain must be refused.
func TestExampleWorlds(t *testing.T) {
	paths, err := filepath.Glob("../../examples/worlds/*.yaml")
	if err != nil || len(paths) < 10 {
		t.Fatalf("found %d worlds, %v", len(paths), err)
	}
	for _, path := range append(paths, "default.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			world, err := ReadWorld(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(world.Associations) == 0 {
				t.Fatal("no association to try")
			}
			info, _ := running(t, Config{World: world})
			for _, a := range world.Associations {
				want := "AccessDeniedException"
				if !strings.HasPrefix(filepath.Base(path), "denied-") {
					last := a.RoleARN
					if a.TargetRoleARN != "" {
						last = a.TargetRoleARN
					}
					want = strings.Split(last, ":")[4]
				}
				if got := ask(t, info, a.Cluster, a.Namespace, a.ServiceAccount); got != want {
					t.Errorf("%s/%s of %s: %s, want %s", a.Namespace, a.ServiceAccount, a.Cluster, got, want)
				}
			}
		})
	}
}

func TestEnvFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "podid.env")
	if err := os.WriteFile(file, []byte("of an earlier run"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, _ := running(t, Config{EnvFile: file})
	stat, err := os.Stat(file)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: the file holds keys", stat.Mode(), err)
	}
	out, err := exec.Command("sh", "-c", `. "$0" && echo "$AWS_ENDPOINT_URL $AWS_REGION $PODID_CLUSTER $PODID_AGENT_URL $AWS_ACCESS_KEY_ID ${#AWS_SECRET_ACCESS_KEY} $PODID_ACCOUNT_444455556666_ACCESS_KEY_ID ${#PODID_ACCOUNT_444455556666_SECRET_ACCESS_KEY}"`, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{info.URL, "us-west-2", "example-cluster", info.AgentURL, info.Administrator("111122223333").AccessKeyID, "40",
		info.Administrator("444455556666").AccessKeyID, "40"}, " ")
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("sourced:\n%s\nwant:\n%s", got, want)
	}
	if stat, err := os.Stat(file + ".profiles"); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("profiles: mode %v, %v: the file holds keys", stat.Mode(), err)
	}
	shared, err := awsconfig.LoadSharedConfigProfile(t.Context(), "444455556666", func(o *awsconfig.LoadSharedConfigOptions) {
		o.ConfigFiles, o.CredentialsFiles = []string{file + ".profiles"}, []string{}
	})
	if err != nil || shared.Credentials.AccessKeyID != info.Administrator("444455556666").AccessKeyID || shared.Region != "us-west-2" || shared.BaseEndpoint != info.URL {
		t.Errorf("profile of the other account: %v %s at %s, %v", shared.Credentials.AccessKeyID, shared.Region, shared.BaseEndpoint, err)
	}
}

// TestChangesAndLease: an association that is gone is felt at once, one that is
// new too, and pods are told to come back when the lease is over.
func TestChangesAndLease(t *testing.T) {
	info, _ := running(t, Config{Lease: 20 * time.Minute})
	if got := ask(t, info, "example-cluster", "default", "demo-app-sa"); got != "444455556666" {
		t.Fatalf("before: %s", got)
	}
	token, err := info.Issuers["example-cluster"].Mint(issuer.Request{Namespace: "default", ServiceAccount: "demo-app-sa", PodName: "pod-1"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, info.AgentURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Expiration time.Time }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(answer.Expiration); left > 20*time.Minute || left < 15*time.Minute {
		t.Errorf("the pod is told to come back in %v", left)
	}

	own := info.Administrator("111122223333")
	client := eks.New(eks.Options{BaseEndpoint: &info.URL, Region: "us-west-2",
		Credentials: credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey.Reveal(), "")})
	list, err := client.ListPodIdentityAssociations(t.Context(), &eks.ListPodIdentityAssociationsInput{ClusterName: aws.String("example-cluster")})
	if err != nil || len(list.Associations) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	found, err := client.DescribePodIdentityAssociation(t.Context(), &eks.DescribePodIdentityAssociationInput{
		ClusterName: aws.String("example-cluster"), AssociationId: list.Associations[0].AssociationId})
	if err != nil {
		t.Fatal(err)
	}
	became := func(what, want string) {
		t.Helper()
		began := time.Now()
		got := ""
		for got != want && time.Since(began) < 10*time.Second {
			got = ask(t, info, "example-cluster", "default", "demo-app-sa")
		}
		if took := time.Since(began); got != want || took > time.Second {
			t.Errorf("%s: %s, want %s, after %v", what, got, want, took)
		}
	}
	if _, err := client.DeletePodIdentityAssociation(t.Context(), &eks.DeletePodIdentityAssociationInput{
		ClusterName: aws.String("example-cluster"), AssociationId: found.Association.AssociationId}); err != nil {
		t.Fatal(err)
	}
	became("deleted", "ResourceNotFoundException")
	if _, err := client.CreatePodIdentityAssociation(t.Context(), &eks.CreatePodIdentityAssociationInput{
		ClusterName: aws.String("example-cluster"), Namespace: aws.String("default"), ServiceAccount: aws.String("demo-app-sa"),
		RoleArn: found.Association.RoleArn, TargetRoleArn: found.Association.TargetRoleArn,
	}); err != nil {
		t.Fatal(err)
	}
	became("made again", "444455556666")
}

func TestDataSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	info, stop := running(t, Config{DataDir: dir})
	key := info.Administrator("111122223333").AccessKeyID
	if got := ask(t, info, "example-cluster", "default", "demo-app-sa"); got != "444455556666" {
		t.Fatalf("before: %s", got)
	}
	if err := Run(t.Context(), Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "another podid dev") {
		t.Errorf("a second one in the same folder: %v", err)
	}
	stop()
	info, _ = running(t, Config{DataDir: dir})
	if got := ask(t, info, "example-cluster", "default", "demo-app-sa"); got != "444455556666" {
		t.Errorf("after: %s", got)
	}
	if again := info.Administrator("111122223333").AccessKeyID; again != key {
		t.Errorf("the administrator's key changed from %s to %s", key, again)
	}
	audited, _, err := audit.Search([]string{filepath.Join(dir, "audit.jsonl")}, audit.Filter{Outcome: audit.Granted}, 10)
	pods := map[string]bool{} // the agent may ask twice for one, when it has just begun to hear of changes
	for _, e := range audited {
		pods[e.Subject.PodUID] = true
	}
	if err != nil || len(pods) != 2 {
		t.Errorf("audited %+v, %v; want that of before too", audited, err)
	}
}

func TestListensOnLoopbackAlone(t *testing.T) {
	for _, c := range []Config{{Listen: "0.0.0.0:0"}, {AgentListen: "0.0.0.0:0"}} {
		if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func client(t *testing.T, info *Info) *Client {
	t.Helper()
	env := map[string]string{}
	for _, v := range info.Env() {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	c, err := ClientFromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestToken(t *testing.T) {
	info, _ := running(t, Config{})
	c := client(t, info)
	reply, err := c.Token(t.Context(), Pod{Namespace: "anywhere", ServiceAccount: "anyone", Name: "web-0", Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if reply.PodName != "web-0" || reply.PodUID == "" || strings.Count(reply.Token, ".") != 2 || time.Until(reply.Expires) > time.Hour {
		t.Errorf("got %+v", reply)
	}
	for name, pod := range map[string]Pod{
		"too short":      {Namespace: "default", ServiceAccount: "x", Lifetime: time.Second},
		"negative":       {Namespace: "default", ServiceAccount: "x", Lifetime: -time.Hour},
		"bad name":       {Namespace: "default", ServiceAccount: "X_Y"},
		"bad namespace":  {Namespace: "a.b", ServiceAccount: "x"},
		"no such folder": {Namespace: "../..", ServiceAccount: "x"},
		"other cluster":  {Cluster: "nowhere", Namespace: "default", ServiceAccount: "x"},
	} {
		if _, err := c.Token(t.Context(), pod); err == nil {
			t.Errorf("%s: got a token", name)
		}
	}
	c.keys.SecretAccessKey = strings.Repeat("x", 40)
	if _, err := c.Token(t.Context(), Pod{Namespace: "default", ServiceAccount: "x"}); err == nil || !strings.Contains(err.Error(), "InvalidSignature") {
		t.Errorf("with a wrong key: %v", err)
	}
	if _, err := ClientFromEnv(func(string) string { return "" }); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without the variables: %v", err)
	}
}

func TestExec(t *testing.T) {
	info, _ := running(t, Config{})
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	environ := append(info.Env(), "PATH="+os.Getenv("PATH"), "AWS_SESSION_TOKEN=x", "AWS_PROFILE=y", "KEPT=z")
	run := func(script string) int {
		c := client(t, info).AsPod(Pod{Namespace: "default", ServiceAccount: "demo-app-sa"})
		c.Command, c.Environ, c.Stdout, c.Stderr = []string{"sh", "-c", script}, environ, out, out
		code, err := podexec.Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if code := run("exit 7"); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if code := run("kill -TERM $$"); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
	if code := run(`env; test -s "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"`); code != 0 {
		t.Errorf("exit code %d: no token in the file", code)
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	printed, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET", "AWS_SESSION_TOKEN", "AWS_PROFILE", "PODID_"} {
		if strings.Contains(string(printed), secret) {
			t.Errorf("the program's environment has %s:\n%s", secret, printed)
		}
	}
	for _, wanted := range []string{"KEPT=z", "AWS_REGION=us-west-2", "AWS_ENDPOINT_URL=" + info.URL, "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + info.AgentURL} {
		if !strings.Contains(string(printed), wanted) {
			t.Errorf("the program's environment lacks %s", wanted)
		}
	}
}

func TestDebugDoorsRefuseOtherNames(t *testing.T) {
	info, _ := running(t, Config{})
	for _, path := range []string{"/_podid/audit/events", "/_podid/decisions"} {
		for host, want := range map[string]int{"": http.StatusOK, "evil.example:7300": http.StatusForbidden} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, info.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s as %q: %s, want %d", path, host, res.Status, want)
			}
		}
	}
}
