// Package request asks a cluster's API server for service account tokens of
// pods, as the kubelet does for the tokens that it mounts.
package request

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/podid/podid/internal/identity"
)

// lifetime is the shortest that the API server grants
// (kubernetes/pkg/apis/authentication/validation).
const lifetime = 10 * time.Minute

// Pod names the pod that a token is for.
type Pod struct {
	Namespace, ServiceAccount string
	Name                      string        // empty: any that runs as the service account
	Audience                  string        // empty: that of EKS Pod Identity
	Lifetime                  time.Duration // 0: the shortest that the API server grants
}

// Token is a token and the pod that it is bound to.
type Token struct {
	Raw             identity.Secret
	Expires         time.Time
	PodName, PodUID string
	NodeName        string // empty: the pod is on none yet
}

// For returns a token of a pod. The caller needs the right
// to get or list pods, and to create serviceaccounts/token.
func For(ctx context.Context, client kubernetes.Interface, p Pod) (Token, error) {
	pod, err := find(ctx, client, p)
	if err != nil {
		return Token{}, err
	}
	seconds := int64(cmp.Or(p.Lifetime, lifetime) / time.Second)
	answer, err := client.CoreV1().ServiceAccounts(p.Namespace).CreateToken(ctx, p.ServiceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences: []string{cmp.Or(p.Audience, identity.Audience)}, ExpirationSeconds: &seconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return Token{}, fmt.Errorf("a token of pod %s/%s: %w", p.Namespace, pod.Name, err)
	}
	return Token{
		Raw: identity.Secret(answer.Status.Token), Expires: answer.Status.ExpirationTimestamp.Time,
		PodName: pod.Name, PodUID: string(pod.UID), NodeName: pod.Spec.NodeName,
	}, nil
}

// find finds the pod of that name, or the first that runs as the service account.
func find(ctx context.Context, client kubernetes.Interface, p Pod) (*corev1.Pod, error) {
	pods := client.CoreV1().Pods(p.Namespace)
	if p.Name != "" {
		pod, err := pods.Get(ctx, p.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if name := pod.Spec.ServiceAccountName; name != p.ServiceAccount {
			return nil, fmt.Errorf("pod %s/%s runs as service account %s, not %s", p.Namespace, p.Name, name, p.ServiceAccount)
		}
		return pod, nil
	}
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#list-of-supported-fields
	list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: fields.Set{
		"spec.serviceAccountName": p.ServiceAccount, "status.phase": string(corev1.PodRunning),
	}.String()})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no pod runs as service account %s/%s, and a token has to be bound to one: start one, or name one that waits", p.Namespace, p.ServiceAccount)
	}
	first := slices.MinFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return &first, nil
}
