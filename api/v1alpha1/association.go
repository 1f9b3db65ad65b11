package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The comments of the fields are what kubectl explain shows. The rules are those
// of internal/association, as far as a schema can say them: it holds also while
// podid does not run. What it lets through must be decodable, or one object
// would stop every list of them.

// A PodIdentityAssociation gives the pods of one service account credentials of
// an AWS role. Its name and namespace are those of the service account, so that
// a service account has one association at most. Whoever creates or changes it
// needs the verb "pass" on "iamroles.podid.dev" for the roles that it names.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pia,categories=podid
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.spec.roleARN`,description="The Pod Identity role"
// +kubebuilder:printcolumn:name="Target role",type=string,JSONPath=`.spec.targetRoleARN`,description="The target role"
// +kubebuilder:printcolumn:name="External ID",type=string,JSONPath=`.status.externalID`,description="For the trust policy of the target role"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="A pod made now gets it"
// +kubebuilder:printcolumn:name="Verified",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="ChainVerified")].status`,description="AWS let podid assume the roles"
// +kubebuilder:printcolumn:name="Last issued",type=date,priority=1,JSONPath=`.status.lastIssued`,description="When credentials were last given"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PodIdentityAssociation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which roles the service account's pods get, and how.
	Spec PodIdentityAssociationSpec `json:"spec"`
	// What podid knows of the association. It is podid's to write.
	Status PodIdentityAssociationStatus `json:"status,omitempty"`
}

// PodIdentityAssociationSpec says which roles the service account's pods get, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.policy) || self.policy.size() == 0 || self.disableSessionTags",message="PackedPolicyTooLarge: policy needs disableSessionTags to be true. Set it, or remove the policy."
// +kubebuilder:validation:XValidation:rule="!has(self.targetRoleARN) || self.targetRoleARN.size() == 0 || self.targetRoleARN.split(':', 3)[1] == self.roleARN.split(':', 3)[1]",message="targetRoleARN has to be in the partition of roleARN."
type PodIdentityAssociationSpec struct {
	// The ARN of the Pod Identity role, which is in the cluster's own account.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^arn:[^:]+:iam::[0-9]{12}:role/([!-~]{0,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$')",message="roleARN is not the ARN of an IAM role: want arn:aws:iam::111122223333:role/NAME"
	RoleARN string `json:"roleARN"`

	// The ARN of the target role, in any account, whose credentials then reach
	// the pod: podid assumes it with the Pod Identity role, and sends the
	// external ID that the status shows. Without it, the pod gets credentials of
	// the Pod Identity role.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.matches('^arn:[^:]+:iam::[0-9]{12}:role/([!-~]{0,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$')",message="targetRoleARN is not the ARN of an IAM role: want arn:aws:iam::111122223333:role/NAME"
	TargetRoleARN string `json:"targetRoleARN,omitempty"`

	// Whether to leave out the session tags of cluster, namespace, service
	// account and pod, which are sent otherwise.
	//
	// +optional
	// +kubebuilder:default=false
	DisableSessionTags bool `json:"disableSessionTags"`

	// A session policy, in IAM's JSON, that narrows the role whose credentials
	// reach the pod. It needs disableSessionTags.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Policy string `json:"policy,omitempty"`

	// Tags of the association itself, as the EKS API shows them. They are no
	// session tags.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=50
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() > 0 && k.size() <= 128)",message="A tag key has 1-128 characters."
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('aws:'))",message="A tag key has no aws: in front."
	Tags map[string]TagValue `json:"tags,omitempty"`

	// Credentials made before this time are not used any more, wherever they are
	// kept. `podid revoke` sets it.
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$`
	RevokedAt *metav1.Time `json:"revokedAt,omitempty"`
}

// TagValue is the value of a tag.
//
// +kubebuilder:validation:MaxLength=256
type TagValue string

// The conditions of an association.
const (
	// ConditionReady: the rules hold and podid's servers have the association, so
	// that a pod made now gets it.
	ConditionReady = "Ready"
	// ConditionChainVerified: the roles were assumed, and the credentials thrown away.
	ConditionChainVerified = "ChainVerified"
)

// PodIdentityAssociationStatus is what podid knows of the association.
type PodIdentityAssociationStatus struct {
	// The association's id in the EKS API.
	//
	// +optional
	AssociationID string `json:"associationID,omitempty"`

	// The association's ARN in the EKS API.
	//
	// +optional
	AssociationARN string `json:"associationARN,omitempty"`

	// What podid sends as sts:ExternalId when it assumes the target role. The
	// target role's trust policy should ask for it.
	//
	// +optional
	ExternalID string `json:"externalID,omitempty"`

	// The generation of the spec that this status is about.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// When credentials were last given for the association, to some minutes.
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$`
	LastIssued *metav1.Time `json:"lastIssued,omitempty"`

	// Ready: a pod made now gets the association. ChainVerified: AWS let podid
	// assume the roles; if False, its message has AWS's answer and the hop.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
}

// Condition is Kubernetes' own condition, whose schema lets times through that
// clients cannot read.
type Condition struct {
	// Ready or ChainVerified.
	//
	// +required
	// +kubebuilder:validation:MaxLength=316
	Type string `json:"type"`

	// True, False or Unknown.
	//
	// +required
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status"`

	// The generation of the spec that this condition is about.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// When the status last changed.
	//
	// +required
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$`
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`

	// Why, in one word, for programs.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`

	// Why, in words.
	//
	// +required
	// +kubebuilder:validation:MaxLength=32768
	Message string `json:"message"`
}

// PodIdentityAssociationList is a list of associations.
//
// +kubebuilder:object:root=true
type PodIdentityAssociationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []PodIdentityAssociation `json:"items"`
}
