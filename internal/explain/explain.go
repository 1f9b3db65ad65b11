// Package explain turns a chain and the policies along it into "why", and into
// the fix. It reads with ordinary AWS credentials, through the EKS, IAM,
// Organizations and S3 APIs, so it works on EKS, on AWS and on the small AWS
// alike. The judge is internal/policy: explaining is reading its reasons.
package explain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

// Config says what an Explainer reads with.
type Config struct {
	// AWS holds the credentials at hand, the region of the cluster and, where it
	// is not AWS's own, the endpoint. The EKS API is asked with it. Required.
	AWS aws.Config
	// Associations has them. Nil: the EKS API, asked with AWS.
	Associations Associations
	// Kubernetes: associations are custom resources, made with kubectl.
	Kubernetes bool
	// Account returns what to read an account with. Nil: AWS is all there is, and
	// accounts other than its own stay unseen. Profiles makes one for the shared
	// configuration of the AWS CLI.
	Account func(ctx context.Context, id string) (Access, error)
	// FirstHopAs is the ARN of the IAM user or role with which podid assumes Pod
	// Identity roles. "": the service pods.eks.amazonaws.com does it, as on EKS
	// and on the small AWS.
	FirstHopAs string
	// AuthEndpoint is the base URL of the EKS Auth API, to try chains with. "":
	// that of AWS, or else AWS's own.
	AuthEndpoint string
	// Try has the chain made for a token, as an eksauth.Client does, whose errors
	// it has. Nil: the EKS Auth API is asked, at AuthEndpoint.
	Try func(ctx context.Context, token identity.Secret) (*eksauth.Grant, error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Associations is what is asked of the EKS API; AWS's client of it does.
type Associations interface {
	ListPodIdentityAssociations(context.Context, *eks.ListPodIdentityAssociationsInput, ...func(*eks.Options)) (*eks.ListPodIdentityAssociationsOutput, error)
	DescribePodIdentityAssociation(context.Context, *eks.DescribePodIdentityAssociationInput, ...func(*eks.Options)) (*eks.DescribePodIdentityAssociationOutput, error)
	ListClusters(context.Context, *eks.ListClustersInput, ...func(*eks.Options)) (*eks.ListClustersOutput, error)
}

// Access is how to read one account.
type Access struct {
	AWS aws.Config
	// Profile is the AWS CLI's name for it, put into the commands that are to be
	// run there. "": the credentials at hand.
	Profile string
}

// Question says what is to be explained.
type Question struct {
	Cluster        string // name
	Namespace      string
	ServiceAccount string
	// Pod and PodUID are known for one pod alone. "": conditions on them stay open.
	Pod, PodUID string
	// Mutation is what a look at the pod has shown. Nil: nobody looked.
	Mutation *Mutation
	// Association is judged in the place of the one that the EKS API has; it need
	// not exist. Nil: the API's.
	Association *identity.Association
	// Action and Resource are what the pod wants to do with its credentials:
	// "s3:GetObject" and an ARN, or "*" for an action that has no resource. "":
	// only the way to the credentials is explained.
	Action, Resource string
	// Token is a service account token of the pod, to try the chain with. "": it
	// is not tried.
	Token identity.Secret
}

// Explainer explains. It is safe for concurrent use.
type Explainer struct{ config Config }

// New makes an Explainer. It calls nobody.
func New(c Config) (*Explainer, error) {
	if c.AWS.Credentials == nil {
		return nil, errors.New("no AWS credentials: set AWS_PROFILE, or source the env file of podid dev")
	}
	if c.AWS.Region == "" {
		return nil, errors.New("no region: set AWS_REGION, or source the env file of podid dev")
	}
	if c.FirstHopAs != "" {
		if a, err := identity.ParseARN(c.FirstHopAs); err != nil || a.Service != "iam" {
			return nil, fmt.Errorf("%q: want the ARN of the IAM user or role that podid works with", c.FirstHopAs)
		}
	}
	if c.Associations == nil {
		c.Associations = eks.NewFromConfig(c.AWS)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Explainer{config: c}, nil
}

// Explain walks the path that the credentials of a service account take. What
// it cannot read is in the report; its error is for questions that make no sense.
func (e *Explainer) Explain(ctx context.Context, q Question) (*Report, error) {
	if a := q.Association; a != nil {
		q.Cluster, q.Namespace, q.ServiceAccount = a.Cluster.Name, a.Namespace, a.ServiceAccount
	}
	switch {
	case q.Cluster == "":
		return nil, errors.New("no cluster: give --cluster or set PODID_CLUSTER")
	case q.Namespace == "" || q.ServiceAccount == "":
		return nil, errors.New("name the service account: -n NAMESPACE -s SERVICEACCOUNT")
	case (q.Action == "") != (q.Resource == ""):
		return nil, errors.New("--action and --resource go together; --resource '*' is for actions that have none")
	}
	w := &walk{config: e.config, question: q, reader: newReader(e.config), report: &Report{}}
	w.run(ctx)
	w.report.conclude()
	if q.Token != "" {
		w.report.Live = w.tryLive(ctx)
		w.report.settle()
	}
	return w.report, nil
}
