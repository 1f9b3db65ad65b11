package explain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/token/issuer"
	"github.com/podid/podid/test/clients"
)

// world is a development mode that runs until the test ends.
type world struct {
	t       *testing.T
	info    *devenv.Info
	envFile string
}

func start(t *testing.T, path string) *world {
	t.Helper()
	return startEdited(t, path)
}

// startEdited starts a world in which texts are replaced, pair by pair.
func startEdited(t *testing.T, path string, pairs ...string) *world {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(text, []byte(pairs[i])) {
			t.Fatalf("%s has no %q", path, pairs[i])
		}
		text = bytes.ReplaceAll(text, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	read, err := devenv.ParseWorld(path, text)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, envFile: filepath.Join(t.TempDir(), "podid.env")}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan *devenv.Info, 1), make(chan error, 1)
	go func() {
		done <- devenv.Run(ctx, devenv.Config{World: read, EnvFile: w.envFile, Ready: func(i *devenv.Info) error { ready <- i; return nil }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("development mode: %v", err)
		}
	})
	select {
	case w.info = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("development mode: %v", err)
	}
	return w
}

// pod is the one that all questions are about.
const podName, podUID = "web-0", "3f0b5a1c-9d1e-4c57-8f2a-6b1d0e9c7a54"

func (w *world) question() explain.Question {
	return explain.Question{Cluster: w.info.Cluster.Name, Namespace: w.info.Namespace, ServiceAccount: w.info.ServiceAccount, Pod: podName, PodUID: podUID}
}

func (w *world) token() string {
	w.t.Helper()
	token, err := w.info.Issuers[w.info.Cluster.Name].Mint(issuer.Request{
		Namespace: w.info.Namespace, ServiceAccount: w.info.ServiceAccount, PodName: podName, PodUID: podUID,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// credentials asks the agent, as a pod does. No credentials mean
// that a role assumption was refused.
func (w *world) credentials() (aws.Config, bool) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.info.AgentURL, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", w.token())
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ AccessKeyId, SecretAccessKey, Token, Code, Message string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		w.t.Fatal(err)
	}
	if answer.AccessKeyId == "" && answer.Code != "AccessDeniedException" && answer.Code != "InvalidRequestException" {
		w.t.Fatalf("the agent answers %s %s", answer.Code, answer.Message)
	}
	return aws.Config{
		Region: w.info.Cluster.Region, BaseEndpoint: &w.info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(answer.AccessKeyId, answer.SecretAccessKey, answer.Token),
	}, answer.AccessKeyId != ""
}

// config is what a shell that sourced the env file has.
func (w *world) config() explain.Config {
	w.t.Helper()
	own := w.account(w.info.Cluster.AccountID)
	return explain.Config{AWS: own, Account: func(_ context.Context, id string) (explain.Access, error) {
		if id == w.info.Cluster.AccountID {
			return explain.Access{AWS: own}, nil
		}
		return explain.Access{AWS: w.account(id), Profile: id}, nil
	}}
}

func (w *world) account(id string) aws.Config {
	key := w.info.Administrator(id)
	return aws.Config{
		Region: w.info.Cluster.Region, BaseEndpoint: &w.info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey.Reveal(), ""),
	}
}

func (w *world) explain(c explain.Config, q explain.Question) *explain.Report {
	w.t.Helper()
	e, err := explain.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := e.Explain(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// sh runs a script in a shell that sourced the env file.
func (w *world) sh(script string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", ". '"+w.envFile+"'\n"+script)
	cmd.Env = []string{"HOME=" + w.t.TempDir(), "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "LC_ALL=C.UTF-8"}
	for _, name := range []string{"PATH", "PYENV_VERSION", "PYENV_ROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

// needCLI skips a test loudly where the AWS CLI is not there, or fails it where
// it has to be.
func needCLI(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("aws")
	clients.Require(t, "aws", err == nil, "the printed fixes need it, and there is no aws on the PATH")
}

func commands(r *explain.Report) string {
	var all []string
	for _, s := range r.Steps {
		for _, f := range s.Fixes {
			all = append(all, f.Commands...)
		}
	}
	return strings.Join(all, "\n")
}

func printed(t *testing.T, r *explain.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := explain.Print(&out, r, explain.Style{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func worlds(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	paths, err := filepath.Glob("../../examples/worlds/" + pattern)
	if err != nil || len(paths) < atLeast {
		t.Fatalf("found %d worlds, %v", len(paths), err)
	}
	return paths
}

// TestFixesMend is the promise: what is refused is explained, the commands that
// are printed are run as they stand, and then the chain passes.
func TestFixesMend(t *testing.T) {
	needCLI(t)
	for _, path := range worlds(t, "denied-*.yaml", 20) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			w := start(t, path)
			if _, ok := w.credentials(); ok {
				t.Fatal("the pod gets credentials in a world that denies them")
			}
			report := w.explain(w.config(), w.question())
			text := printed(t, report)
			if report.Verdict != explain.Refused {
				t.Fatalf("verdict %s, want refused\n%s", report.Verdict, text)
			}
			script := commands(report)
			if script == "" {
				t.Fatalf("no command to mend it\n%s", text)
			}
			if !strings.Contains(text, script[:strings.IndexByte(script+"\n", '\n')]) {
				t.Errorf("the command is not printed:\n%s", text)
			}
			w.sh(script)
			if _, ok := w.credentials(); !ok {
				t.Errorf("refused still, after\n%s\n%s", script, text)
			}
			again := w.explain(w.config(), w.question())
			if again.Verdict != explain.Allowed {
				t.Errorf("verdict %s after the fix, want allowed\n%s", again.Verdict, printed(t, again))
			}
			// Nobody else was let in by it.
			if added := newWarnings(report, again); len(added) > 0 {
				t.Errorf("the fix opened something: %q", added)
			}
		})
	}
}

func newWarnings(before, after *explain.Report) []string {
	var added []string
	for _, w := range after.Warnings {
		if !slices.Contains(before.Warnings, w) {
			added = append(added, w.Text)
		}
	}
	return added
}

// TestPredictions compares what explain says with what happens, in every world.
func TestPredictions(t *testing.T) {
	for _, path := range worlds(t, "*.yaml", 28) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			w := start(t, path)
			q := w.question()
			q.Token = identity.Secret(w.token())
			report := w.explain(w.config(), q)
			want := explain.Refused
			if _, ok := w.credentials(); ok {
				want = explain.Allowed
			}
			if report.Verdict != want || report.Live == nil || !report.Live.Agrees || report.Live.Verdict != want {
				t.Errorf("verdict %s, live %+v, want %s\n%s", report.Verdict, report.Live, want, printed(t, report))
			}
		})
	}
}

// TestActionFixes: what the pod may do with its credentials, explained and mended.
func TestActionFixes(t *testing.T) {
	needCLI(t)
	const object = "arn:aws:s3:::example-data-444455556666/hello.txt"
	for _, test := range []struct{ name, world, setup, mentions string }{
		{name: "session policy", world: "session-policy.yaml", mentions: "update-pod-identity-association"},
		{name: "no permission", world: "tags.yaml", mentions: "put-role-policy",
			setup: "aws iam delete-role-policy --profile 444455556666 --role-name eks-pod-identity-aws-resources --policy-name read-bucket"},
		{name: "boundary of the target role", world: "tags.yaml", mentions: "create-policy-version", setup: `
aws iam create-policy --profile 444455556666 --policy-name limit --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:List*","Resource":"*"}]}'
aws iam put-role-permissions-boundary --profile 444455556666 --role-name eks-pod-identity-aws-resources --permissions-boundary arn:aws:iam::444455556666:policy/limit`},
		{name: "bucket policy denies", world: "tags.yaml", mentions: "put-bucket-policy", setup: `
aws s3api put-bucket-policy --profile 444455556666 --bucket example-data-444455556666 --policy '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::example-data-444455556666/*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::444455556666:user/administrator"}}}]}'`},
		{name: "full boundary", world: "tags.yaml", mentions: "delete-policy-version", setup: `
aws iam create-policy --profile 444455556666 --policy-name limit --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:List*","Resource":"*"}]}'
for i in 1 2 3 4; do aws iam create-policy-version --profile 444455556666 --policy-arn arn:aws:iam::444455556666:policy/limit --set-as-default --policy-document '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:List*","Resource":"*"}]}'; done
aws iam put-role-permissions-boundary --profile 444455556666 --role-name eks-pod-identity-aws-resources --permissions-boundary arn:aws:iam::444455556666:policy/limit`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, "../../examples/worlds/"+test.world)
			w.sh(test.setup)
			read := func() error {
				c, ok := w.credentials()
				if !ok {
					t.Fatal("the chain itself is refused")
				}
				out, err := s3.NewFromConfig(c).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("example-data-444455556666"), Key: aws.String("hello.txt")})
				if err == nil {
					out.Body.Close()
				}
				return err
			}
			if err := read(); err == nil {
				t.Fatal("the pod may read before the fix")
			}
			q := w.question()
			q.Action, q.Resource = "s3:GetObject", object
			report := w.explain(w.config(), q)
			script := commands(report)
			if report.Verdict != explain.Refused || !strings.Contains(script, test.mentions) {
				t.Fatalf("verdict %s, commands %q, want refused and %s\n%s", report.Verdict, script, test.mentions, printed(t, report))
			}
			w.sh(script)
			if again := w.explain(w.config(), q); again.Verdict != explain.Allowed {
				t.Errorf("verdict %s after the fix\n%s", again.Verdict, printed(t, again))
			}
			// The agent keeps a chain's credentials; a session policy is part of them.
			if err := read(); err != nil && test.name != "session policy" {
				t.Errorf("refused still: %v", err)
			}
		})
	}
}

// TestCommand runs podid explain itself, with nothing but the env file, and the
// fix it prints by its own output.
func TestCommand(t *testing.T) {
	needCLI(t)
	binary := filepath.Join(t.TempDir(), "podid")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/podid/podid/cmd/podid").CombinedOutput(); err != nil {
		t.Fatalf("building podid: %v\n%s", err, out)
	}
	w := start(t, "../../examples/worlds/denied-wrong-service-account.yaml")
	w.sh(`
if ` + binary + ` explain -n default -s demo-app-sa >out; then exit 10; else test $? = 1; fi
grep '^aws ' out >fix
sh -e fix
` + binary + ` explain -n default -s demo-app-sa --live - -o json >report.json
grep '"agrees": true' report.json
if ` + binary + ` explain -n default -s nobody; then exit 11; else test $? = 1; fi
if ` + binary + ` explain -n default -s demo-app-sa --profile 444455556666=no-such-profile; then exit 12; else test $? = 2; fi
rm out fix report.json`)
}

// TestProfiles finds accounts as the command does.
func TestProfiles(t *testing.T) {
	w := start(t, "../../examples/worlds/tags.yaml")
	t.Setenv("AWS_CONFIG_FILE", w.envFile+".profiles")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "") // of whoever runs the tests
	}
	own, err := config.LoadDefaultConfig(t.Context(), config.WithSharedConfigProfile("111122223333"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, account string
		named         map[string]string
		profile, err  string
	}{
		{name: "at hand", account: "111122223333"},
		{name: "by its id", account: "444455556666", profile: "444455556666"},
		{name: "named", account: "111122223333", named: map[string]string{"111122223333": "111122223333"}, profile: "111122223333"},
		{name: "of another account", account: "444455556666", named: map[string]string{"444455556666": "111122223333"}, err: "profile 111122223333 is of account 111122223333"},
		{name: "none", account: "999988887777", err: "give --profile 999988887777=PROFILE"},
		{name: "no such", account: "444455556666", named: map[string]string{"444455556666": "nowhere"}, err: "nowhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			access, err := explain.Profiles(own, test.named)(t.Context(), test.account)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || access.Profile != test.profile {
				t.Errorf("profile %q, %v, want %q", access.Profile, err, test.profile)
			}
		})
	}
}
