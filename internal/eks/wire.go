package eks

import (
	"maps"
	"time"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/awswire"
	"github.com/podid/podid/internal/identity"
)

// The shapes of the EKS API (model eks 2017-11-01), as far as associations and
// the description of clusters go.

type createRequest struct {
	Namespace          string            `json:"namespace"`
	ServiceAccount     string            `json:"serviceAccount"`
	RoleARN            string            `json:"roleArn"`
	TargetRoleARN      string            `json:"targetRoleArn"`
	DisableSessionTags bool              `json:"disableSessionTags"`
	Policy             string            `json:"policy"`
	Tags               map[string]string `json:"tags"`
	ClientRequestToken string            `json:"clientRequestToken"`
}

// updateRequest tells an absent member from an empty one.
type updateRequest struct {
	RoleARN            *string `json:"roleArn"`
	TargetRoleARN      *string `json:"targetRoleArn"`
	DisableSessionTags *bool   `json:"disableSessionTags"`
	Policy             *string `json:"policy"`
	ClientRequestToken string  `json:"clientRequestToken"`
}

type associationReply struct {
	Association wireAssociation `json:"association"`
}

type wireAssociation struct {
	ClusterName        string            `json:"clusterName"`
	Namespace          string            `json:"namespace"`
	ServiceAccount     string            `json:"serviceAccount"`
	RoleARN            string            `json:"roleArn"`
	AssociationARN     string            `json:"associationArn"`
	AssociationID      string            `json:"associationId"`
	Tags               map[string]string `json:"tags"` // {} where there are none
	CreatedAt          awswire.Timestamp `json:"createdAt"`
	ModifiedAt         awswire.Timestamp `json:"modifiedAt"`
	OwnerARN           string            `json:"ownerArn,omitempty"`
	DisableSessionTags bool              `json:"disableSessionTags"`
	TargetRoleARN      string            `json:"targetRoleArn,omitempty"`
	ExternalID         string            `json:"externalId,omitempty"`
	Policy             string            `json:"policy,omitempty"`
}

func wire(a identity.Association) associationReply {
	tags := map[string]string{}
	maps.Copy(tags, a.Tags)
	return associationReply{wireAssociation{
		ClusterName: a.Cluster.Name, Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, RoleARN: a.RoleARN,
		AssociationARN: a.ARN(), AssociationID: a.ID, Tags: tags, CreatedAt: awswire.Timestamp(a.CreatedAt), ModifiedAt: awswire.Timestamp(a.ModifiedAt),
		OwnerARN: a.OwnerARN, DisableSessionTags: a.DisableSessionTags, TargetRoleARN: a.TargetRoleARN, ExternalID: a.ExternalID(), Policy: a.Policy,
	}}
}

type revokeReply struct {
	Association wireAssociation   `json:"association"`
	RevokedAt   awswire.Timestamp `json:"revokedAt"`
}

type listReply struct {
	Associations []wireSummary `json:"associations"`
	NextToken    string        `json:"nextToken,omitempty"`
}

type wireSummary struct {
	ClusterName    string `json:"clusterName"`
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	AssociationARN string `json:"associationArn"`
	AssociationID  string `json:"associationId"`
	OwnerARN       string `json:"ownerArn,omitempty"`
}

func summary(a identity.Association) wireSummary {
	return wireSummary{a.Cluster.Name, a.Namespace, a.ServiceAccount, a.ARN(), a.ID, a.OwnerARN}
}

type tagsMessage struct {
	Tags map[string]string `json:"tags"`
}

type clustersReply struct {
	Clusters  []string `json:"clusters"`
	NextToken string   `json:"nextToken,omitempty"`
}

type clusterReply struct {
	Cluster wireCluster `json:"cluster"`
}

type wireCluster struct {
	Name                 string            `json:"name"`
	ARN                  string            `json:"arn"`
	CreatedAt            awswire.Timestamp `json:"createdAt,omitzero"`
	Version              string            `json:"version"`
	Endpoint             string            `json:"endpoint,omitempty"`
	RoleARN              string            `json:"roleArn,omitempty"`
	ResourcesVPCConfig   struct{}          `json:"resourcesVpcConfig"`
	Identity             *wireIdentity     `json:"identity,omitempty"`
	Status               string            `json:"status"`
	CertificateAuthority wireCertificate   `json:"certificateAuthority"`
	PlatformVersion      string            `json:"platformVersion,omitempty"`
	Tags                 map[string]string `json:"tags"`
}

type wireIdentity struct {
	OIDC wireOIDC `json:"oidc"`
}

type wireOIDC struct {
	Issuer string `json:"issuer"`
}

type wireCertificate struct {
	Data string `json:"data,omitempty"`
}

func wireOf(c association.Cluster) clusterReply {
	tags := map[string]string{}
	maps.Copy(tags, c.Tags)
	out := wireCluster{
		Name: c.Name, ARN: c.ARN(), CreatedAt: awswire.Timestamp(c.CreatedAt.Truncate(time.Millisecond)), Version: c.Version, Endpoint: c.Endpoint,
		RoleARN: c.RoleARN, Status: "ACTIVE", CertificateAuthority: wireCertificate{c.CertificateAuthority}, PlatformVersion: c.PlatformVersion, Tags: tags,
	}
	if c.Issuer != "" {
		out.Identity = &wireIdentity{wireOIDC{c.Issuer}}
	}
	return clusterReply{out}
}
