// Package rolepolicy writes the policies that the roles of an association
// need, in the two forms that the EKS user guide publishes. It is pure.
package rolepolicy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/podid/podid/internal/identity"
)

// Form is how a target role tells one association from another
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html).
type Form int

const (
	// Auto: Tags, or ExternalID where session tags are off.
	Auto Form = iota
	// Tags: by the session tags of cluster, namespace and service account.
	Tags
	// ExternalID: by the external ID.
	ExternalID
)

// Config says for whom the policies are, and in which form.
type Config struct {
	// Association need not exist. Cluster, Namespace, ServiceAccount and
	// RoleARN are required.
	Association identity.Association
	Form        Form
	// FirstHopAs is the ARN of the IAM user or role with which podid assumes the
	// Pod Identity role. "": the service pods.eks.amazonaws.com does it, as on
	// EKS and on the small AWS.
	FirstHopAs string
}

// Kind is what a policy is on its role.
type Kind string

// The kinds of policies.
const (
	Trust      Kind = "trust policy"
	Permission Kind = "permission policy"
)

// Policy is one policy of one role.
type Policy struct {
	Account  string          `json:"account"`
	RoleARN  string          `json:"roleArn"`
	Role     string          `json:"role"` // "Pod Identity role" or "target role"
	Kind     Kind            `json:"kind"`
	Name     string          `json:"policyName,omitempty"` // of an inline policy
	Document json.RawMessage `json:"document"`
}

// PermissionName is the name of the inline policy that lets the Pod Identity
// role go on to the target role.
const PermissionName = "assume-target-role"

// For returns the policies: one, or three where there is a target role. Its
// error is an *identity.Error, InvalidParameter, that names the field.
func For(c Config) ([]Policy, error) {
	a := c.Association
	first, err := identity.ParseRoleARN(a.RoleARN)
	switch {
	case a.Cluster.Name == "":
		return nil, identity.Errorf(identity.InvalidParameter, "cluster: the policies name it, and none is given.")
	case a.Cluster.Region == "":
		return nil, identity.Errorf(identity.InvalidParameter, "region: the policies name the cluster's ARN, and its region is not given.")
	case a.Namespace == "" || a.ServiceAccount == "":
		return nil, identity.Errorf(identity.InvalidParameter, "namespace and service account: the policies name both, and one is not given.")
	case err != nil:
		return nil, identity.Errorf(identity.InvalidParameter, "roleArn: %.256q is not the ARN of an IAM role.", a.RoleARN)
	case first.AccountID != a.Cluster.AccountID:
		return nil, identity.Errorf(identity.InvalidParameter, "roleArn: the Pod Identity role must be in the cluster's account, %s; it is in %s.", a.Cluster.AccountID, first.AccountID)
	case c.Form == Tags && a.DisableSessionTags:
		return nil, identity.Errorf(identity.InvalidParameter, "form: without session tags a target role cannot ask for them. Use the external-ID form.")
	}
	if c.Form == Auto {
		c.Form = Tags
		if a.DisableSessionTags {
			c.Form = ExternalID
		}
	}
	trust, err := firstTrust(c)
	if err != nil {
		return nil, err
	}
	out := []Policy{{Account: first.AccountID, RoleARN: a.RoleARN, Role: "Pod Identity role", Kind: Trust, Document: trust}}
	if a.TargetRoleARN == "" {
		return out, nil
	}
	target, err := identity.ParseRoleARN(a.TargetRoleARN)
	if err != nil {
		return nil, identity.Errorf(identity.InvalidParameter, "targetRoleArn: %.256q is not the ARN of an IAM role.", a.TargetRoleARN)
	}
	return append(out,
		Policy{Account: first.AccountID, RoleARN: a.RoleARN, Role: "Pod Identity role", Kind: Permission, Name: PermissionName, Document: permission(a)},
		Policy{Account: target.AccountID, RoleARN: a.TargetRoleARN, Role: "target role", Kind: Trust, Document: targetTrust(a, c.Form)},
	), nil
}

// document is a policy in the order in which people write them.
type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  string                       `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

func (d document) text() json.RawMessage {
	d.Version = "2012-10-17"
	for i := range d.Statement {
		d.Statement[i].Effect = cmp.Or(d.Statement[i].Effect, "Allow")
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil // strings alone: it cannot fail
	}
	return text
}

// Both permissions go together: a session with tags cannot be had without the second.
var assumeAndTag = []string{"sts:AssumeRole", "sts:TagSession"}

// firstTrust lets the service assume the role for this cluster alone
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html#cross-service-confused-deputy-prevention),
// or an IAM identity of podid's own.
func firstTrust(c Config) (json.RawMessage, error) {
	cluster := c.Association.Cluster
	if c.FirstHopAs == "" {
		return document{Statement: []statement{{
			Sid: "AllowEksAuthToAssumeRoleForPodIdentity", Principal: map[string]string{"Service": identity.ServicePrincipal}, Action: assumeAndTag,
			Condition: map[string]map[string]string{
				"StringEquals": {"aws:SourceAccount": cluster.AccountID},
				"ArnEquals":    {"aws:SourceArn": cluster.ARN()},
			},
		}}}.text(), nil
	}
	a, err := identity.ParseARN(c.FirstHopAs)
	kind, _, _ := strings.Cut(a.Resource, "/")
	if err != nil || a.Service != "iam" || kind != "role" && kind != "user" {
		return nil, identity.Errorf(identity.InvalidParameter, "first hop: %.256q is not the ARN of the IAM user or role that podid works with.", c.FirstHopAs)
	}
	return document{Statement: []statement{{
		Sid: "AllowPodidToAssumeRoleForPodIdentity", Principal: map[string]string{"AWS": c.FirstHopAs}, Action: assumeAndTag,
	}}}.text(), nil
}

// permission lets the Pod Identity role go on to the target role
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html).
func permission(a identity.Association) json.RawMessage {
	return document{Statement: []statement{{Sid: "AllowAssumeTargetRole", Action: assumeAndTag, Resource: a.TargetRoleARN}}}.text()
}

// targetTrust names the account as the principal and the role in a condition,
// as the guide does: so the trust survives when the role is made anew. The
// statement for TagSession, which the guide leaves open to the account in the
// external-ID form, has that condition too.
func targetTrust(a identity.Association, form Form) json.RawMessage {
	root := map[string]string{"AWS": fmt.Sprintf("arn:%s:iam::%s:root", identity.Partition(a.Cluster.Region), a.Cluster.AccountID)}
	role := map[string]string{"aws:PrincipalArn": a.RoleARN}
	if form == Tags {
		return document{Statement: []statement{{
			Sid: "AllowPodIdentityRole", Principal: root, Action: assumeAndTag,
			Condition: map[string]map[string]string{
				"StringEquals": {
					"aws:RequestTag/eks-cluster-arn":            a.Cluster.ARN(),
					"aws:RequestTag/kubernetes-namespace":       a.Namespace,
					"aws:RequestTag/kubernetes-service-account": a.ServiceAccount,
				},
				"ArnEquals": role,
			},
		}}}.text()
	}
	assume := statement{
		Sid: "AllowPodIdentityRole", Principal: root, Action: []string{"sts:AssumeRole"},
		Condition: map[string]map[string]string{"StringEquals": {"sts:ExternalId": a.ExternalID()}, "ArnEquals": role},
	}
	tag := statement{
		Sid: "AllowSessionTags", Principal: root, Action: []string{"sts:TagSession"},
		Condition: map[string]map[string]string{"ArnEquals": role},
	}
	return document{Statement: []statement{assume, tag}}.text()
}
