package rbac

import (
	"strings"

	"github.com/podid/podid/internal/identity"
)

// Group is the API group of all that podid's permissions are about.
const Group = "podid.dev"

// The resources of permissions. Only associations are objects; of clusters and
// IAM roles, RBAC knows the names.
const (
	associations = "podidentityassociations"
	clusters     = "clusters"
	iamRoles     = "iamroles"
	auditEvents  = "auditevents"
)

// ListAuditEvents is the action of whoever reads the audit events of the access's
// namespace, or of the whole cluster.
const ListAuditEvents = "podid:ListAuditEvents"

// permission is what RBAC is asked for.
type permission struct{ verb, resource, namespace, name string }

// unnamed is the permission for all names.
func (p permission) unnamed() permission {
	p.name = ""
	return p
}

// verbs are those of what is done to associations, as the API server asks for
// them when kubectl does the same
// (https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb).
var verbs = map[string]string{
	"eks:CreatePodIdentityAssociation":   "create",
	"eks:DescribePodIdentityAssociation": "get",
	"eks:UpdatePodIdentityAssociation":   "update",
	"eks:DeletePodIdentityAssociation":   "delete",
	"eks:ListPodIdentityAssociations":    "list",
	"eks:TagResource":                    "update",
	"eks:UntagResource":                  "update",
	"eks:ListTagsForResource":            "get",
}

// clusterVerbs are those of what is done to the cluster as a whole.
var clusterVerbs = map[string]string{
	"eks:DescribeCluster":               "get",
	"eks:ListTagsForResource":           "get",
	"eks:ListClusters":                  "list",
	"eks-auth:AssumeRoleForPodIdentity": "assumerole",
}

// permissionOf returns what an access needs. An action that is not known here
// cannot be allowed.
//
// Roles are asked for without a namespace, so that only cluster roles bound for
// the whole cluster give the verb pass. An IAM role belongs to no namespace;
// and whoever may do everything in a namespace, as the tenants of many clusters
// may, would else be able to pass every role of the account.
func permissionOf(access identity.Access) (permission, bool) {
	if access.Action == "iam:PassRole" {
		return permission{verb: "pass", resource: iamRoles, name: access.Resource}, access.Resource != ""
	}
	if access.Action == ListAuditEvents {
		return permission{verb: "list", resource: auditEvents, namespace: access.Namespace}, true
	}
	arn, err := identity.ParseARN(access.Resource)
	kind, name, _ := strings.Cut(arn.Resource, "/")
	onAssociation := err == nil && kind == "podidentityassociation" || access.Action == "eks:CreatePodIdentityAssociation" || access.Action == "eks:ListPodIdentityAssociations"
	if !onAssociation {
		if err != nil || kind != "cluster" {
			name = ""
		}
		verb, known := clusterVerbs[access.Action]
		return permission{verb: verb, resource: clusters, name: name}, known
	}
	verb, known := verbs[access.Action]
	p := permission{verb: verb, resource: associations, namespace: access.Namespace, name: access.ServiceAccount}
	// A name counts within a namespace alone, and when something is created the
	// API server does not ask for one.
	if verb == "create" || p.namespace == "" {
		p.name = ""
	}
	return p, known
}
