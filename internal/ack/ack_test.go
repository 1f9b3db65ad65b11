package ack_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/podid/podid/internal/ack"
	"github.com/podid/podid/internal/identity"
)

var home = identity.Cluster{Name: "example-cluster", Region: "us-west-2", AccountID: "111122223333"}

func read(text string) (identity.Association, bool, error) {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	if err := json.Unmarshal([]byte(text), &o.Object); err != nil {
		return identity.Association{}, false, err
	}
	return ack.Association(home, o)
}

func TestObjectsOfACK(t *testing.T) {
	const start = `{"metadata":{"namespace":"shop","name":"any"},"spec":{"clusterName":"example-cluster","serviceAccount":"app"`
	for name, c := range map[string]struct {
		text, want string // want: the association, or the error's text, or nothing for another cluster's
		ours       bool
	}{
		"all":               {start + `,"namespace":"shop","roleARN":"r","targetRoleARN":"t","disableSessionTags":true,"policy":"p","tags":{"k":"v"}}}`, "shop app r t true p map[k:v]", true},
		"least":             {start + `,"namespace":"shop","roleARN":"r"}}`, "shop app r  false  map[]", true},
		"another namespace": {start + `,"namespace":"kube-system","roleARN":"r"}}`, "namespace of the object, shop", true},
		"a reference":       {start + `,"namespace":"shop","roleRef":{"from":{"name":"x"}}}}`, "use roleARN", true},
		"a wrong type":      {start + `,"namespace":"shop","roleARN":5}}`, "not that of an association", true},
		"another cluster":   {`{"metadata":{"namespace":"shop"},"spec":{"clusterName":"other","namespace":"x"}}`, "", false},
		"a cluster by name": {`{"metadata":{"namespace":"shop"},"spec":{"clusterRef":{"from":{"name":"x"}}}}`, "", false},
		"nothing":           {`{}`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			a, ours, err := read(c.text)
			got := fmt.Sprint(a.Namespace, " ", a.ServiceAccount, " ", a.RoleARN, " ", a.TargetRoleARN, " ", a.DisableSessionTags, " ", a.Policy, " ", a.Tags)
			if err != nil {
				got = identity.SafeMessage(err)
			}
			if ours != c.ours || ours && !strings.Contains(got, c.want) {
				t.Errorf("ours %t, %s", ours, got)
			}
		})
	}
}

// FuzzObjects: what is no association is an error, and never somebody else's.
func FuzzObjects(f *testing.F) {
	f.Add(`{"metadata":{"namespace":"shop"},"spec":{"clusterName":"example-cluster","namespace":"shop","serviceAccount":"app","tags":{"a":null}}}`)
	f.Add(`{"metadata":[],"spec":{"clusterName":"example-cluster","namespace":5}}`)
	f.Add(`{"spec":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var object map[string]any
		if json.Unmarshal([]byte(text), &object) != nil {
			return
		}
		o := &unstructured.Unstructured{Object: object}
		a, ours, err := ack.Association(home, o)
		if ours && err == nil && (a.Namespace != o.GetNamespace() || a.Cluster != home) {
			t.Errorf("%s: %+v", text, a)
		}
	})
}
