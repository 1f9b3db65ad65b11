package interop

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/eksauth"
	eksauthtypes "github.com/aws/aws-sdk-go-v2/service/eksauth/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/token/issuer"
)

// as returns the configuration of an account's administrator.
func as(info *devenv.Info, account string) aws.Config {
	c := info.Administrator(account)
	return aws.Config{
		Region: info.Cluster.Region, BaseEndpoint: &info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), ""),
	}
}

func mint(t *testing.T, info *devenv.Info, r issuer.Request) string {
	t.Helper()
	token, err := info.Issuers[cluster].Mint(r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func demoPod() issuer.Request {
	return issuer.Request{Namespace: "default", ServiceAccount: "demo-app-sa", PodName: "app-1", NodeName: "node-1"}
}

func associate(t *testing.T, info *devenv.Info) *ekstypes.PodIdentityAssociation {
	t.Helper()
	out, err := eks.NewFromConfig(as(info, "111122223333")).CreatePodIdentityAssociation(t.Context(), &eks.CreatePodIdentityAssociationInput{
		ClusterName: aws.String(cluster), Namespace: aws.String("default"), ServiceAccount: aws.String("demo-app-sa"),
		RoleArn: aws.String(roleARN), TargetRoleArn: aws.String(targetARN),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Association
}

// pod returns the configuration that a program inside the pod finds by itself.
func pod(t *testing.T, info *devenv.Info) aws.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(mint(t, info, demoPod())), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", info.AgentURL)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
	t.Setenv("AWS_REGION", info.Cluster.Region)
	t.Setenv("AWS_ENDPOINT_URL", info.URL)
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

func TestGoPodReadsOtherAccount(t *testing.T) {
	info := start(t)
	associate(t, info)
	cfg := pod(t, info)
	id, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*id.Arn, targetSTS) || *id.Account != "444455556666" {
		t.Errorf("the pod is %s of account %s", *id.Arn, *id.Account)
	}
	store := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	object, err := store.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("hello.txt")})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	if text, err := io.ReadAll(object.Body); err != nil || !strings.HasPrefix(string(text), "Hello") {
		t.Errorf("read %q, %v", text, err)
	}
	for what, err := range map[string]error{
		"put": second(store.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("x"), Body: strings.NewReader("x")})),
		"iam": second(iam.NewFromConfig(cfg).ListRoles(t.Context(), &iam.ListRolesInput{})),
	} {
		if code(err) != "AccessDenied" {
			t.Errorf("%s: %v, want AccessDenied", what, err)
		}
	}
	// A target role's session is chained: an hour at most.
	own, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if life := time.Until(own.Expires); life > time.Hour || life < 50*time.Minute {
		t.Errorf("the credentials live %s, want up to an hour", life)
	}
}

func second[T any](_ T, err error) error { return err }

func TestGoEKSAuthErrors(t *testing.T) {
	info := start(t)
	associate(t, info)
	api := eksauth.NewFromConfig(as(info, "111122223333"))
	exchange := func(cluster, token string) error {
		_, err := api.AssumeRoleForPodIdentity(t.Context(), &eksauth.AssumeRoleForPodIdentityInput{ClusterName: &cluster, Token: &token})
		return err
	}
	if err := exchange(cluster, mint(t, info, demoPod())); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	change := func(f func(*issuer.Request)) string {
		r := demoPod()
		f(&r)
		return mint(t, info, r)
	}
	for name, c := range map[string]struct {
		token  string
		target any
	}{
		"expired":         {change(func(r *issuer.Request) { r.NotBefore = time.Now().Add(-25 * time.Hour) }), new(*eksauthtypes.ExpiredTokenException)},
		"not yet valid":   {change(func(r *issuer.Request) { r.NotBefore = time.Now().Add(time.Hour) }), new(*eksauthtypes.InvalidTokenException)},
		"other audience":  {change(func(r *issuer.Request) { r.Audiences = []string{"sts.amazonaws.com"} }), new(*eksauthtypes.InvalidTokenException)},
		"without a pod":   {change(func(r *issuer.Request) { r.PodName = "" }), new(*eksauthtypes.InvalidTokenException)},
		"no association":  {change(func(r *issuer.Request) { r.ServiceAccount = "other" }), new(*eksauthtypes.ResourceNotFoundException)},
		"other signature": {mint(t, info, demoPod()) + "AAAA", new(*eksauthtypes.InvalidTokenException)},
	} {
		if err := exchange(cluster, c.token); !errors.As(err, c.target) {
			t.Errorf("%s: %v, want %T", name, err, c.target)
		}
	}
	if err := exchange("no-such-cluster", mint(t, info, demoPod())); !errors.As(err, new(*eksauthtypes.ResourceNotFoundException)) {
		t.Errorf("unknown cluster: %v", err)
	}
	if err := second(eksauth.NewFromConfig(as(info, "444455556666")).AssumeRoleForPodIdentity(t.Context(),
		&eksauth.AssumeRoleForPodIdentityInput{ClusterName: aws.String(cluster), Token: aws.String(mint(t, info, demoPod()))})); err == nil {
		t.Error("an administrator of another account was answered")
	}
}

func TestGoAgentRefuses(t *testing.T) {
	info := start(t)
	provider := endpointcreds.New(info.AgentURL, func(o *endpointcreds.Options) { o.AuthorizationToken = mint(t, info, demoPod()) })
	_, err := provider.Retrieve(t.Context())
	if code(err) != "ResourceNotFoundException" {
		t.Errorf("without an association: %v", err)
	}
}

func TestGoAssociationLifeCycle(t *testing.T) {
	info := start(t)
	api := eks.NewFromConfig(as(info, "111122223333"))
	a := associate(t, info)
	if aws.ToString(a.ExternalId) != external || a.Tags == nil || aws.ToBool(a.DisableSessionTags) {
		t.Errorf("made %+v", a)
	}
	for i := range 5 {
		if _, err := api.CreatePodIdentityAssociation(t.Context(), &eks.CreatePodIdentityAssociationInput{
			ClusterName: aws.String(cluster), Namespace: aws.String("paging"), ServiceAccount: aws.String("sa-" + strconv.Itoa(i)), RoleArn: aws.String(roleARN),
		}); err != nil {
			t.Fatal(err)
		}
	}
	pages := eks.NewListPodIdentityAssociationsPaginator(api, &eks.ListPodIdentityAssociationsInput{
		ClusterName: aws.String(cluster), Namespace: aws.String("paging"), MaxResults: aws.Int32(2)})
	var sizes []int
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page.Associations))
	}
	if len(sizes) != 3 || sizes[0] != 2 || sizes[2] != 1 {
		t.Errorf("pages of %v, want 2, 2, 1", sizes)
	}
	for name, c := range map[string]struct {
		err    error
		target any
	}{
		"in use": {second(api.CreatePodIdentityAssociation(t.Context(), &eks.CreatePodIdentityAssociationInput{
			ClusterName: aws.String(cluster), Namespace: aws.String("default"), ServiceAccount: aws.String("demo-app-sa"), RoleArn: aws.String(roleARN)})), new(*ekstypes.ResourceInUseException)},
		"not found": {second(api.DescribePodIdentityAssociation(t.Context(), &eks.DescribePodIdentityAssociationInput{
			ClusterName: aws.String(cluster), AssociationId: aws.String("a-00000000000000000")})), new(*ekstypes.ResourceNotFoundException)},
		"invalid parameter": {second(api.ListPodIdentityAssociations(t.Context(), &eks.ListPodIdentityAssociationsInput{
			ClusterName: aws.String(cluster), MaxResults: aws.Int32(101)})), new(*ekstypes.InvalidParameterException)},
		"other account": {second(eks.NewFromConfig(as(info, "444455556666")).DescribeCluster(t.Context(), &eks.DescribeClusterInput{
			Name: aws.String(cluster)})), new(*ekstypes.ResourceNotFoundException)},
		"tagging": {second(api.ListTagsForResource(t.Context(), &eks.ListTagsForResourceInput{
			ResourceArn: aws.String(strings.Replace(*a.AssociationArn, *a.AssociationId, "a-00000000000000000", 1))})), new(*ekstypes.NotFoundException)},
	} {
		if !errors.As(c.err, c.target) {
			t.Errorf("%s: %v, want %T", name, c.err, c.target)
		}
	}
	if _, err := api.DeletePodIdentityAssociation(t.Context(), &eks.DeletePodIdentityAssociationInput{ClusterName: a.ClusterName, AssociationId: a.AssociationId}); err != nil {
		t.Error(err)
	}
}

// TestGoOneWins lets many create the association of one service account at once.
func TestGoOneWins(t *testing.T) {
	info := start(t)
	api := eks.NewFromConfig(as(info, "111122223333"))
	const callers = 20
	errs := make([]error, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			_, errs[i] = api.CreatePodIdentityAssociation(context.Background(), &eks.CreatePodIdentityAssociationInput{
				ClusterName: aws.String(cluster), Namespace: aws.String("race"), ServiceAccount: aws.String("one"), RoleArn: aws.String(roleARN)})
		})
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.As(err, new(*ekstypes.ResourceInUseException)) {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, callers)
	}
}
