package devenv

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/explain"
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

// TestConsoleLifecycle: from the form to the deletion, with what is shown between.
func TestConsoleLifecycle(t *testing.T) {
	info, _ := running(t, Config{})
	in := console.AssociationInput{Namespace: "shop", ServiceAccount: "web",
		RoleARN: "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role", TargetRoleARN: "arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources"}
	var p console.Preview
	if status := consoleCall(t, info, "POST", "/preview", console.PreviewInput{Association: in}, &p); status != http.StatusOK || !p.Valid {
		t.Fatalf("preview %d %+v", status, p)
	}
	// The default world's trust is for another service account.
	if p.Explanation.Report == nil || p.Explanation.Report.Verdict != explain.Refused || len(p.Policies.Forms) != 2 {
		t.Errorf("explanation %+v, policies %+v", p.Explanation, p.Policies)
	}
	if c := p.Explanation.Chain; len(c.Nodes) != 3 || len(c.Arrows) != 2 || c.Arrows[0].Verdict != explain.Allowed || c.Arrows[1].Verdict != explain.Refused ||
		c.Arrows[1].ExternalID == "" || len(c.Arrows[0].Tags) != 6 || len(c.Arrows[1].InheritedTags) != 6 || len(c.Accounts) != 2 || c.Accounts[1].Name != "data account" {
		t.Errorf("chain %+v", c)
	}
	var made console.Association
	if status := consoleCall(t, info, "POST", "/associations", in, &made); status != http.StatusCreated || made.ID == "" {
		t.Fatalf("create %d %+v", status, made)
	}
	var e console.ErrorReply
	if status := consoleCall(t, info, "POST", "/associations", in, &e); status != http.StatusConflict || e.Error.Code != "Conflict" {
		t.Errorf("create twice %d %+v", status, e)
	}
	var page console.AssociationPage
	deadline := time.Now().Add(10 * time.Second)
	for consoleCall(t, info, "GET", "/associations?namespace=shop", nil, &page); page.Items[0].State != console.Failing; {
		if time.Now().After(deadline) {
			t.Fatalf("nobody tried it: %+v", page.Items[0])
		}
		time.Sleep(20 * time.Millisecond)
		consoleCall(t, info, "GET", "/associations?namespace=shop", nil, &page)
	}
	if ask(t, info, "example-cluster", "shop", "web") == "444455556666" {
		t.Error("the role of another service account was given")
	}
	if consoleCall(t, info, "GET", "/associations?namespace=shop", nil, &page); page.Items[0].LastIssued != nil {
		t.Errorf("a refusal counts as given, at %v", page.Items[0].LastIssued)
	}
	var activity console.ActivityPage
	if status := consoleCall(t, info, "GET", "/activity?outcome=refused&namespace=shop", nil, &activity); status != http.StatusOK || len(activity.Items) < 1 {
		t.Errorf("activity %d %+v", status, activity)
	}
	var counts console.Counts
	if status := consoleCall(t, info, "GET", "/activity/counts?buckets=10&from=1m", nil, &counts); status != http.StatusOK || counts.Refused != 1 || len(counts.Buckets) != 10 {
		t.Errorf("counts %d %+v", status, counts)
	}
	// Mended: the one role alone, which trusts the service for everybody.
	in.TargetRoleARN, in.Version, in.Tags = "", made.Version, map[string]string{"team": "shop"}
	var updated console.Association
	if status := consoleCall(t, info, "PUT", "/associations/"+made.ID, in, &updated); status != http.StatusOK || updated.Tags["team"] != "shop" || updated.TargetRoleARN != "" {
		t.Fatalf("update %d %+v", status, updated)
	}
	if status := consoleCall(t, info, "PUT", "/associations/"+made.ID, in, &e); status != http.StatusConflict {
		t.Errorf("an update of an older version: %d %+v", status, e)
	}
	begun := time.Now().Add(-time.Second)
	if got := ask(t, info, "example-cluster", "shop", "web"); got != "111122223333" {
		t.Errorf("the pod got %s", got)
	}
	given := func() {
		t.Helper()
		if consoleCall(t, info, "GET", "/associations?namespace=shop", nil, &page); page.Items[0].LastIssued == nil || page.Items[0].LastIssued.Before(begun) {
			t.Errorf("last issued %v, after %v", page.Items[0].LastIssued, begun)
		}
	}
	given()
	in.Version, in.Tags = updated.Version, nil
	if status := consoleCall(t, info, "PUT", "/associations/"+made.ID, in, &updated); status != http.StatusOK {
		t.Fatalf("update %d %+v", status, updated)
	}
	given() // which an update changes nothing of
	var explained console.Explanation
	if status := consoleCall(t, info, "GET", "/associations/"+made.ID+"/explanation", nil, &explained); status != http.StatusOK || explained.Report.Verdict != explain.Allowed {
		t.Errorf("explanation %d %+v", status, explained)
	}
	var deletion console.Deletion
	if status := consoleCall(t, info, "GET", "/associations/"+made.ID+"/deletion", nil, &deletion); status != http.StatusOK || deletion.Pods.Total != 1 || deletion.CredentialsUntil == nil {
		t.Errorf("deletion %d %+v", status, deletion)
	}
	if status := consoleCall(t, info, "DELETE", "/associations/"+made.ID+"?version="+updated.Version, nil, nil); status != http.StatusOK {
		t.Errorf("delete %d", status)
	}
	consoleCall(t, info, "GET", "/associations?namespace=shop", nil, &page)
	if page.Total != 0 {
		t.Errorf("it is still there: %+v", page)
	}
	var names []string
	consoleCall(t, info, "GET", "/activity?source=console.podid.dev", nil, &activity)
	for _, e := range activity.Items {
		names = append(names, e.Outcome+" "+e.Name)
	}
	want := "admitted DeletePodIdentityAssociation,admitted UpdatePodIdentityAssociation,admitted UpdatePodIdentityAssociation,refused CreatePodIdentityAssociation,admitted CreatePodIdentityAssociation"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("audited %s, want %s", got, want)
	}
}

// TestConsoleRest: every other route has something to say.
func TestConsoleRest(t *testing.T) {
	info, _ := running(t, Config{ConsoleReadOnly: true})
	var page console.AssociationPage
	consoleCall(t, info, "GET", "/associations", nil, &page)
	id := page.Items[0].ID
	for path, want := range map[string]string{
		"/facets?field=account":                    `"value":"444455556666","count":1`,
		"/associations/" + id:                      `"namespace":"default"`,
		"/associations/" + id + "/policies":        `"form":"external-id"`,
		"/associations/" + id + "/pods":            `"known":false`,
		"/associations/" + id + "/events":          `"known":false`,
		"/namespaces":                              `"default"`,
		"/serviceaccounts?namespace=default":       `"associationId":"` + id,
		"/roles?q=aws-resources":                   `"targetRoleOf":1`,
		"/map?role=" + page.Items[0].TargetRoleARN: `"by":"serviceAccount,role"`,
		"/health":  `"verdict":"ok"`,
		"/session": `"readOnly":true`,
	} {
		var text json.RawMessage
		if status := consoleCall(t, info, "GET", path, nil, &text); status != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	var e console.ErrorReply
	for method, path := range map[string]string{"POST": "/associations", "PUT": "/associations/" + id, "DELETE": "/associations/" + id} {
		if status := consoleCall(t, info, method, path, console.AssociationInput{}, &e); status != http.StatusForbidden || e.Error.Code != "ReadOnly" {
			t.Errorf("%s %s: %d %+v", method, path, status, e)
		}
	}
}

// TestConsoleDoor: the console shares its listener with AWS, and neither is in
// the other's way; no page of another name gets to it.
func TestConsoleDoor(t *testing.T) {
	info, _ := running(t, Config{})
	ask := func(path string, change func(*http.Request)) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", info.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	browser := func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") }
	if res := ask("/", browser); res.StatusCode != http.StatusFound || res.Header.Get("Location") != console.Path {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if res := ask(console.Path, browser); res.StatusCode != http.StatusOK || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if res := ask("/", func(*http.Request) {}); res.StatusCode != http.StatusForbidden { // an anonymous ListBuckets
		t.Errorf("AWS answers %s", res.Status)
	}
	for _, path := range []string{console.Path, console.Prefix + "/session"} {
		if res := ask(path, func(r *http.Request) { r.Host = "evil.example" }); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s by another name: %s", path, res.Status)
		}
	}
	// A bucket of that name.
	cfg := aws.Config{Region: "us-west-2", BaseEndpoint: &info.URL, Credentials: credentials.NewStaticCredentialsProvider(
		info.Administrator("444455556666").AccessKeyID, info.Administrator("444455556666").SecretAccessKey.Reveal(), "")}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, key := "console", "api/v1/session"
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "us-west-2"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("hello")}); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if text, err := io.ReadAll(got.Body); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
}
