// Package v1alpha1 is the API group podid.dev in its first version: the custom
// resource that binds a service account to AWS roles.
//
// +kubebuilder:object:generate=true
// +groupName=podid.dev
package v1alpha1
