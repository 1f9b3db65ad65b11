package association

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/ack"
	"github.com/podid/podid/internal/association/kube"
	"github.com/podid/podid/internal/controller"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// The definition of ACK's resource, as far as podid reads and writes it.
const ackDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podidentityassociations.eks.services.k8s.aws}
spec:
  group: eks.services.k8s.aws
  scope: Namespaced
  names: {kind: PodIdentityAssociation, plural: podidentityassociations}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [namespace, serviceAccount]
            properties:
              clusterName: {type: string}
              namespace: {type: string}
              serviceAccount: {type: string}
              roleARN: {type: string}
              targetRoleARN: {type: string}
              disableSessionTags: {type: boolean}
              tags: {type: object, additionalProperties: {type: string}}
          status:
            type: object
            properties:
              associationARN: {type: string}
              associationID: {type: string}
              ackResourceMetadata:
                type: object
                required: [ownerAccountID, region]
                properties: {arn: {type: string}, ownerAccountID: {type: string}, region: {type: string}}
              conditions:
                type: array
                items:
                  type: object
                  required: [status, type]
                  properties:
                    lastTransitionTime: {type: string, format: date-time}
                    message: {type: string}
                    reason: {type: string}
                    status: {type: string}
                    type: {type: string}
`

func ackObject(ns, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(ack.Kind())
	u.SetNamespace(ns)
	u.SetName(name)
	all := map[string]any{"clusterName": home.Name, "namespace": ns, "roleARN": role, "targetRoleARN": target}
	for k, v := range spec {
		all[k] = v
	}
	u.Object["spec"] = all
	return u
}

// TestACK: manifests for EKS with ACK give pods their roles here.
func TestACK(t *testing.T) {
	c := start(t, cluster.Newest)
	c.Apply(t, ackDefinition)
	ns := c.Namespace(t, "shop")
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: everything, namespace: `+ns+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
`)
	judged(t, c)
	r := running(t, c.User(t, server))
	controlled(t, c.User(t, server), r, controller.Config{ACK: true})
	k, alice := as(t, c.Config), as(t, c.User(t, "alice"))

	triesACKIsJudged(t, k, alice, ns)
	made := ackObject(ns, "shop-app", map[string]any{"serviceAccount": "app", "tags": map[string]any{"team": "a"}})
	if err := k.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	o := object(ns, "app")
	awaitObject(t, k, o, "the association", func() bool { return o.Spec.TargetRoleARN == target && o.Spec.Tags["team"] == "a" })
	told := func(what string, so func(status map[string]any) bool) {
		t.Helper()
		within(t, 20*time.Second, what, func() error {
			if err := k.Get(t.Context(), client.ObjectKeyFromObject(made), made); err != nil {
				return err
			}
			status, _, err := unstructured.NestedMap(made.Object, "status")
			if err == nil && !so(status) {
				err = fmt.Errorf("the status is %v", status)
			}
			return err
		})
	}
	told("ACK's status", func(status map[string]any) bool {
		return status["associationID"] == kube.ID(o.UID) && strings.Contains(fmt.Sprint(status["conditions"]), "status:True type:ACK.ResourceSynced")
	})

	t.Run("changed", func(t *testing.T) {
		if err := patchACK(t, k, made, `{"spec":{"targetRoleARN":"arn:aws:iam::444455556666:role/other"}}`); err != nil {
			t.Fatal(err)
		}
		awaitObject(t, k, o, "the change", func() bool { return o.Spec.TargetRoleARN == "arn:aws:iam::444455556666:role/other" })
	})
	t.Run("changed here", func(t *testing.T) {
		if err := k.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"targetRoleARN":null,"revokedAt":"2026-11-25T12:00:00Z"}}`))); err != nil {
			t.Fatal(err)
		}
		awaitObject(t, k, o, "it is put right, but stays revoked", func() bool {
			return o.Spec.TargetRoleARN == "arn:aws:iam::444455556666:role/other" && o.Spec.RevokedAt != nil
		})
	})
	t.Run("another service account", func(t *testing.T) {
		if err := patchACK(t, alice, made, `{"spec":{"serviceAccount":"stolen"}}`); err == nil || !strings.Contains(err.Error(), "the verb pass") {
			t.Errorf("alice moved the roles: %v", err)
		}
		if err := patchACK(t, k, made, `{"spec":{"serviceAccount":"app2"}}`); err != nil {
			t.Fatal(err)
		}
		awaitObject(t, k, object(ns, "app2"), "the other's", func() bool { return true })
		awaitNone(t, k, object(ns, "app"))
	})
	t.Run("one that is there", func(t *testing.T) {
		create(t, k, object(ns, "by-hand", func(s *v1alpha1.PodIdentityAssociationSpec) { s.TargetRoleARN = "" }))
		if err := patchACK(t, k, made, `{"spec":{"serviceAccount":"by-hand"}}`); err != nil {
			t.Fatal(err)
		}
		told("it is refused", func(status map[string]any) bool {
			return strings.Contains(fmt.Sprint(status["conditions"]), "Association already exists: a-")
		})
		hand := object(ns, "by-hand")
		awaitObject(t, k, hand, "it is left alone", func() bool { return hand.Spec.TargetRoleARN == "" && len(hand.OwnerReferences) == 0 })
	})
	t.Run("of another cluster", func(t *testing.T) {
		if err := alice.Create(t.Context(), ackObject(ns, "elsewhere", map[string]any{"clusterName": "other", "serviceAccount": "elsewhere"})); err != nil {
			t.Errorf("it is not podid's to judge: %v", err)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		if err := patchACK(t, k, made, `{"spec":{"serviceAccount":"app3"}}`); err != nil {
			t.Fatal(err)
		}
		awaitObject(t, k, object(ns, "app3"), "the association", func() bool { return true })
		if err := k.Delete(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		awaitNone(t, k, object(ns, "app3"))
		awaitNone(t, k, object(ns, "elsewhere"))
	})
}

// triesACKIsJudged: one way around PassRole would be as bad as none.
func triesACKIsJudged(t *testing.T, k, alice client.Client, ns string) {
	t.Helper()
	within(t, 20*time.Second, "alice is judged", func() error {
		err := alice.Create(t.Context(), ackObject(ns, "hers", map[string]any{"serviceAccount": "hers"}))
		if err == nil || !strings.Contains(err.Error(), "the verb pass on iamroles.podid.dev named "+role) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	if err := k.Create(t.Context(), ackObject(ns, "far", map[string]any{"serviceAccount": "app", "namespace": "kube-system"})); err == nil || !strings.Contains(err.Error(), "namespace of the object") {
		t.Errorf("reached into another namespace: %v", err)
	}
}

func patchACK(t *testing.T, k client.Client, o *unstructured.Unstructured, body string) error {
	return k.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
}

func awaitObject(t *testing.T, k client.Client, o *v1alpha1.PodIdentityAssociation, what string, so func() bool) {
	t.Helper()
	awaitStatus(t, k, o, what, so)
}

func awaitNone(t *testing.T, k client.Client, o *v1alpha1.PodIdentityAssociation) {
	t.Helper()
	within(t, 20*time.Second, o.Name+" has no association", func() error {
		err := k.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		if client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Errorf("%+v, %w", o.Spec, err)
		}
		return nil
	})
}
