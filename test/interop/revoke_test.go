package interop

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/token/issuer"
	"github.com/podid/podid/test/clients"
)

// anySubject is the target role's trust, open to all service accounts.
const anySubject = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`

// held asks the agent for the credentials of a service account's pod.
func held(t *testing.T, info *devenv.Info, token string) aws.Credentials {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, info.AgentURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", token)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var c struct{ AccessKeyId, SecretAccessKey, Token string }
	if err := json.NewDecoder(answer.Body).Decode(&c); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", answer.Status, err)
	}
	return aws.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.Token}
}

// reads tells whether credentials read the other account's bucket, and what they are told.
func reads(t *testing.T, info *devenv.Info, c aws.Credentials) string {
	t.Helper()
	store := s3.NewFromConfig(aws.Config{Region: info.Cluster.Region, BaseEndpoint: &info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)}, func(o *s3.Options) { o.UsePathStyle = true })
	object, err := store.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("hello.txt")})
	if err != nil {
		return code(err)
	}
	object.Body.Close()
	return "read"
}

// TestRevoke: what podid revoke prints ends the sessions from before, and no
// later one; the agent has new credentials by then.
func TestRevoke(t *testing.T) {
	_, err := exec.LookPath("aws")
	clients.Require(t, "aws", err == nil, "no aws on the PATH")
	binary := podid(t)
	for name, c := range map[string]struct {
		flags  []string
		others string // what sessions of another service account are told
	}{
		"all older sessions": {nil, "AccessDenied"},
		"subject only":       {[]string{"--subject-only"}, "read"},
	} {
		t.Run(name, func(t *testing.T) {
			info, profiles := startWithProfiles(t)
			associate(t, info)
			if _, err := iam.NewFromConfig(as(info, "444455556666")).UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{
				RoleName: aws.String("eks-pod-identity-aws-resources"), PolicyDocument: aws.String(anySubject),
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := eks.NewFromConfig(as(info, "111122223333")).CreatePodIdentityAssociation(t.Context(), &eks.CreatePodIdentityAssociationInput{
				ClusterName: aws.String(cluster), Namespace: aws.String("default"), ServiceAccount: aws.String("other"), RoleArn: aws.String(roleARN), TargetRoleArn: aws.String(targetARN),
			}); err != nil {
				t.Fatal(err)
			}
			token := mint(t, info, demoPod())
			other := mint(t, info, issuer.Request{Namespace: "default", ServiceAccount: "other", PodName: "other-1", NodeName: "node-1"})
			before, others := held(t, info, token), held(t, info, other)
			if got := reads(t, info, before); got != "read" {
				t.Fatalf("before the revocation: %s", got)
			}

			s := clients.NewShell(t, append(info.Env(), profiles))
			began := time.Now()
			commands := s.Run(binary, append([]string{"revoke", "-n", "default", "-s", "demo-app-sa", "-o", "commands"}, c.flags...)...)
			after := held(t, info, token)
			if after.AccessKeyID == before.AccessKeyID {
				t.Error("the agent still hands out the credentials from before")
			}
			t.Logf("new credentials %v after podid revoke was started", time.Since(began).Round(time.Millisecond))
			if got := reads(t, info, before); got != "read" {
				t.Errorf("the old credentials before the policy is put: %s", got)
			}
			if got := held(t, info, other); got.AccessKeyID != others.AccessKeyID {
				t.Error("another service account lost its credentials")
			}
			s.Run("sh", "-c", commands)
			if got := reads(t, info, before); got != "AccessDenied" {
				t.Errorf("the old credentials: %s", got)
			}
			if got := reads(t, info, after); got != "read" {
				t.Errorf("the new credentials: %s", got)
			}
			if got := reads(t, info, others); got != c.others {
				t.Errorf("older credentials of another service account: %s, want %s", got, c.others)
			}

			var said struct {
				RevokedAt time.Time
				Policy    struct{ Account, RoleArn, PolicyName string }
			}
			if err := json.Unmarshal([]byte(s.Run(binary, "revoke", "-n", "default", "-s", "demo-app-sa", "-o", "json")), &said); err != nil {
				t.Fatal(err)
			}
			if said.Policy.Account != "444455556666" || said.Policy.RoleArn != targetARN || said.RevokedAt.Before(began) || said.RevokedAt.Nanosecond() != 0 {
				t.Errorf("%+v", said)
			}
		})
	}
}

func TestRevokeRefuses(t *testing.T) {
	binary := podid(t)
	info := start(t)
	s := clients.NewShell(t, info.Env())
	s.Refused("has no association", binary, "revoke", "-n", "default", "-s", "nobody")
	s.Refused("name the association", binary, "revoke")
	s.Run(binary, "association", "create", "-n", "default", "-s", "demo-app-sa", "--role-arn", roleARN, "--disable-session-tags")
	s.Refused("nothing tells the sessions", binary, "revoke", "-s", "demo-app-sa", "--subject-only")
	elsewhere := clients.NewShell(t, []string{"AWS_REGION=us-west-2", "AWS_ACCESS_KEY_ID=AKIAX", "AWS_SECRET_ACCESS_KEY=x", "PODID_CLUSTER=c"})
	elsewhere.Refused("AWS_ENDPOINT_URL names no podid", binary, "revoke", "-n", "default", "-s", "demo-app-sa")
}
