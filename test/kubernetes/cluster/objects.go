package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Client returns a client of the administrator.
func (c *Cluster) Client(t testing.TB) *kubernetes.Clientset {
	t.Helper()
	k, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Apply applies the objects of YAML documents as the administrator, as kubectl
// apply --server-side does, and waits until the custom resources that they
// define can be used.
func (c *Cluster) Apply(t testing.TB, documents string) {
	t.Helper()
	if err := c.TryApply(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
}

// TryApply is Apply where a refusal is no failure of the test.
func (c *Cluster) TryApply(ctx context.Context, documents string) error {
	k, err := client.New(c.Config, client.Options{})
	if err != nil {
		return err
	}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(documents), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(u.Object) == 0 {
			continue
		}
		err := k.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("podid-test"), client.ForceOwnership)
		if err == nil && u.GetKind() == "CustomResourceDefinition" {
			err = waitEstablished(ctx, k, u)
		}
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

// waitEstablished waits until a custom resource can be used.
func waitEstablished(ctx context.Context, k client.Client, u *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := k.Get(ctx, client.ObjectKeyFromObject(u), u)
		if err == nil && established(u) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not established: %w", errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func established(u *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions") // absent at first
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}
	return false
}

// Namespace makes a namespace with the service account default, which the
// controller manager would make, and returns its name.
func (c *Cluster) Namespace(t testing.TB, name string) string {
	t.Helper()
	k := c.Client(t).CoreV1()
	if _, err := k.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.ServiceAccount(t, name, "default")
	return name
}

// ServiceAccount makes a service account, if it is not there.
func (c *Cluster) ServiceAccount(t testing.TB, namespace, name string) {
	t.Helper()
	_, err := c.Client(t).CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// Pod makes a pod that never runs where there is no node. With a node's name, its
// tokens name the node too.
func (c *Cluster) Pod(t testing.TB, namespace, name, serviceAccount, node string) *corev1.Pod {
	t.Helper()
	pod, err := c.Client(t).CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{ServiceAccountName: serviceAccount, NodeName: node,
			Containers: []corev1.Container{{Name: "app", Image: "app.invalid/app:1"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// Node makes a node that is nowhere.
func (c *Cluster) Node(t testing.TB, name string) {
	t.Helper()
	if _, err := c.Client(t).CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Token asks for a token as the kubelet does (the TokenRequest API). With a
// pod's name it is bound to that pod. No audience: the API server's own.
func (c *Cluster) Token(t testing.TB, namespace, serviceAccount, pod string, audiences ...string) string {
	t.Helper()
	hour := int64(time.Hour / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &hour}}
	if pod != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod}
	}
	got, err := c.Client(t).CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Token
}

// waitControllers waits until the controller manager does its work: it gives
// every namespace a service account and the API server's certificate authority.
func (c *Cluster) waitControllers(ctx context.Context) error {
	k, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	for {
		_, err := k.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			_, err = k.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the controller manager does nothing: %w\n%s", err, c.tail(string(ControllerManager)))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
