package eks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/association"
	"github.com/podid/podid/internal/association/sqlite"
	"github.com/podid/podid/internal/identity"
)

const session = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/<&>"}]}`

var cluster = aws.String("c")

// connect returns the official client of a handler.
func connect(t *testing.T, handler http.Handler) *awseks.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return awseks.New(awseks.Options{
		Region: "us-west-2", BaseEndpoint: &server.URL, RetryMaxAttempts: 3,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
	})
}

func serviceOver(t testing.TB, store association.Store) *association.Service {
	t.Helper()
	service, err := association.New(association.Config{
		Store: store, Roles: goodRoles{},
		Clusters: []association.Cluster{{Cluster: identity.Cluster{Name: "c", Region: "us-west-2", AccountID: "111122223333"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// over makes the API over a store, for a caller who may do everything.
func over(t testing.TB, store association.Store, logger *slog.Logger) http.Handler {
	t.Helper()
	handler, err := New(Config{
		Associations: serviceOver(t, store), Logger: logger,
		Caller: func(*http.Request) (identity.Caller, error) { return anyone{account: "111122223333"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func TestLifeCycle(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 0)
	in := input("app")
	in.TargetRoleArn, in.DisableSessionTags, in.Policy = aws.String("arn:aws:iam::444455556666:role/t"), aws.Bool(true), aws.String(session)
	in.Tags = map[string]string{"stage": "prod"}
	created, err := api.CreatePodIdentityAssociation(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	a := created.Association
	id := aws.ToString(a.AssociationId)
	for member, c := range map[string][2]string{
		"clusterName":        {aws.ToString(a.ClusterName), "c"},
		"namespace":          {aws.ToString(a.Namespace), "n"},
		"serviceAccount":     {aws.ToString(a.ServiceAccount), "app"},
		"roleArn":            {aws.ToString(a.RoleArn), role},
		"targetRoleArn":      {aws.ToString(a.TargetRoleArn), "arn:aws:iam::444455556666:role/t"},
		"associationArn":     {aws.ToString(a.AssociationArn), "arn:aws:eks:us-west-2:111122223333:podidentityassociation/c/" + id},
		"externalId":         {aws.ToString(a.ExternalId), "us-west-2/111122223333/c/n/app"},
		"policy":             {aws.ToString(a.Policy), session},
		"disableSessionTags": {fmt.Sprint(aws.ToBool(a.DisableSessionTags)), "true"},
		"tags":               {fmt.Sprint(a.Tags), "map[stage:prod]"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %q, want %q", member, c[0], c[1])
		}
	}
	if a.OwnerArn != nil || a.CreatedAt == nil || a.ModifiedAt == nil {
		t.Errorf("ownerArn %v, createdAt %v, modifiedAt %v", a.OwnerArn, a.CreatedAt, a.ModifiedAt)
	}

	described, err := api.DescribePodIdentityAssociation(ctx, &awseks.DescribePodIdentityAssociationInput{ClusterName: cluster, AssociationId: &id})
	if err != nil || aws.ToString(described.Association.Policy) != session {
		t.Errorf("described %+v, %v", described, err)
	}
	listed, err := api.ListPodIdentityAssociations(ctx, &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster})
	if err != nil || len(listed.Associations) != 1 || aws.ToString(listed.Associations[0].AssociationId) != id || listed.NextToken != nil {
		t.Errorf("listed %+v, %v", listed, err)
	}
	updated, err := api.UpdatePodIdentityAssociation(ctx, &awseks.UpdatePodIdentityAssociationInput{
		ClusterName: cluster, AssociationId: &id, TargetRoleArn: aws.String(""), Policy: aws.String(""), DisableSessionTags: aws.Bool(false),
	})
	if err != nil || updated.Association.TargetRoleArn != nil || updated.Association.Policy != nil || aws.ToBool(updated.Association.DisableSessionTags) {
		t.Errorf("updated %+v, %v", updated, err)
	}
	deleted, err := api.DeletePodIdentityAssociation(ctx, &awseks.DeletePodIdentityAssociationInput{ClusterName: cluster, AssociationId: &id})
	if err != nil || aws.ToString(deleted.Association.RoleArn) != role {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	_, err = api.DescribePodIdentityAssociation(ctx, &awseks.DescribePodIdentityAssociationInput{ClusterName: cluster, AssociationId: &id})
	if missing, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || aws.ToString(missing.ClusterName) != "c" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestTags(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 0)
	created, err := api.CreatePodIdentityAssociation(ctx, input("app"))
	if err != nil {
		t.Fatal(err)
	}
	arn := created.Association.AssociationArn
	if created.Association.Tags == nil {
		t.Error("tags are missing, want an empty object")
	}
	if _, err := api.TagResource(ctx, &awseks.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b/c d": "ü"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.UntagResource(ctx, &awseks.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "none"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := api.ListTagsForResource(ctx, &awseks.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || !maps.Equal(tags.Tags, map[string]string{"b/c d": "ü"}) {
		t.Errorf("%v, %v", tags, err)
	}
	none := aws.String(aws.ToString(arn)[:len(aws.ToString(arn))-17] + "00000000000000000")
	_, err = api.TagResource(ctx, &awseks.TagResourceInput{ResourceArn: none, Tags: map[string]string{"a": "1"}})
	if !errors.As(err, new(*types.NotFoundException)) {
		t.Errorf("tags of none: %v", err)
	}
	_, err = api.TagResource(ctx, &awseks.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"aws:a": "1"}})
	if !errors.As(err, new(*types.BadRequestException)) {
		t.Errorf("a reserved tag: %v", err)
	}
	_, err = api.UntagResource(ctx, &awseks.UntagResourceInput{ResourceArn: aws.String("garbage"), TagKeys: []string{"a"}})
	if !errors.As(err, new(*types.BadRequestException)) {
		t.Errorf("garbage: %v", err)
	}
}

func TestPages(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 0)
	for i := range 101 {
		if _, err := api.CreatePodIdentityAssociation(ctx, input(fmt.Sprint("sa-", i))); err != nil {
			t.Fatal(err)
		}
	}
	first, err := api.ListPodIdentityAssociations(ctx, &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster})
	if err != nil || len(first.Associations) != 100 || first.NextToken == nil {
		t.Fatalf("a page of the usual size holds %d, next %v, %v", len(first.Associations), first.NextToken, err)
	}
	seen := map[string]bool{}
	pages := awseks.NewListPodIdentityAssociationsPaginator(api, &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster, MaxResults: aws.Int32(7)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Associations {
			seen[aws.ToString(a.ServiceAccount)] = true
		}
	}
	if len(seen) != 101 {
		t.Errorf("the paginator saw %d", len(seen))
	}
	_, err = api.ListPodIdentityAssociations(ctx, &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster, NextToken: first.NextToken, Namespace: aws.String("other")})
	if !errors.As(err, new(*types.InvalidParameterException)) {
		t.Errorf("a token with another filter: %v", err)
	}
	one, err := api.ListPodIdentityAssociations(ctx, &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster, Namespace: aws.String("n"), ServiceAccount: aws.String("sa-7")})
	if err != nil || len(one.Associations) != 1 || one.NextToken != nil {
		t.Errorf("by namespace and service account: %+v, %v", one, err)
	}
}

func TestClusters(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 0)
	listed, err := api.ListClusters(ctx, &awseks.ListClustersInput{})
	if err != nil || fmt.Sprint(listed.Clusters) != "[c]" {
		t.Errorf("%v, %v", listed, err)
	}
	described, err := api.DescribeCluster(ctx, &awseks.DescribeClusterInput{Name: cluster})
	if err != nil {
		t.Fatal(err)
	}
	c := described.Cluster
	if c.Status != types.ClusterStatusActive || aws.ToString(c.Arn) != "arn:aws:eks:us-west-2:111122223333:cluster/c" ||
		aws.ToString(c.Identity.Oidc.Issuer) != "https://issuer" || aws.ToString(c.Version) != "1.34" || c.CertificateAuthority == nil || c.ResourcesVpcConfig == nil {
		t.Errorf("%+v", c)
	}
	if _, err := api.DescribeCluster(ctx, &awseks.DescribeClusterInput{Name: aws.String("nope")}); !errors.As(err, new(*types.ResourceNotFoundException)) ||
		!strings.Contains(err.Error(), "No cluster found for name: nope.") {
		t.Errorf("no such cluster: %v", err)
	}
	foreign, _ := serve(t, anyone{account: "444455556666"}, 0)
	if listed, err := foreign.ListClusters(ctx, &awseks.ListClustersInput{}); err != nil || listed.Clusters == nil || len(listed.Clusters) != 0 {
		t.Errorf("another account lists %+v, %v", listed, err)
	}
}

func TestIdempotency(t *testing.T) {
	ctx := t.Context()
	api, _ := serve(t, anyone{account: "111122223333"}, 0)
	in := input("app")
	in.ClientRequestToken = aws.String("token")
	first, err := api.CreatePodIdentityAssociation(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := api.CreatePodIdentityAssociation(ctx, in)
	if err != nil || aws.ToString(again.Association.AssociationId) != aws.ToString(first.Association.AssociationId) {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	in.ServiceAccount = aws.String("other")
	if _, err := api.CreatePodIdentityAssociation(ctx, in); !errors.As(err, new(*types.InvalidParameterException)) {
		t.Errorf("another request with the token: %v", err)
	}
}

// TestConcurrentClients: of concurrent creates of one service account one wins,
// concurrent replays are one request, and concurrent changes all happen.
func TestConcurrentClients(t *testing.T) {
	store, err := sqlite.New(sqlite.Config{Path: filepath.Join(t.TempDir(), "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	api := connect(t, over(t, store, nil))
	const clients = 24
	all := func(do func(i int) error) (errs []error) {
		errs = make([]error, clients)
		var wait sync.WaitGroup
		for i := range clients {
			wait.Go(func() { errs[i] = do(i) })
		}
		wait.Wait()
		return errs
	}
	won := 0
	for _, err := range all(func(int) error {
		_, err := api.CreatePodIdentityAssociation(t.Context(), input("contested"))
		return err
	}) {
		if err == nil {
			won++
		} else if !errors.As(err, new(*types.ResourceInUseException)) {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}

	var ids sync.Map
	var arn string
	for _, err := range all(func(int) error {
		in := input("replayed")
		in.ClientRequestToken = aws.String("token")
		out, err := api.CreatePodIdentityAssociation(t.Context(), in)
		if err == nil {
			ids.Store(aws.ToString(out.Association.AssociationArn), true)
		}
		return err
	}) {
		if err != nil {
			t.Errorf("a replay: %v", err)
		}
	}
	ids.Range(func(key, _ any) bool {
		if arn != "" {
			t.Errorf("two associations of one token: %s and %s", arn, key)
		}
		arn = key.(string)
		return true
	})

	for i, err := range all(func(i int) error {
		_, err := api.TagResource(t.Context(), &awseks.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{fmt.Sprint("k", i): "v"}})
		return err
	}) {
		// Whoever was overtaken too often is told so, and has changed nothing.
		tags, listErr := api.ListTagsForResource(t.Context(), &awseks.ListTagsForResourceInput{ResourceArn: &arn})
		if listErr != nil {
			t.Fatal(listErr)
		}
		_, set := tags.Tags[fmt.Sprint("k", i)]
		if throttled := code(err) == "ThrottlingException"; set != (err == nil) || err != nil && !throttled {
			t.Errorf("tag %d: set %v, %v", i, set, err)
		}
	}
	deleted := 0
	for _, err := range all(func(int) error {
		_, err := api.DeletePodIdentityAssociation(t.Context(), &awseks.DeletePodIdentityAssociationInput{ClusterName: cluster, AssociationId: aws.String(arn[strings.LastIndex(arn, "/")+1:])})
		return err
	}) {
		if err == nil {
			deleted++
		} else if !errors.As(err, new(*types.ResourceNotFoundException)) {
			t.Errorf("a late delete: %v", err)
		}
	}
	if deleted != 1 {
		t.Errorf("deleted %d times", deleted)
	}
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// broken is a store that fails.
type broken struct {
	association.Store
	err error
}

func (b broken) Find(context.Context, association.Query) ([]identity.Association, error) {
	return nil, b.err
}

// TestFailuresOfOurOwn: the caller learns the kind, the log the cause.
func TestFailuresOfOurOwn(t *testing.T) {
	cause := errors.New("disk /dev/secret is gone")
	for exception, err := range map[string]error{
		"ServerException":             identity.Errorf(identity.Internal, "association database").Because(cause),
		"ServiceUnavailableException": identity.Errorf(identity.Unavailable, "Try again.").Because(cause),
		"InternalFailure":             cause,
	} {
		var log bytes.Buffer
		api := connect(t, over(t, broken{err: err}, slog.New(slog.NewTextHandler(&log, nil))))
		_, got := api.ListPodIdentityAssociations(t.Context(), &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster})
		if code(got) != exception || strings.Contains(got.Error(), "secret") {
			t.Errorf("%v, want %s without its cause", got, exception)
		}
		if !strings.Contains(log.String(), "/dev/secret") || !strings.Contains(log.String(), "request_id=") {
			t.Errorf("the log says %q", log.String())
		}
	}
	api := connect(t, over(t, broken{err: identity.Errorf(identity.Throttled, "Slower.")}, nil))
	_, err := api.ListPodIdentityAssociations(t.Context(), &awseks.ListPodIdentityAssociationsInput{ClusterName: cluster})
	if !errors.As(err, new(*types.ThrottlingException)) && code(err) != "ThrottlingException" {
		t.Errorf("throttled: %v", err)
	}
}
