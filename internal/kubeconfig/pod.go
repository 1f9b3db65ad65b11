package kubeconfig

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/podid/podid/internal/identity"
)

// Mutation is what a pod shows of podid's webhook.
type Mutation struct {
	Pod     string
	Created time.Time
	// Without names the containers that lack the variables or the token.
	Without []string
	// OwnKeys names the containers with AWS keys of their own.
	OwnKeys []string
	// Controlled: something makes the pod anew when it is deleted.
	Controlled bool
}

// The variables that make an SDK ask the agent
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
var containerVariables = []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}

// Look looks at a pod of a service account, and returns its UID too.
func (k *Cluster) Look(ctx context.Context, namespace, serviceAccount, name string) (Mutation, string, error) {
	pod, err := k.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Mutation{}, "", err
	}
	if pod.Spec.ServiceAccountName != serviceAccount {
		return Mutation{}, "", fmt.Errorf("pod %s/%s runs as service account %s, not %s", namespace, name, pod.Spec.ServiceAccountName, serviceAccount)
	}
	m := Mutation{Pod: name, Created: pod.CreationTimestamp.Time, Controlled: metav1.GetControllerOf(pod) != nil}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, name := range containerVariables {
			if !has(c.Env, name) {
				m.Without = append(m.Without, c.Name)
				break
			}
		}
		if !hasToken(pod) && !slices.Contains(m.Without, c.Name) {
			m.Without = append(m.Without, c.Name)
		}
		if has(c.Env, "AWS_ACCESS_KEY_ID") {
			m.OwnKeys = append(m.OwnKeys, c.Name)
		}
	}
	return m, string(pod.UID), nil
}

func has(env []corev1.EnvVar, name string) bool {
	return slices.ContainsFunc(env, func(v corev1.EnvVar) bool { return v.Name == name })
}

// hasToken tells whether a pod has a service account token that podid takes.
func hasToken(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
			return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == identity.Audience
		})
	})
}

// Pods names the pods that run as a service account now, or are about to.
func (k *Cluster) Pods(ctx context.Context, namespace, serviceAccount string) ([]string, error) {
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/#list-of-supported-fields
	list, err := k.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.serviceAccountName", serviceAccount).String()})
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range list.Items {
		if phase := list.Items[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, nil
}
