package request_test

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/podid/podid/internal/token/request"
)

func pod(name, account string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name)},
		Spec:       corev1.PodSpec{ServiceAccountName: account}, Status: corev1.PodStatus{Phase: phase},
	}
}

// cluster is client-go's own fake, with what it lacks: field selectors, and
// tokens. Its tokens say what they were asked for.
func cluster(t *testing.T, pods ...*corev1.Pod) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset()
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		fields := action.(clienttesting.ListAction).GetListRestrictions().Fields
		list := new(corev1.PodList)
		for _, p := range pods {
			account, _ := fields.RequiresExactMatch("spec.serviceAccountName")
			phase, _ := fields.RequiresExactMatch("status.phase")
			if p.Spec.ServiceAccountName == account && string(p.Status.Phase) == phase && p.Namespace == action.GetNamespace() {
				list.Items = append(list.Items, *p)
			}
		}
		return true, list, nil
	})
	client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create := action.(clienttesting.CreateActionImpl)
		asked := create.GetObject().(*authenticationv1.TokenRequest)
		if create.GetSubresource() != "token" || *asked.Spec.ExpirationSeconds < 600 || asked.Spec.BoundObjectRef.Kind != "Pod" {
			t.Errorf("asked for %s: %+v", create.GetSubresource(), asked.Spec)
		}
		asked.Status.Token = strings.Join([]string{create.Name, asked.Spec.BoundObjectRef.Name, string(asked.Spec.BoundObjectRef.UID), asked.Spec.Audiences[0]}, " ")
		return true, asked, nil
	})
	for _, p := range pods {
		if err := client.Tracker().Add(p); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

func TestFor(t *testing.T) {
	pods := []*corev1.Pod{
		pod("b", "orders", corev1.PodRunning), pod("a", "orders", corev1.PodRunning), pod("0", "orders", corev1.PodPending), pod("1", "billing", corev1.PodRunning),
	}
	for name, test := range map[string]struct {
		ask       request.Pod
		want, err string
	}{
		"the first that runs": {ask: request.Pod{ServiceAccount: "orders"}, want: "orders a uid-of-a pods.eks.amazonaws.com"},
		"by name":             {ask: request.Pod{ServiceAccount: "orders", Name: "b"}, want: "orders b uid-of-b pods.eks.amazonaws.com"},
		"of another account":  {ask: request.Pod{ServiceAccount: "orders", Name: "1"}, err: "pod shop/1 runs as service account billing, not orders"},
		"none of that name":   {ask: request.Pod{ServiceAccount: "orders", Name: "c"}, err: `pods "c" not found`},
		"none runs":           {ask: request.Pod{ServiceAccount: "nobody"}, err: "no pod runs as service account shop/nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			test.ask.Namespace = "shop"
			got, err := request.For(context.Background(), cluster(t, pods...), test.ask)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || string(got.Raw) != test.want || "uid-of-"+got.PodName != got.PodUID {
				t.Errorf("got %q of %s %s, %v; want %q", string(got.Raw), got.PodName, got.PodUID, err, test.want)
			}
		})
	}
}
