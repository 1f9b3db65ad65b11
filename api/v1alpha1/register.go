package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The group, and what the resource is called in it.
const (
	Group    = "podid.dev"
	Version  = "v1alpha1"
	Kind     = "PodIdentityAssociation"
	Resource = "podidentityassociations"
)

// GroupVersion is the group and version of this package's types.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme makes this package's types known to scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(), &PodIdentityAssociation{}, &PodIdentityAssociationList{})
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
