package devenv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/eks"
)

// schema is a JSON Schema, as far as docs/audit.schema.json goes.
type schema struct {
	Type       string
	Format     string
	Enum       []string
	Properties map[string]schema
	Required   []string
	Items      *schema
}

// faults says what is wrong with a value. What the schema does not name is wrong
// too: later versions may have more, but this is the one that it is of.
func (s schema) faults(at string, value any) (all []string) {
	switch v := value.(type) {
	case map[string]any:
		if s.Type != "object" {
			return []string{at + " is an object"}
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				all = append(all, at+" lacks "+name)
			}
		}
		for name, member := range v {
			if inner, ok := s.Properties[name]; ok {
				all = append(all, inner.faults(at+"."+name, member)...)
			} else if s.Properties != nil {
				all = append(all, at+"."+name+" is not in the schema")
			}
		}
	case []any:
		if s.Type != "array" {
			return []string{at + " is an array"}
		}
		for _, item := range v {
			all = append(all, s.Items.faults(at+"[]", item)...)
		}
	case string:
		if s.Type != "string" || s.Enum != nil && !slices.Contains(s.Enum, v) {
			all = append(all, fmt.Sprintf("%s is %q", at, v))
		}
		if _, err := time.Parse(time.RFC3339, v); s.Format == "date-time" && err != nil {
			all = append(all, fmt.Sprintf("%s is no time: %q", at, v))
		}
	case bool:
		if s.Type != "boolean" {
			all = append(all, at+" is a boolean")
		}
	case float64:
		if s.Type != "integer" {
			all = append(all, at+" is a number")
		}
	default:
		all = append(all, fmt.Sprintf("%s is %v", at, v))
	}
	return all
}

// TestEventsAreOfTheSchema: those of every kind, as the data folder keeps them.
func TestEventsAreOfTheSchema(t *testing.T) {
	folder := t.TempDir()
	info, stop := running(t, Config{DataDir: folder})
	cluster := aws.String("example-cluster")
	if got := ask(t, info, *cluster, "default", "demo-app-sa"); got != "444455556666" {
		t.Fatal(got)
	}
	if got := ask(t, info, *cluster, "default", "nobody"); got != "ResourceNotFoundException" {
		t.Fatal(got)
	}
	own := info.Administrator("111122223333")
	keys := credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey.Reveal(), "")
	api := awseks.New(awseks.Options{BaseEndpoint: &info.URL, Region: "us-west-2", Credentials: keys})
	made, err := api.CreatePodIdentityAssociation(t.Context(), &awseks.CreatePodIdentityAssociationInput{
		ClusterName: cluster, Namespace: aws.String("default"), ServiceAccount: aws.String("second"), Tags: map[string]string{"k": "v"},
		RoleArn: aws.String("arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"),
	})
	if err != nil {
		t.Fatal(err)
	}
	id, arn := made.Association.AssociationId, made.Association.AssociationArn
	_, failure := api.CreatePodIdentityAssociation(t.Context(), &awseks.CreatePodIdentityAssociationInput{ClusterName: cluster, Namespace: aws.String("NO"), ServiceAccount: id, RoleArn: arn})
	if failure == nil {
		t.Error("made")
	}
	_, updated := api.UpdatePodIdentityAssociation(t.Context(), &awseks.UpdatePodIdentityAssociationInput{ClusterName: cluster, AssociationId: id, DisableSessionTags: aws.Bool(true)})
	_, tagged := api.TagResource(t.Context(), &awseks.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "b"}})
	_, untagged := api.UntagResource(t.Context(), &awseks.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}})
	_, revoked := eks.Revoke(t.Context(), aws.Config{BaseEndpoint: &info.URL, Region: "us-west-2", Credentials: keys}, *cluster, *id)
	_, deleted := api.DeletePodIdentityAssociation(t.Context(), &awseks.DeletePodIdentityAssociationInput{ClusterName: cluster, AssociationId: id})
	for _, err := range []error{updated, tagged, untagged, revoked, deleted} {
		if err != nil {
			t.Error(err)
		}
	}
	stop()

	var s schema
	text, err := os.ReadFile("../../docs/audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "audit.jsonl")
	if text, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		var value map[string]any
		if err := json.Unmarshal(line, &value); err != nil {
			t.Fatal(err)
		}
		for _, fault := range s.faults("event", value) {
			t.Errorf("%s\n%s", fault, line)
		}
		seen[fmt.Sprint(value["eventName"], " ", value["outcome"])] = true
	}
	want := []string{
		"AssumeRoleForPodIdentity granted", "AssumeRoleForPodIdentity refused", "CreatePodIdentityAssociation admitted", "CreatePodIdentityAssociation refused",
		"DeletePodIdentityAssociation admitted", "PassRole granted", "RevokePodIdentityAssociation admitted", "TagResource admitted", "UntagResource admitted",
		"UpdatePodIdentityAssociation admitted",
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("seen %v, want %v", got, want)
	}
	head, err := audit.NotedHead(path)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := audit.Verify([]string{path}, head); err != nil || v.Fault != nil || v.Lines == 0 {
		t.Errorf("%+v, %v", v, err)
	}
}
