package eks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/identity"
)

const role = "arn:aws:iam::111122223333:role/r"

// anyone may do everything but what refuse names.
type anyone struct{ account, refuse string }

func (a anyone) ARN() string       { return "arn:aws:iam::" + a.account + ":user/u" }
func (a anyone) AccountID() string { return a.account }
func (a anyone) Authorize(_ context.Context, access identity.Access) error {
	if access.Action == a.refuse {
		return identity.Errorf(identity.AccessDenied, "User: %s is not authorized to perform: %s on resource: %s", a.ARN(), access.Action, access.Resource)
	}
	return nil
}

// goodRoles finds fault with the role named bad alone.
type goodRoles struct{}

func (goodRoles) Check(_ context.Context, a identity.Association) error {
	if strings.HasSuffix(a.RoleARN, "/bad") {
		return identity.Errorf(identity.InvalidParameter, "Role provided in the request does not exist")
	}
	return nil
}

// serve runs the API for a caller, with a limit of associations.
func serve(t *testing.T, caller anyone, limit int) (*awseks.Client, string) {
	t.Helper()
	store, err := sqlite.New(sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	service, err := association.New(association.Config{
		Store: store, Roles: goodRoles{}, Limit: limit,
		Clusters: []association.Cluster{{Cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"}, Version: "1.34", Issuer: "https://issuer"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Config{Associations: service, Caller: func(*http.Request) (identity.Caller, error) { return caller, nil }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return awseks.New(awseks.Options{
		Region: "us-west-2", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		RetryMaxAttempts: 3,
	}), server.URL
}

func input(name string) *awseks.CreatePodIdentityAssociationInput {
	return &awseks.CreatePodIdentityAssociationInput{ClusterName: aws.String("c"), Namespace: aws.String("n"), ServiceAccount: &name, RoleArn: aws.String(role)}
}

func TestEveryErrorType(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 1)
	if _, err := api.CreatePodIdentityAssociation(ctx, input("first")); err != nil {
		t.Fatal(err)
	}
	refused, _ := serve(t, anyone{"111122223333", "eks:CreatePodIdentityAssociation"}, 0)
	noPassRole, _ := serve(t, anyone{"111122223333", "iam:PassRole"}, 0)
	foreign, _ := serve(t, anyone{account: "444455556666"}, 0)
	create := func(api *awseks.Client, change func(*awseks.CreatePodIdentityAssociationInput)) error {
		in := input("second")
		change(in)
		_, err := api.CreatePodIdentityAssociation(ctx, in)
		return err
	}
	keep := func(*awseks.CreatePodIdentityAssociationInput) {}
	for name, c := range map[string]struct {
		err    error
		target any
		text   string
	}{
		"in use": {create(api, func(in *awseks.CreatePodIdentityAssociationInput) { in.ServiceAccount = aws.String("first") }), new(*types.ResourceInUseException), "Association already exists: a-"},
		"limit":  {create(api, keep), new(*types.ResourceLimitExceededException), ""},
		"no such role": {create(api, func(in *awseks.CreatePodIdentityAssociationInput) {
			in.RoleArn = aws.String(role[:len(role)-1] + "bad")
		}), new(*types.InvalidParameterException), "Role provided in the request does not exist"},
		"other account": {create(api, func(in *awseks.CreatePodIdentityAssociationInput) {
			in.RoleArn = aws.String("arn:aws:iam::444455556666:role/r")
		}), new(*types.InvalidParameterException), "Cross-account pass role is not allowed"},
		"wildcard":      {create(api, func(in *awseks.CreatePodIdentityAssociationInput) { in.ServiceAccount = aws.String("*") }), new(*types.InvalidParameterException), ""},
		"bad namespace": {create(api, func(in *awseks.CreatePodIdentityAssociationInput) { in.Namespace = aws.String("N") }), new(*types.InvalidParameterException), ""},
		"policy and tags": {create(api, func(in *awseks.CreatePodIdentityAssociationInput) {
			in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[]}`)
		}), new(*types.InvalidParameterException), "disableSessionTags"},
		"aws: tag":        {create(api, func(in *awseks.CreatePodIdentityAssociationInput) { in.Tags = map[string]string{"AWS:x": "y"} }), new(*types.InvalidParameterException), ""},
		"eks denied":      {create(refused, keep), nil, "is not authorized to perform: eks:CreatePodIdentityAssociation"},
		"pass role":       {create(noPassRole, keep), nil, "iam:PassRole"},
		"foreign cluster": {create(foreign, keep), new(*types.ResourceNotFoundException), "No cluster found for name: c"},
	} {
		if c.err == nil || c.target != nil && !errors.As(c.err, c.target) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: %v, want %T with %q", name, c.err, c.target, c.text)
		}
	}
}

func TestUpdate(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 0)
	in := input("s")
	in.TargetRoleArn = aws.String("arn:aws:iam::444455556666:role/t")
	made, err := api.CreatePodIdentityAssociation(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	update := func(change func(*awseks.UpdatePodIdentityAssociationInput)) (*types.PodIdentityAssociation, error) {
		in := &awseks.UpdatePodIdentityAssociationInput{ClusterName: aws.String("c"), AssociationId: made.Association.AssociationId}
		change(in)
		out, err := api.UpdatePodIdentityAssociation(ctx, in)
		if err != nil {
			return nil, err
		}
		return out.Association, nil
	}
	if _, err := update(func(in *awseks.UpdatePodIdentityAssociationInput) {}); !errors.As(err, new(*types.InvalidRequestException)) {
		t.Errorf("nothing changed: %v", err)
	}
	if _, err := update(func(in *awseks.UpdatePodIdentityAssociationInput) { in.RoleArn = aws.String("") }); err == nil || !strings.Contains(err.Error(), "Cross-account pass role is not allowed") {
		t.Errorf("an empty role: %v", err)
	}
	a, err := update(func(in *awseks.UpdatePodIdentityAssociationInput) { in.DisableSessionTags = aws.Bool(true) })
	if err != nil || aws.ToString(a.TargetRoleArn) == "" || aws.ToString(a.RoleArn) != role {
		t.Errorf("what was not named changed: %+v, %v", a, err)
	}
	if !a.ModifiedAt.After(*made.Association.CreatedAt) && !a.ModifiedAt.Equal(*made.Association.CreatedAt) {
		t.Errorf("modified at %v, made at %v", a.ModifiedAt, made.Association.CreatedAt)
	}
	a, err = update(func(in *awseks.UpdatePodIdentityAssociationInput) { in.TargetRoleArn = aws.String("") })
	if err != nil || a.TargetRoleArn != nil || a.ExternalId != nil {
		t.Errorf("after the removal of the target role: %+v, %v", a, err)
	}
}

// TestWire holds the bodies and headers to the letter.
func TestWire(t *testing.T) {
	_, url := serve(t, anyone{account: "111122223333"}, 0)
	ask := func(method, path, body string) (*http.Response, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%s %s: %q: %v", method, path, text, err)
		}
		return res, v
	}
	const path = "/clusters/c/pod-identity-associations"
	res, v := ask("POST", path, `{"namespace":"n","serviceAccount":"s","roleArn":"`+role+`","somethingNew":{"x":[1]}}`)
	a, _ := v["association"].(map[string]any)
	if res.StatusCode != http.StatusOK || res.Header.Get("X-Amzn-Requestid") == "" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if tags, ok := a["tags"].(map[string]any); !ok || len(tags) != 0 || a["disableSessionTags"] != false {
		t.Errorf("tags %v, disableSessionTags %v", a["tags"], a["disableSessionTags"])
	}
	if _, ok := a["createdAt"].(float64); !ok {
		t.Errorf("createdAt %v is not a number", a["createdAt"])
	}
	for _, absent := range []string{"targetRoleArn", "externalId", "policy", "ownerArn"} {
		if _, there := a[absent]; there {
			t.Errorf("%s is there", absent)
		}
	}
	for name, c := range map[string]struct {
		method, path, body, exception string
		status                        int
	}{
		"not JSON":        {"POST", path, `{"namespace":`, "InvalidRequestException", 400},
		"two values":      {"POST", path, `{} {}`, "InvalidRequestException", 400},
		"wrong type":      {"POST", path, `{"namespace":1}`, "InvalidParameterException", 400},
		"over 1 MiB":      {"POST", path, `{"namespace":"` + strings.Repeat("x", 1<<20) + `"}`, "InvalidRequestException", 400},
		"missing":         {"POST", path, ``, "InvalidParameterException", 400},
		"bad page size":   {"GET", path + "?maxResults=0", "", "InvalidParameterException", 400},
		"no number":       {"GET", path + "?maxResults=x", "", "InvalidParameterException", 400},
		"bad token":       {"GET", path + "?nextToken=x", "", "InvalidParameterException", 400},
		"bad query":       {"GET", path + "?namespace=%zz", "", "InvalidRequestException", 400},
		"no cluster":      {"GET", "/clusters/other/pod-identity-associations", "", "ResourceNotFoundException", 404},
		"no association":  {"GET", path + "/a-00000000000000000", "", "ResourceNotFoundException", 404},
		"tags of none":    {"GET", "/tags/arn%3Aaws%3Aeks%3Aus-west-2%3A111122223333%3Apodidentityassociation%2Fc%2Fa-00000000000000000", "", "NotFoundException", 404},
		"tags of garbage": {"GET", "/tags/garbage", "", "BadRequestException", 400},
		"no operation":    {"GET", "/nothing", "", "UnknownOperationException", 404},
	} {
		res, v := ask(c.method, c.path, c.body)
		if res.StatusCode != c.status || res.Header.Get("X-Amzn-Errortype") != c.exception || v["message"] == "" {
			t.Errorf("%s: %s %s %v, want %d %s", name, res.Status, res.Header.Get("X-Amzn-Errortype"), v, c.status, c.exception)
		}
	}
}
