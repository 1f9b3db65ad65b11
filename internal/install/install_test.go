package install

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podid/podid/internal/identity"
)

var home = Settings{Cluster: identity.Cluster{Name: "prod", Region: "eu-central-1", AccountID: "111122223333"}}

// The API server's part is in test/kubernetes/install.
func TestManifestsAreFilledIn(t *testing.T) {
	s := home
	s.Image, s.AgentImage = "registry.example:5000/podid/server:v1", "registry.example/agent@sha256:"+strings.Repeat("0a", 32)
	text, err := Manifests(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--cluster-name=prod\n", "--region=eu-central-1\n", "--account-id=111122223333\n", "image: " + s.Image + "\n", "image: " + s.AgentImage + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, placeholder := range []string{"CLUSTER_", "podid:dev", "podid-agent:dev"} {
		if strings.Contains(text, placeholder) {
			t.Errorf("%s is left", placeholder)
		}
	}
	all, err := objects(text)
	if err != nil || len(all) < 25 {
		t.Errorf("%d objects, %v", len(all), err)
	}
	// What is made in a namespace comes after it, and associations' users after their kind.
	if all[0].GetKind() != "CustomResourceDefinition" || all[1].GetKind() != "Namespace" {
		t.Errorf("the first are %s and %s", title(all[0]), title(all[1]))
	}
}

// TestSettingsAreChecked: nothing in a setting reaches the manifests as YAML.
func TestSettingsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"no name":         func(s *Settings) { s.Cluster.Name = "" },
		"a line break":    func(s *Settings) { s.Cluster.Name = "prod\n  x: y" },
		"no region":       func(s *Settings) { s.Cluster.Region = "Frankfurt" },
		"short account":   func(s *Settings) { s.Cluster.AccountID = "1111" },
		"an image's tail": func(s *Settings) { s.Image = "podid:v1 # c" },
		"image with YAML": func(s *Settings) { s.AgentImage = "podid: {a}" },
		"a broken digest": func(s *Settings) { s.AgentImage = "podid@sha256:12" },
	} {
		s := home
		change(&s)
		if text, err := Manifests(s); err == nil || text != "" {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestHowFarAClockIsAhead(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 500e6, time.UTC)
	for theirs, want := range map[time.Duration]time.Duration{
		0: 0, -300 * time.Millisecond: 0, 10 * time.Minute: -(10*time.Minute - 500*time.Millisecond), -10 * time.Minute: 10*time.Minute - 500*time.Millisecond,
	} {
		// Answers have whole seconds, cut off.
		got, err := since(now.Add(theirs).Format(http.TimeFormat), now, now)
		if err != nil || got.Round(time.Second) != want.Round(time.Second) {
			t.Errorf("theirs by %v: %v, %v, want %v", theirs, got, err, want)
		}
	}
	if _, err := since("yesterday", now, now); err == nil {
		t.Error("no date was read")
	}
}

func TestClocksOfNodes(t *testing.T) {
	taken := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	lease := func(renewed time.Time) (l coordinationv1.Lease) {
		l.Spec.RenewTime = &metav1.MicroTime{Time: renewed}
		l.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: taken.Add(-time.Hour)}}, {Time: &metav1.Time{Time: taken}}, {}}
		return l
	}
	for _, off := range []time.Duration{0, 3 * time.Minute, -10 * time.Minute} {
		if got := nodeClock(lease(taken.Add(off))); got != off {
			t.Errorf("a clock that is off by %v: %v", off, got)
		}
	}
	if nodeClock(coordinationv1.Lease{}) != 0 {
		t.Error("a lease that nobody holds has no clock")
	}
}

// fakeSTS answers GetCallerIdentity, with a clock of its own.
func fakeSTS(t *testing.T, status int, body string, date time.Time) *aws.Config {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return &aws.Config{
		Region: "us-west-2", BaseEndpoint: &s.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	}
}

func TestAWS(t *testing.T) {
	const me = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/podid</Arn><UserId>A</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	const refused = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error></ErrorResponse>`
	for name, c := range map[string]struct {
		aws     *aws.Config
		account string
		want    []Status
		says    string
	}{
		"fine":            {fakeSTS(t, 200, me, time.Now()), "111122223333", []Status{OK, OK}, "user/podid"},
		"another account": {fakeSTS(t, 200, me, time.Now()), "444455556666", []Status{Warning, OK}, "444455556666"},
		"a clock off":     {fakeSTS(t, 200, me, time.Now().Add(-10*time.Minute)), "", []Status{OK, Failed}, "user/podid"},
		"refused":         {fakeSTS(t, 403, refused, time.Now()), "", []Status{Failed}, "InvalidClientTokenId"},
		"nobody":          {&aws.Config{Region: "us-west-2", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: aws.String("http://127.0.0.1:1"), RetryMaxAttempts: 1}, "", []Status{Unknown}, "refused"},
		"not asked":       {nil, "", nil, ""},
	} {
		k := &checker{config: CheckConfig{AWS: c.aws, AccountID: c.account, Now: time.Now}, report: &Report{}}
		k.aws(t.Context())
		var got []Status
		said := ""
		for _, check := range k.report.Checks {
			got = append(got, check.Status)
			said += check.Found + check.Do
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || !strings.Contains(said, c.says) {
			t.Errorf("%s: %v, %s", name, got, said)
		}
	}
}
