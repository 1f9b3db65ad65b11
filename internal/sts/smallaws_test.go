package sts_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/podid/podid/internal/awssim"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/issue"
	"github.com/podid/podid/internal/sts"
)

const (
	mayAssume = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Resource":"*"}]}`
	mayLook   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},
		"Action":"iam:GetRole","Resource":"arn:aws:iam::${aws:SourceAccount}:role/*"}]}`
	// formA and formB are the two trust policies of
	// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html.
	formA = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},
		"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{
		"aws:RequestTag/eks-cluster-arn":"` + clusterID + `","aws:RequestTag/kubernetes-namespace":"default",
		"aws:RequestTag/kubernetes-service-account":"app"},"ArnEquals":{"aws:PrincipalARN":"` + roleARN + `"}}}]}`
	formB = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole","Condition":{
		"StringEquals":{"sts:ExternalId":"us-west-2/111122223333/example-cluster/default/app"},"ArnEquals":{"aws:PrincipalARN":"` + roleARN + `"}}},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:TagSession"}]}`
)

// trust returns a trust policy for the Pod Identity role.
func trust(principal, actions, condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + `,"Condition":` + condition + `}]}`
}

const (
	theService = `{"Service":"pods.eks.amazonaws.com"}`
	podidUser  = `{"AWS":"arn:aws:iam::999988887777:user/podid"}`
	both       = `["sts:AssumeRole","sts:TagSession"]`
	forCluster = `{"StringEquals":{"aws:SourceAccount":"111122223333"},"ArnEquals":{"aws:SourceArn":"` + clusterID + `"}}`
	forApp     = `{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"default","aws:RequestTag/kubernetes-service-account":"app"}}`
)

// smallAWS serves an AWS with a Pod Identity role and a target role, a key of
// the service, and a user podid in an account of its own.
func smallAWS(t *testing.T, roleTrust, targetTrust string) string {
	t.Helper()
	sim, err := awssim.New(awssim.Config{
		World: awssim.World{Accounts: []awssim.Account{
			{ID: "999988887777", Users: []awssim.User{{
				Name: "podid", InlinePolicies: map[string]string{"assume": mayAssume},
				AccessKeys: []awssim.AccessKey{{ID: "AKIAPODIDPODIDPODID1", Secret: secretKey}},
			}}},
			{ID: "111122223333", Roles: []awssim.Role{{
				Name: "pod-identity", Path: "/eks/", TrustPolicy: roleTrust, InlinePolicies: map[string]string{"assume": mayAssume},
			}}},
			{ID: "444455556666", Roles: []awssim.Role{{Name: "target", TrustPolicy: targetTrust}}},
		}},
		ServiceKeys: []awssim.ServiceKey{{
			AccessKeyID: "AKIASERVICEPODIDENTI", Secret: secretKey, Service: identity.ServicePrincipal, Policy: mayLook,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return server.URL
}

func smallConfig(url string, hop sts.FirstHop) sts.Config {
	c := configFor(url, hop)
	c.Timeout = 30 * time.Second // of what a busy machine needs, the tests are no judge
	key := map[sts.FirstHop]string{sts.Service: "AKIASERVICEPODIDENTI", sts.Identity: "AKIAPODIDPODIDPODID1"}[hop]
	c.AWS.Credentials = credentials.NewStaticCredentialsProvider(key, secretKey, "")
	return c
}

// follow makes the hops of a chain and returns the last session.
func follow(t *testing.T, a *sts.Assumer, hops []identity.Hop) (session identity.Session, err error) {
	t.Helper()
	var with *identity.Credentials
	for _, hop := range hops {
		if session, err = a.AssumeRole(t.Context(), with, hop); err != nil {
			return session, err
		}
		with = &session.Credentials
	}
	return session, nil
}

func TestChainsThroughTheSmallAWS(t *testing.T) {
	pod := identity.Subject{Namespace: "default", ServiceAccount: "app", PodName: "app-0", PodUID: "8c4b1e9e-5b64-4a3f-9d55-9a5ae2b0a111"}
	for _, test := range []struct {
		name              string
		as                sts.FirstHop
		roleTrust, target string
		change            func(*identity.Association)
		allowed           bool
	}{
		{"tags", sts.Service, trust(theService, both, forCluster), formA, nil, true},
		{"tags, as an identity of podid's own", sts.Identity, trust(podidUser, both, forApp), formA, nil, true},
		{"external ID", sts.Service, trust(theService, both, forCluster), formB, func(a *identity.Association) { a.DisableSessionTags = true }, true},
		{"external ID, tags on", sts.Service, trust(theService, both, forCluster), formB, nil, true},
		{"tags, but another cluster", sts.Service, trust(theService, both, forCluster), formA, func(a *identity.Association) { a.Cluster.Name = "other" }, false},
		{"tags, but disabled", sts.Service, trust(theService, both, forCluster), formA, func(a *identity.Association) { a.DisableSessionTags = true }, false},
		{"external ID of another service account", sts.Service, trust(theService, both, forCluster), formB, func(a *identity.Association) { a.ServiceAccount = "other" }, false},
		{"the service is not trusted", sts.Service, trust(podidUser, both, forApp), formA, nil, false},
		{"podid's own identity is not trusted", sts.Identity, trust(theService, both, forCluster), formA, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := asked
			a.TargetRoleARN = targetARN
			if test.change != nil {
				test.change(&a)
			}
			url := smallAWS(t, test.roleTrust, test.target)
			session, err := follow(t, newAssumer(t, smallConfig(url, test.as)), issue.Chain(a, pod, "8dbbcff5-9716-40c5-a474-c01c3190deeb"))
			if !test.allowed {
				if identity.KindOf(err) != identity.AccessDenied {
					t.Fatalf("got %+v, %v; want access denied", session, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := session.Credentials
			who, err := awssts.New(awssts.Options{
				Region: "us-west-2", BaseEndpoint: &url,
				Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal()),
			}).GetCallerIdentity(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := "arn:aws:sts::444455556666:assumed-role/target/eks-example-cl-app-0-8dbbcff5-9716-40c5-a474-c01c3190deeb"
			if aws.ToString(who.Arn) != want || session.AssumedRoleARN != want {
				t.Errorf("the pod is %s, and is told %s; want %s", aws.ToString(who.Arn), session.AssumedRoleARN, want)
			}
			if left := time.Until(c.Expires); left < 55*time.Minute || left > time.Hour {
				t.Errorf("the session lasts %v", left)
			}
		})
	}
}

func TestCheckAgainstTheSmallAWS(t *testing.T) {
	elsewhere := strings.Replace(forCluster, "cluster/example-cluster", "cluster/other", 1)
	for _, test := range []struct {
		name      string
		as        sts.FirstHop
		roleTrust string
		change    func(*identity.Association)
		want      string // "": the role will do
	}{
		{"the service", sts.Service, trust(theService, both, `{}`), nil, ""},
		{"for this cluster", sts.Service, trust(theService, both, forCluster), nil, ""},
		{"for this service account", sts.Service, trust(theService, both, forApp), nil, ""},
		{"an identity of podid's own", sts.Identity, trust(podidUser, both, forApp), nil, ""},
		{"without TagSession, tags off", sts.Service, trust(theService, `"sts:AssumeRole"`, `{}`), func(a *identity.Association) { a.DisableSessionTags = true }, ""},
		{"without TagSession", sts.Service, trust(theService, `"sts:AssumeRole"`, `{}`), nil, trustSays},
		{"for another cluster", sts.Service, trust(theService, both, elsewhere), nil, trustSays},
		{"for another service account", sts.Service, trust(theService, both, forApp), func(a *identity.Association) { a.ServiceAccount = "other" }, trustSays},
		{"a role that is missing", sts.Service, trust(theService, both, `{}`), func(a *identity.Association) { a.RoleARN += "-2" }, missingSays},
		{"a role with another path", sts.Service, trust(theService, both, `{}`), func(a *identity.Association) {
			a.RoleARN = "arn:aws:iam::111122223333:role/pod-identity"
		}, missingSays},
		{"another principal", sts.Service, trust(podidUser, both, `{}`), nil, trustSays},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := asked
			if test.change != nil {
				test.change(&a)
			}
			c, err := sts.NewChecker(smallConfig(smallAWS(t, test.roleTrust, formB), test.as))
			if err != nil {
				t.Fatal(err)
			}
			err = c.Check(t.Context(), a)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if identity.KindOf(err) != identity.InvalidParameter || !strings.HasPrefix(identity.SafeMessage(err), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
