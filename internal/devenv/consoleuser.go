package devenv

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
)

// administratorOf is the user of the console: the administrator of each account,
// who asks the EKS API as the AWS CLI does, and whom IAM judges.
type administratorOf struct{ e *environment }

func (administratorOf) Name() string { return administrator }

// ARN is that of the first account's; each account has one.
func (a administratorOf) ARN() string {
	c := a.e.world.Clusters[0].identity()
	return identity.ARN{Partition: identity.Partition(c.Region), Service: "iam", AccountID: c.AccountID, Resource: "user/" + administrator}.String()
}

func (administratorOf) Groups() []string { return nil }

func (administratorOf) Scope(context.Context) (console.Scope, error) {
	return console.Scope{All: true}, nil
}

func (administratorOf) Activity(context.Context) (console.Scope, error) {
	return console.Scope{All: true}, nil
}

func (a administratorOf) May(context.Context, string) (console.May, error) {
	return console.May{Create: true, Update: true, Delete: true, Activity: true, Health: true, Explain: !a.e.config.AWS}, nil
}

// administrator is that of an account, at the small AWS.
func (e *environment) administrator(account, region string) aws.Config {
	k := e.keys.Administrators[account]
	return aws.Config{
		Region: region, BaseEndpoint: &e.url, Credentials: credentials.NewStaticCredentialsProvider(k.ID, k.Secret, ""),
	}
}

func (a administratorOf) api(c identity.Cluster) *eks.Client {
	return eks.NewFromConfig(a.e.administrator(c.AccountID, c.Region))
}

// Create asks the EKS API, which has no dry run.
func (a administratorOf) Create(ctx context.Context, as identity.Association, dryRun bool) (console.Saved, error) {
	if other, there := a.e.indexer.index.Of(as.Cluster.Name, as.Namespace, as.ServiceAccount); there && dryRun {
		return console.Saved{}, identity.Errorf(identity.InUse, "Association already exists: %s", other.ID)
	}
	if dryRun {
		return console.Saved{Association: as}, nil
	}
	in := &eks.CreatePodIdentityAssociationInput{
		ClusterName: &as.Cluster.Name, Namespace: &as.Namespace, ServiceAccount: &as.ServiceAccount, RoleArn: &as.RoleARN,
		TargetRoleArn: given(as.TargetRoleARN), Policy: given(as.Policy), DisableSessionTags: &as.DisableSessionTags, Tags: as.Tags,
	}
	out, err := a.api(as.Cluster).CreatePodIdentityAssociation(ctx, in)
	if err != nil {
		return console.Saved{}, failure(err)
	}
	return a.saved(ctx, as.Cluster, aws.ToString(out.Association.AssociationId))
}

// given is nil for what is not there.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// saved is an association as the store has it.
func (a administratorOf) saved(_ context.Context, c identity.Cluster, id string) (console.Saved, error) {
	r, ok := a.e.indexer.index.Get(id) // it was told before the answer came
	if !ok {
		return console.Saved{}, identity.Errorf(identity.NotFound, "The association %s of cluster %s is gone again.", id, c.Name)
	}
	return console.Saved{Association: r.Association}, nil
}

// Update changes what differs: the tags are changed by operations of their own.
func (a administratorOf) Update(ctx context.Context, before console.Record, as identity.Association, dryRun bool) (console.Saved, error) {
	same := before.RoleARN == as.RoleARN && before.TargetRoleARN == as.TargetRoleARN && before.Policy == as.Policy && before.DisableSessionTags == as.DisableSessionTags
	if same && maps.Equal(before.Tags, as.Tags) {
		return console.Saved{}, identity.Errorf(identity.InvalidRequest, "Nothing is changed.")
	}
	if dryRun {
		return console.Saved{Association: as}, nil
	}
	api, arn := a.api(as.Cluster), as.ARN()
	if !same {
		_, err := api.UpdatePodIdentityAssociation(ctx, &eks.UpdatePodIdentityAssociationInput{
			ClusterName: &as.Cluster.Name, AssociationId: &as.ID, RoleArn: &as.RoleARN, TargetRoleArn: &as.TargetRoleARN, Policy: &as.Policy,
			DisableSessionTags: &as.DisableSessionTags,
		})
		if err != nil {
			return console.Saved{}, failure(err)
		}
	}
	var gone []string
	for key := range before.Tags {
		if _, stays := as.Tags[key]; !stays {
			gone = append(gone, key)
		}
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		if _, err := api.UntagResource(ctx, &eks.UntagResourceInput{ResourceArn: &arn, TagKeys: gone}); err != nil {
			return console.Saved{}, failure(err)
		}
	}
	if len(as.Tags) > 0 && !maps.Equal(before.Tags, as.Tags) {
		if _, err := api.TagResource(ctx, &eks.TagResourceInput{ResourceArn: &arn, Tags: as.Tags}); err != nil {
			return console.Saved{}, failure(err)
		}
	}
	return a.saved(ctx, as.Cluster, as.ID)
}

func (a administratorOf) Delete(ctx context.Context, r console.Record, dryRun bool) error {
	if dryRun {
		return nil
	}
	_, err := a.api(r.Cluster).DeletePodIdentityAssociation(ctx, &eks.DeletePodIdentityAssociationInput{ClusterName: &r.Cluster.Name, AssociationId: &r.ID})
	return failure(err)
}

// exceptions are the kinds that internal/eks makes into AWS's exceptions.
var exceptions = map[string]identity.Kind{
	"InvalidParameterException": identity.InvalidParameter, "InvalidRequestException": identity.InvalidRequest,
	"ResourceNotFoundException": identity.NotFound, "ResourceInUseException": identity.InUse,
	"ResourceLimitExceededException": identity.LimitExceeded, "AccessDeniedException": identity.AccessDenied,
	"ThrottlingException": identity.Throttled, "ServiceUnavailableException": identity.Unavailable,
}

// failure makes the EKS API's error podid's own again.
func failure(err error) error {
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err
	}
	kind, ok := exceptions[e.ErrorCode()]
	if !ok {
		return err
	}
	return identity.Errorf(kind, "%s", e.ErrorMessage()).Because(err)
}

// explain reads each account as its administrator.
func (e *environment) explain(ctx context.Context, q explain.Question) (*explain.Report, error) {
	c := q.Association.Cluster
	explainer, err := explain.New(explain.Config{
		AWS: e.administrator(c.AccountID, c.Region),
		Account: func(_ context.Context, id string) (explain.Access, error) {
			if _, ok := e.keys.Administrators[id]; !ok {
				return explain.Access{}, errors.New("there is no such account in this world")
			}
			access := explain.Access{AWS: e.administrator(id, c.Region), Profile: id}
			if id == c.AccountID {
				access.Profile = "" // of the env file
			}
			return access, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return explainer.Explain(ctx, q)
}
