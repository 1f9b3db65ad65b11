package association

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	rules "github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// edited returns the definition with a change.
func edited(t *testing.T, edit func(spec, status map[string]any)) string {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(definition(t)), &u.Object); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(u.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	properties := func(of string) map[string]any {
		p, found, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", of, "properties")
		if err != nil || !found {
			t.Fatal(of, err)
		}
		return p
	}
	spec, status := properties("spec"), properties("status")
	edit(spec, status)
	for of, p := range map[string]map[string]any{"spec": spec, "status": status} {
		if err := unstructured.SetNestedMap(versions[0].(map[string]any), p, "schema", "openAPIV3Schema", "properties", of, "properties"); err != nil {
			t.Fatal(err)
		}
	}
	if err := unstructured.SetNestedSlice(u.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(u.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUpgradeOfTheDefinition: associations of before go on, a server that runs
// meanwhile hears of every change, and one that is older than the definition
// removes nothing that it does not know.
func TestUpgradeOfTheDefinition(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	c.Apply(t, edited(t, func(spec, status map[string]any) {
		delete(spec, "revokedAt")
		delete(status, "lastIssued")
	}))
	ns := c.Namespace(t, "shop")
	r := running(t, c.Config)
	old, err := r.Create(t.Context(), wanted(ns, "app"), rules.Once{}, unlimited)
	if err != nil {
		t.Fatal(err)
	}

	c.Apply(t, definition(t))
	within(t, 20*time.Second, "what is new can be used", func() error {
		got, err := r.Update(t.Context(), home, old.ID, rules.Once{}, func(a *identity.Association) error { a.RevokedAt = time.Now(); return nil })
		if err != nil || got.RevokedAt.IsZero() || got.ID != old.ID || got.TargetRoleARN != old.TargetRoleARN {
			return fmt.Errorf("%+v, %w", got, err)
		}
		return nil
	})
	heard := func(name string) {
		t.Helper()
		create(t, r.live, object(ns, name))
		within(t, 20*time.Second, "the informer goes on", func() error {
			if _, known := r.Known(ns, name); !known {
				return fmt.Errorf("%s is not known", name)
			}
			return nil
		})
	}
	heard("after")

	c.Apply(t, edited(t, func(spec, _ map[string]any) { spec["ofTheFuture"] = map[string]any{"type": "string"} }))
	future := association(ns, "future")
	future.Object["spec"] = map[string]any{"roleARN": role, "ofTheFuture": "kept"}
	within(t, 20*time.Second, "the newest definition", func() error {
		if err := r.live.Create(t.Context(), future.DeepCopy(), client.DryRunAll); err != nil {
			return err
		}
		dry := future.DeepCopy()
		if err := r.live.Create(t.Context(), dry, client.DryRunAll); err != nil {
			return err
		}
		if _, kept, _ := unstructured.NestedString(dry.Object, "spec", "ofTheFuture"); !kept {
			return fmt.Errorf("the API server still prunes")
		}
		return nil
	})
	if err := r.live.Create(t.Context(), future); err != nil {
		t.Fatal(err)
	}
	heard("after-that")
	a, err := r.Lookup(t.Context(), ns, "future")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Update(t.Context(), home, a.ID, rules.Once{}, func(a *identity.Association) error { a.TargetRoleARN = target; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.live.Get(t.Context(), client.ObjectKeyFromObject(future), future); err != nil {
		t.Fatal(err)
	}
	if value, _, _ := unstructured.NestedString(future.Object, "spec", "ofTheFuture"); value != "kept" {
		t.Errorf("an older server removed a field: %v", future.Object["spec"])
	}
}
