package kube

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
)

// ID returns the association id of the object with that UID: "a-" and 17 of a-z
// and 2-7. So an object has its id from the start, whoever made it, and one that
// is made anew has a new one.
func ID(uid types.UID) string {
	sum := sha256.Sum256([]byte(uid))
	return "a-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:17])
}

// Association returns what an object says, of the cluster it is in.
func Association(cluster identity.Cluster, o *v1alpha1.PodIdentityAssociation) identity.Association {
	a := identity.Association{
		ID: ID(o.UID), Cluster: cluster, Namespace: o.Namespace, ServiceAccount: o.Name,
		RoleARN: o.Spec.RoleARN, TargetRoleARN: o.Spec.TargetRoleARN,
		DisableSessionTags: o.Spec.DisableSessionTags, Policy: o.Spec.Policy,
		CreatedAt: o.CreationTimestamp.UTC(), ModifiedAt: modified(o),
	}
	if len(o.Spec.Tags) > 0 {
		a.Tags = make(map[string]string, len(o.Spec.Tags))
		for k, v := range o.Spec.Tags {
			a.Tags[k] = string(v)
		}
	}
	if o.Spec.RevokedAt != nil {
		a.RevokedAt = o.Spec.RevokedAt.UTC()
	}
	return a
}

// modifiedAnnotation has the time of the last change through the EKS API. The API
// server's own notes have none of a change that only removes what another wrote.
const modifiedAnnotation = "podid.dev/modified-at"

// modified is when somebody last changed the object itself, not its status: the
// API server notes it beside who changed which fields.
func modified(o *v1alpha1.PodIdentityAssociation) time.Time {
	latest := o.CreationTimestamp.Time
	if noted, err := time.Parse(time.RFC3339Nano, o.Annotations[modifiedAnnotation]); err == nil && noted.After(latest) {
		latest = noted
	}
	for _, entry := range o.ManagedFields {
		if entry.Subresource == "" && entry.Time != nil && entry.Time.After(latest) {
			latest = entry.Time.Time
		}
	}
	return latest.UTC()
}

// Put writes a into an object's spec. Its cluster, id and names are the object's.
func Put(o *v1alpha1.PodIdentityAssociation, a identity.Association) {
	if o.UID != "" && !a.ModifiedAt.Equal(modified(o)) {
		annotate(o, modifiedAnnotation, a.ModifiedAt.UTC().Format(time.RFC3339Nano))
	}
	revokedAt := Revocation(o.Spec.RevokedAt, a.RevokedAt)
	o.Spec = v1alpha1.PodIdentityAssociationSpec{
		RoleARN: a.RoleARN, TargetRoleARN: a.TargetRoleARN,
		DisableSessionTags: a.DisableSessionTags, Policy: a.Policy, RevokedAt: revokedAt,
	}
	if len(a.Tags) > 0 {
		o.Spec.Tags = make(map[string]v1alpha1.TagValue, len(a.Tags))
		for k, v := range a.Tags {
			o.Spec.Tags[k] = v1alpha1.TagValue(v)
		}
	}
}

func annotate(o *v1alpha1.PodIdentityAssociation, key, value string) {
	if o.Annotations == nil {
		o.Annotations = map[string]string{}
	}
	o.Annotations[key] = value
}

// Revocation returns the time to write. Objects have whole seconds: one that is
// not is rounded up, so that nothing from before it is left, and a revocation
// is always later than the one before it.
func Revocation(before *metav1.Time, wanted time.Time) *metav1.Time {
	if wanted.IsZero() {
		return nil
	}
	whole := wanted.Truncate(time.Second)
	if whole.Before(wanted) {
		whole = whole.Add(time.Second)
	}
	if before != nil && !wanted.Equal(before.Time) && !whole.After(before.Time) {
		whole = before.Add(time.Second)
	}
	return &metav1.Time{Time: whole.UTC()}
}
