// Package ack reads the associations of AWS Controllers for Kubernetes, so that
// manifests that were written for EKS with ACK work unchanged
// (https://aws-controllers-k8s.github.io/community/reference/eks/v1alpha1/podidentityassociation).
package ack

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/podid/podid/internal/identity"
)

// Group is the API group of ACK's EKS controller.
const Group = "eks.services.k8s.aws"

// Kind is ACK's kind of associations.
func Kind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: Group, Version: "v1alpha1", Kind: "PodIdentityAssociation"}
}

// spec is what an object of ACK says. Its references are to objects of ACK's
// other controllers.
type spec struct {
	ClusterName        string            `json:"clusterName"`
	DisableSessionTags bool              `json:"disableSessionTags"`
	Namespace          string            `json:"namespace"`
	Policy             string            `json:"policy"`
	RoleARN            string            `json:"roleARN"`
	RoleRef            map[string]any    `json:"roleRef"`
	ServiceAccount     string            `json:"serviceAccount"`
	Tags               map[string]string `json:"tags"`
	TargetRoleARN      string            `json:"targetRoleARN"`
}

// Association returns what an object says, without an id. ours is false for
// those of other clusters, which are ACK's own controller's to see to.
func Association(cluster identity.Cluster, o *unstructured.Unstructured) (a identity.Association, ours bool, err error) {
	said, _, err := unstructured.NestedMap(o.Object, "spec")
	if err != nil {
		return a, false, identity.Errorf(identity.InvalidParameter, "spec is no object.").Because(err)
	}
	if name, _, _ := unstructured.NestedString(said, "clusterName"); name != cluster.Name {
		return a, false, nil
	}
	var s spec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(said, &s); err != nil {
		return a, true, identity.Errorf(identity.InvalidParameter, "spec is not that of an association.").Because(err)
	}
	a = identity.Association{
		Cluster: cluster, Namespace: s.Namespace, ServiceAccount: s.ServiceAccount, RoleARN: s.RoleARN, TargetRoleARN: s.TargetRoleARN,
		DisableSessionTags: s.DisableSessionTags, Policy: s.Policy, Tags: s.Tags,
	}
	switch {
	case s.RoleRef != nil:
		return a, true, identity.Errorf(identity.InvalidParameter, "roleRef names an object of ACK's IAM controller, which podid does not ask: use roleARN.")
	// Whoever may write objects in one namespace would else bind the service accounts of all.
	case s.Namespace != o.GetNamespace():
		return a, true, identity.Errorf(identity.InvalidParameter, "spec.namespace has to be the namespace of the object, %s.", o.GetNamespace())
	}
	return a, true, nil
}
