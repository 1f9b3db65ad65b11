package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
)

// TestStory: one object, and a pod reads the other account's bucket.
func TestStory(t *testing.T) {
	w := start(t, 2)
	a := w.associate("app")
	eventually(t, "the association is ready and its chain verified", func() error {
		if err := w.objects.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err
		}
		if condition(a, v1alpha1.ConditionReady) != metav1.ConditionTrue || condition(a, v1alpha1.ConditionChainVerified) != metav1.ConditionTrue {
			return errNotYet
		}
		return nil
	})
	if want := region + "/" + ownAccount + "/" + clusterName + "/shop/app"; a.Status.ExternalID != want || !strings.HasSuffix(a.Status.AssociationARN, a.Status.AssociationID) {
		t.Errorf("status %+v, want external ID %s", a.Status, want)
	}
	pod := w.Cluster.Pod(t, "shop", "web", "app", "node-1")
	if uri := environment(pod, "AWS_CONTAINER_CREDENTIALS_FULL_URI"); uri != "http://169.254.170.23/v1/credentials" {
		t.Errorf("the pod's credentials are at %q", uri)
	}
	token := identity.Secret(w.Token(t, "shop", "app", "web", identity.Audience))
	grant, err := w.agent("node-1", w.replicas...).AssumeRoleForPodIdentity(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	c := grant.Session.Credentials
	bucket := s3.New(s3.Options{
		Region: region, BaseEndpoint: &w.aws, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal()),
	})
	name, key := "data", "hello.txt"
	object, err := bucket.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(object.Body)
	if err != nil || string(text) != "hello from the other account" {
		t.Errorf("read %q: %v", text, err)
	}
	if _, err := w.agent("node-1", w.replicas[1]).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Errorf("the other replica: %v", err)
	}
}

func condition(a *v1alpha1.PodIdentityAssociation, kind string) metav1.ConditionStatus {
	for _, c := range a.Status.Conditions {
		if c.Type == kind && c.ObservedGeneration == a.Generation {
			return c.Status
		}
	}
	return ""
}

func environment(pod *corev1.Pod, name string) string {
	for _, v := range pod.Spec.Containers[0].Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// TestWhoGetsCredentials: a pod's token gives that pod its credentials through
// its own node's agent, and nothing else gives anybody any.
func TestWhoGetsCredentials(t *testing.T) {
	for _, verification := range []string{"tokenreview", "jwks"} {
		t.Run(verification, func(t *testing.T) {
			w := start(t, 1, "--token-verification", verification)
			w.associate("app")
			own := w.podToken("web", "node-1")
			here, there := w.agent("node-1", w.replicas[0]), w.agent("node-2", w.replicas[0])
			if _, err := here.AssumeRoleForPodIdentity(t.Context(), own); err != nil {
				t.Fatal(err)
			}
			w.ServiceAccount(t, "shop", "other")
			w.Cluster.Pod(t, "shop", "other", "other", "node-1")
			w.Cluster.Pod(t, "shop", "short", "app", "node-1")
			gone := identity.Secret(w.Token(t, "shop", "app", "short", identity.Audience))
			w.delete("short")
			for name, c := range map[string]struct {
				agent *eksauth.Client
				token string
				want  string
			}{
				"another node's agent":     {there, own.Reveal(), "AccessDeniedException"},
				"no association":           {here, w.Token(t, "shop", "other", "other", identity.Audience), "ResourceNotFoundException"},
				"the API server's token":   {here, w.Token(t, "shop", "app", "web"), "InvalidTokenException"},
				"no pod":                   {here, w.Token(t, "shop", "app", "", identity.Audience), "InvalidTokenException"},
				"a pod that is gone":       {here, gone.Reveal(), "InvalidTokenException"},
				"a changed signature":      {here, own.Reveal()[:len(own)-6] + "AAAAAA", "InvalidTokenException"},
				"the agent's own token":    {here, w.Token(t, agentNamespace, "podid-agent", "agent-of-node-1", "podid.dev"), "InvalidTokenException"},
				"nobody's agent":           {w.impostor("other", "other"), own.Reveal(), "UnrecognizedClientException"},
				"the pod as its own agent": {w.impostor("app", "web"), own.Reveal(), "UnrecognizedClientException"},
			} {
				_, err := c.agent.AssumeRoleForPodIdentity(t.Context(), identity.Secret(c.token))
				if e, ok := errors.AsType[*eksauth.Error](err); !ok || e.Code != c.want {
					t.Errorf("%s: %v, want %s", name, err, c.want)
				}
			}
			eventually(t, "the event of the other node's agent", func() error {
				denied := 0
				for _, e := range w.replicas[0].events() {
					if e.CallerNodeName == "node-2" && e.ErrorCode != "" {
						denied++
					}
				}
				if denied != 1 {
					return fmt.Errorf("%d events", denied)
				}
				return nil
			})
		})
	}
}
