package rolepolicy

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/policy"
)

var update = flag.Bool("update", false, "write the golden files")

func association(change func(*identity.Association)) identity.Association {
	a := identity.Association{
		ID: "a-0123456789abcdefg", Cluster: identity.Cluster{Name: "prod", Region: "eu-central-1", AccountID: "111122223333"},
		Namespace: "shop", ServiceAccount: "orders",
		RoleARN: "arn:aws:iam::111122223333:role/shop/pods", TargetRoleARN: "arn:aws:iam::444455556666:role/orders-data",
	}
	if change != nil {
		change(&a)
	}
	return a
}

func TestGolden(t *testing.T) {
	print := map[string]func(io.Writer, []Policy, Target) error{
		"text": func(w io.Writer, p []Policy, _ Target) error { return Print(w, p) }, "commands.sh": Commands, "terraform.tf": Terraform,
	}
	for name, c := range map[string]struct {
		config Config
		target Target
	}{
		"tags":        {Config{Association: association(nil), Form: Tags}, Target{Region: "eu-central-1"}},
		"external-id": {Config{Association: association(nil), Form: ExternalID}, Target{Region: "eu-central-1", Existing: true, Profiles: map[string]string{"444455556666": "data team"}}},
		"own-identity": {Config{Association: association(func(a *identity.Association) { a.TargetRoleARN = "" }), FirstHopAs: "arn:aws:iam::111122223333:user/podid"},
			Target{Region: "eu-central-1"}},
	} {
		all, err := For(c.config)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			kind := policy.Identity
			if p.Kind == Trust {
				kind = policy.Trust
			}
			if _, err := policy.Parse(kind, string(p.Document)); err != nil {
				t.Errorf("%s: IAM would not take the %s: %v", name, p.Kind, err)
			}
		}
		for format, to := range print {
			var out bytes.Buffer
			if err := to(&out, all, c.target); err != nil {
				t.Fatal(err)
			}
			file := "testdata/" + name + "." + format
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s differs from what is printed; look at it, then go test -update\n%s", file, out.Bytes())
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"cluster:":       {Association: association(func(a *identity.Association) { a.Cluster.Name = "" })},
		"region:":        {Association: association(func(a *identity.Association) { a.Cluster.Region = "" })},
		"namespace":      {Association: association(func(a *identity.Association) { a.ServiceAccount = "" })},
		"roleArn: \"":    {Association: association(func(a *identity.Association) { a.RoleARN = "pods" })},
		"must be in":     {Association: association(func(a *identity.Association) { a.Cluster.AccountID = "999999999999" })},
		"targetRoleArn:": {Association: association(func(a *identity.Association) { a.TargetRoleARN = "arn:aws:iam::444455556666:user/u" })},
		"form:":          {Association: association(func(a *identity.Association) { a.DisableSessionTags = true }), Form: Tags},
		"first hop:":     {Association: association(nil), FirstHopAs: "arn:aws:iam::111122223333:root"},
	} {
		_, err := For(c)
		if identity.KindOf(err) != identity.InvalidParameter || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %q", err, want)
		}
	}
}

// TestPartitions: the target's trust policy names the account in the cluster's
// own partition.
func TestPartitions(t *testing.T) {
	all, err := For(Config{Association: association(func(a *identity.Association) {
		a.Cluster.Region = "cn-north-1"
		a.RoleARN, a.TargetRoleARN = "arn:aws-cn:iam::111122223333:role/pods", "arn:aws-cn:iam::444455556666:role/t"
	})})
	if err != nil {
		t.Fatal(err)
	}
	if text := string(all[2].Document); !strings.Contains(text, `"arn:aws-cn:iam::111122223333:root"`) || strings.Contains(text, `"arn:aws:`) {
		t.Errorf("mixed partitions: %s", text)
	}
}
