//go:build linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/podid/podid/internal/identity"
)

// shop is the application of the story: a Deployment whose pods read a bucket
// of another account, and whose manifest does not mention AWS at all.
type shop struct {
	namespace string
	client    kubernetes.Interface
	pods      []corev1.Pod
	aws       *http.Client // reaches the small AWS
}

func deployment(namespace string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: ` + namespace + `}
spec:
  replicas: 4
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      serviceAccountName: app
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: shop}}}
      containers:
      - {name: shop, image: "podid.test/app:1", imagePullPolicy: Never, args: [serve, ` + bucket + `, hello.txt]}
`
}

func association(namespace, target string) string {
	return `
apiVersion: podid.dev/v1alpha1
kind: PodIdentityAssociation
metadata: {name: app, namespace: ` + namespace + `}
spec: {roleARN: "` + roleARN + `", targetRoleARN: "` + target + `"}
`
}

// find waits until all pods run, and remembers them.
func (s *shop) find(t *testing.T) {
	t.Helper()
	eventually(t, 60*time.Second, "four pods run", func() (bool, string) {
		list, err := s.client.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=shop"})
		if err != nil {
			return false, err.Error()
		}
		s.pods = nil
		for _, p := range list.Items {
			if p.Status.Phase == corev1.PodRunning && p.Status.PodIP != "" && p.DeletionTimestamp == nil {
				s.pods = append(s.pods, p)
			}
		}
		return len(s.pods) == 4, podsOf(t, s.namespace)
	})
}

// on returns a pod of a node.
func (s *shop) on(t *testing.T, node string) *corev1.Pod {
	t.Helper()
	for i := range s.pods {
		if s.pods[i].Spec.NodeName == node {
			return &s.pods[i]
		}
	}
	t.Fatal("no pod on " + node)
	return nil
}

// status is what the pod's own program has seen; see test/e2e/app.
type status struct {
	Reads, Failures          int
	Text, AccessKeyID, Error string
}

func (s *shop) status(ctx context.Context, p *corev1.Pod) (status, error) {
	var got status
	text, code, err := call(ctx, http.MethodGet, "http://"+p.Status.PodIP+":8080/status", "")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status %d: %s", code, text)
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &got)
	}
	return got, err
}

// ask has a pod ask its agent: with the token given, or the pod's own.
func ask(ctx context.Context, p *corev1.Pod, token string) (text string, code int, err error) {
	return call(ctx, http.MethodPost, "http://"+p.Status.PodIP+":8080/ask", token)
}

func call(ctx context.Context, method, url, body string) (text string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return string(got), answer.StatusCode, err
}

// role returns the role whose credentials a pod gets now.
func (s *shop) role(ctx context.Context, p *corev1.Pod) (string, error) {
	text, code, err := ask(ctx, p, "")
	if err != nil || code != http.StatusOK {
		return "", fmt.Errorf("the agent answered %d %s: %w", code, text, err)
	}
	var c struct{ AccessKeyId, SecretAccessKey, Token string }
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return "", err
	}
	client := sts.New(sts.Options{
		Region: region, HTTPClient: s.aws, Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(c.AccessKeyId, c.SecretAccessKey, c.Token)),
	})
	who, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	// arn:aws:sts::444455556666:assumed-role/shop-data/SESSION
	part := strings.Split(*who.Arn, "/")
	return part[1], nil
}

// token makes a new token of a pod, as its kubelet would.
func (s *shop) token(ctx context.Context, p *corev1.Pod, audience string) (string, error) {
	hour := int64(3600)
	got, err := s.client.CoreV1().ServiceAccounts(p.Namespace).CreateToken(ctx, p.Spec.ServiceAccountName, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{audience}, ExpirationSeconds: &hour,
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID},
	}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return got.Status.Token, nil
}

// tries is how often botocore asks before it gives up; each time it waits for
// two seconds.
const tries = 3

// fresh asks with a token that no agent has seen, so that the server is asked;
// as often as an SDK would.
func (s *shop) fresh(ctx context.Context, p *corev1.Pod) (asked int, err error) {
	token, err := s.token(ctx, p, identity.Audience)
	if err != nil {
		return 0, err
	}
	for asked = 1; ; asked++ {
		text, code, err := ask(ctx, p, token)
		switch {
		case err == nil && code == http.StatusOK:
			return asked, nil
		case err == nil:
			err = fmt.Errorf("%d %s", code, text)
		}
		if asked == tries || ctx.Err() != nil {
			return asked, err
		}
	}
}
