package association

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// TestSchema runs with both releases, as the languages of schemas grow.
func TestSchema(t *testing.T) {
	for _, release := range []cluster.Release{cluster.Newest, cluster.Older} {
		t.Run(string(release), func(t *testing.T) {
			c := start(t, release)
			ns := c.Namespace(t, "shop")
			k := as(t, c.Config)
			t.Run("rules", func(t *testing.T) { triesRules(t, k, ns) })
			t.Run("decodable", func(t *testing.T) { triesWhatIsAcceptedCanBeRead(t, k, ns) })
			t.Run("columns", func(t *testing.T) { triesColumns(t, c.Client(t), ns) })
			t.Run("explain", func(t *testing.T) { triesExplain(t, c.Client(t)) })
		})
	}
}

// triesRules: what the schema says holds also while podid does not run.
func triesRules(t *testing.T, k client.Client, ns string) {
	tags := func(n int) map[string]any {
		all := map[string]any{}
		for i := range n {
			all[fmt.Sprint("key", i)] = "value"
		}
		return all
	}
	for name, c := range map[string]struct {
		spec map[string]any
		want string // empty: accepted
	}{
		"one role":             {map[string]any{"roleARN": role}, ""},
		"two roles":            {map[string]any{"roleARN": role, "targetRoleARN": target}, ""},
		"empty target":         {map[string]any{"roleARN": role, "targetRoleARN": "", "policy": ""}, ""},
		"everything":           {map[string]any{"roleARN": role, "targetRoleARN": target, "disableSessionTags": true, "policy": narrow, "tags": tags(50), "revokedAt": "2026-11-25T12:00:00Z"}, ""},
		"longest path":         {map[string]any{"roleARN": "arn:aws:iam::111122223333:role/" + strings.Repeat("p", 510) + "/" + strings.Repeat("n", 64)}, ""},
		"no spec":              {nil, "spec: Required"},
		"no role":              {map[string]any{"targetRoleARN": target}, "roleARN"},
		"empty role":           {map[string]any{"roleARN": ""}, "roleARN"},
		"no ARN":               {map[string]any{"roleARN": "app"}, "not the ARN of an IAM role"},
		"a user":               {map[string]any{"roleARN": "arn:aws:iam::111122223333:user/app"}, "not the ARN of an IAM role"},
		"target is no ARN":     {map[string]any{"roleARN": role, "targetRoleARN": "arn:aws:iam::1:role/x"}, "targetRoleARN is not the ARN of an IAM role"},
		"another partition":    {map[string]any{"roleARN": role, "targetRoleARN": "arn:aws-cn:iam::444455556666:role/x"}, "in the partition of roleARN"},
		"policy with tags":     {map[string]any{"roleARN": role, "policy": narrow}, "PackedPolicyTooLarge"},
		"policy too long":      {map[string]any{"roleARN": role, "disableSessionTags": true, "policy": strings.Repeat("x", 2049)}, "2048"},
		"too many tags":        {map[string]any{"roleARN": role, "tags": tags(51)}, "50"},
		"empty key":            {map[string]any{"roleARN": role, "tags": map[string]any{"": "x"}}, "1-128 characters"},
		"long key":             {map[string]any{"roleARN": role, "tags": map[string]any{strings.Repeat("k", 129): "x"}}, "1-128 characters"},
		"reserved key":         {map[string]any{"roleARN": role, "tags": map[string]any{"aws:x": "x"}}, "no aws: in front"},
		"long value":           {map[string]any{"roleARN": role, "tags": map[string]any{"k": strings.Repeat("v", 257)}}, "256"},
		"number for a string":  {map[string]any{"roleARN": int64(5)}, "roleARN"},
		"nothing for a string": {map[string]any{"roleARN": nil}, "roleARN"},
	} {
		t.Run(name, func(t *testing.T) {
			u := association(ns, "app")
			if c.spec != nil {
				u.Object["spec"] = c.spec
			}
			err := k.Create(t.Context(), u, client.DryRunAll)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err == nil {
				if _, found, _ := unstructured.NestedBool(u.Object, "spec", "disableSessionTags"); !found {
					t.Error("disableSessionTags has no default")
				}
			}
		})
	}
}

func association(ns, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind(v1alpha1.Kind))
	u.SetNamespace(ns)
	u.SetName(name)
	return u
}

// triesWhatIsAcceptedCanBeRead: one object that cannot be decoded would stop
// every list, and so everybody's associations. Whoever may write a status in
// their own namespace tries.
func triesWhatIsAcceptedCanBeRead(t *testing.T, k client.Client, ns string) {
	times := []string{
		`"2026-11-25T12:00:00Z"`, `"2026-11-25T12:00:00.123456789+05:30"`, `"2026-11-25t12:00:00z"`, `"2026-11-25T12:00:00"`, `"2026-11-25 12:00:00Z"`,
		`"2026-11-25"`, `"2026-02-30T12:00:00Z"`, `"2026-11-25T24:00:00Z"`, `"2026-11-25T12:60:00Z"`, `"2026-11-25T12:00:60Z"`, `"2026-11-25T12:00:00.Z"`,
		`"2026-11-25T12:00:00+99:99"`, `"2026-11-25T12:00:00,5Z"`, `"0000-01-01T00:00:00Z"`, `"9999-12-31T23:59:59-14:00"`, `"0000-01-01T00:00:00+14:00"`, `""`, `null`, `0`, `{}`,
	}
	numbers := []string{`0`, `-1`, `1e3`, `1.0`, `1.5`, `9007199254740991`, `9223372036854775807`, `9223372036854775808`, `1e300`, `"1"`, `null`}
	bodies := map[string]string{}
	for _, at := range times {
		bodies["revokedAt "+at] = `{"spec":{"revokedAt":` + at + `}}`
		bodies["lastIssued "+at] = `{"status":{"lastIssued":` + at + `}}`
		bodies["lastTransitionTime "+at] = `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"R","message":"","lastTransitionTime":` + at + `}]}}`
	}
	for _, n := range numbers {
		bodies["observedGeneration "+n] = `{"status":{"observedGeneration":` + n + `}}`
		bodies["observedGeneration of a condition "+n] = `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"R","message":"","lastTransitionTime":"2026-11-25T12:00:00Z","observedGeneration":` + n + `}]}}`
	}
	for i, body := range []string{`{"spec":{"tags":{"k":null}}}`, `{"spec":{"tags":{"k":5}}}`, `{"spec":{"tags":[]}}`, `{"spec":{"disableSessionTags":null}}`, `{"spec":{"disableSessionTags":"yes"}}`,
		`{"spec":{"more":{"unknown":[]}}}`, `{"status":{"conditions":null}}`, `{"status":{"conditions":[null]}}`, `{"status":{"conditions":{}}}`, `{"status":null}`, `{"status":[]}`,
		`{"status":{"conditions":[{"type":"X","status":"Maybe","reason":"R","message":"","lastTransitionTime":"2026-11-25T12:00:00Z"}]}}`} {
		bodies[fmt.Sprint("body ", i)] = body
	}
	accepted := 0
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			o := create(t, k, object(ns, "hostile"))
			defer func() {
				if err := k.Delete(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}()
			var err error
			if strings.HasPrefix(body, `{"status"`) {
				err = k.Status().Patch(t.Context(), association(ns, "hostile"), client.RawPatch(types.MergePatchType, []byte(body)))
			} else {
				err = k.Patch(t.Context(), association(ns, "hostile"), client.RawPatch(types.MergePatchType, []byte(body)))
			}
			if err == nil {
				accepted++
			}
			if err := k.List(t.Context(), &v1alpha1.PodIdentityAssociationList{}); err != nil {
				t.Errorf("accepted, and then nobody can list associations: %v", err)
			}
		})
	}
	if accepted < 5 || accepted > len(bodies)/2 {
		t.Errorf("%d of %d were accepted: the test tries nothing", accepted, len(bodies))
	}
}

// triesColumns: what kubectl get shows.
func triesColumns(t *testing.T, k *kubernetes.Clientset, ns string) {
	raw, err := k.RESTClient().Get().AbsPath("/apis/podid.dev/v1alpha1/namespaces/"+ns+"/podidentityassociations").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range table.ColumnDefinitions {
		if c.Priority == 0 {
			names = append(names, c.Name)
		}
	}
	if got, want := strings.Join(names, ", "), "Name, Role, Target role, External ID, Ready, Age"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// triesExplain: kubectl explain has words for every field, and kubectl get pia works.
func triesExplain(t *testing.T, k *kubernetes.Clientset) {
	raw, err := k.RESTClient().Get().AbsPath("/openapi/v3/apis/podid.dev/v1alpha1").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Description string            `json:"description"`
		Properties  map[string]schema `json:"properties"`
		Items       *schema           `json:"items"`
	}
	var root schema
	if err := json.Unmarshal(document.Components.Schemas["dev.podid.v1alpha1.PodIdentityAssociation"], &root); err != nil {
		t.Fatal(err)
	}
	fields := 0
	var walk func(path string, s schema)
	walk = func(path string, s schema) {
		fields++
		if s.Description == "" {
			t.Errorf("kubectl explain has no words for %s", path)
		}
		for name, p := range s.Properties {
			if path != "pia" || name == "spec" || name == "status" {
				walk(path+"."+name, p)
			}
		}
		if s.Items != nil && s.Items.Properties != nil {
			walk(path+"[]", *s.Items)
		}
	}
	walk("pia", root)
	if fields < 20 {
		t.Errorf("only %d fields were seen", fields)
	}
	resources, err := k.Discovery().ServerResourcesForGroupVersion("podid.dev/v1alpha1")
	if err != nil || len(resources.APIResources[0].ShortNames) != 1 || resources.APIResources[0].ShortNames[0] != "pia" {
		t.Errorf("%+v, %v", resources, err)
	}
}
