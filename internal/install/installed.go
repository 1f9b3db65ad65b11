package install

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const notInstalled = "not there yet; installing makes it"

// podSecurity is the label by which namespaces choose what their pods may be
// (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
const podSecurity = "pod-security.kubernetes.io/enforce"

// namespaces looks at what those that exist allow.
func (k *checker) namespaces(ctx context.Context) {
	for _, n := range []struct{ name, want, fix string }{
		{serverNamespace, "restricted", "podid's server meets it, so that nothing less need be allowed"},
		{agentNamespace, "privileged", "the agent is on the nodes' network, which nothing less allows"},
	} {
		what := "namespace " + n.name
		found, err := k.client.CoreV1().Namespaces().Get(ctx, n.name, metav1.GetOptions{})
		switch level := found.GetLabels()[podSecurity]; {
		case apierrors.IsNotFound(err):
			k.say(what, OK, notInstalled, "")
		case err != nil:
			k.say(what, Unknown, err.Error(), "")
		case level == n.want:
			k.say(what, OK, "Pod Security "+level, "")
		case n.want == "privileged" && level != "":
			k.say(what, Failed, "Pod Security "+level, fmt.Sprintf("kubectl label --overwrite namespace %s %s=%s: %s", n.name, podSecurity, n.want, n.fix))
		default:
			k.say(what, Warning, "Pod Security "+or(level, "as the cluster has it"), fmt.Sprintf("kubectl label --overwrite namespace %s %s=%s: %s", n.name, podSecurity, n.want, n.fix))
		}
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// crd looks at the definition of associations.
func (k *checker) crd(ctx context.Context) {
	const what = "custom resource"
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	err := k.any.Get(ctx, client.ObjectKey{Name: "podidentityassociations.podid.dev"}, raw)
	if apierrors.IsNotFound(err) {
		k.say(what, OK, notInstalled, "")
		return
	}
	var found apiextensionsv1.CustomResourceDefinition
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, &found)
	}
	if err != nil {
		k.say(what, Unknown, err.Error(), "")
		return
	}
	for _, c := range found.Status.Conditions {
		if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
			k.say(what, OK, "podidentityassociations.podid.dev is served", "")
			return
		}
	}
	k.say(what, Failed, "podidentityassociations.podid.dev is not served", "kubectl describe crd podidentityassociations.podid.dev says why")
}

// server looks at the replicas.
func (k *checker) server(ctx context.Context) {
	const what = "server"
	d, err := k.client.AppsV1().Deployments(serverNamespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		k.say(what, OK, notInstalled, "")
	case err != nil:
		k.say(what, Unknown, err.Error(), "")
	default:
		found := fmt.Sprintf("%d of %d replicas are available", d.Status.AvailableReplicas, *d.Spec.Replicas)
		see := fmt.Sprintf("kubectl -n %s get pods; kubectl -n %s logs deployment/%s", serverNamespace, serverNamespace, name)
		switch {
		case d.Status.AvailableReplicas == 0:
			k.say(what, Failed, found, see)
		case d.Status.AvailableReplicas < *d.Spec.Replicas:
			k.say(what, Warning, found, see)
		case *d.Spec.Replicas == 1:
			k.say(what, Warning, found, "two replicas lose no request when one of them goes")
		default:
			k.say(what, OK, found, "")
		}
	}
}

// agents looks at the nodes' agents, and for others at the same address.
func (k *checker) agents(ctx context.Context) {
	const what = "agents"
	sets, err := k.client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		k.say(what, Unknown, err.Error(), "")
		return
	}
	var own *appsv1.DaemonSet
	for i, d := range sets.Items {
		switch {
		case d.Name == agentName && d.Namespace == agentNamespace:
			own = &sets.Items[i]
		case d.Name == "eks-pod-identity-agent":
			k.say("link-local address", Failed, "DaemonSet "+d.Namespace+"/"+d.Name+" holds 169.254.170.23 port 80 on its nodes",
				"remove it (on EKS: aws eks delete-addon --addon-name eks-pod-identity-agent), or leave podid's agents out there (agent.enabled, agent.nodeSelector)")
		}
	}
	if own == nil {
		k.nodes(ctx, what)
		return
	}
	found := fmt.Sprintf("%d of %d nodes have one that is ready", own.Status.NumberReady, own.Status.DesiredNumberScheduled)
	if own.Status.NumberReady < own.Status.DesiredNumberScheduled {
		k.say(what, Failed, found, fmt.Sprintf("kubectl -n %s get pods -o wide; kubectl -n %s logs POD: its last line says what is in the way of the address, the port or the server", agentNamespace, agentNamespace))
		return
	}
	k.say(what, OK, found+": the address is on the node, and the server has answered", "")
}

// nodes says which nodes would have an agent.
func (k *checker) nodes(ctx context.Context, what string) {
	nodes, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		k.say(what, Unknown, err.Error(), "")
		return
	}
	linux := 0
	var others []string
	for _, n := range nodes.Items {
		if n.Labels[corev1.LabelOSStable] == "linux" {
			linux++
		} else {
			others = append(others, n.Name)
		}
	}
	found := fmt.Sprintf("not there yet; %d nodes would have one", linux)
	if len(others) > 0 {
		k.say(what, Warning, found+", and not "+strings.Join(others, ", "), "pods on nodes without Linux get no credentials")
		return
	}
	k.say(what, OK, found, "")
}

// webhooks tries whether the API server reaches them: a dry run of making an
// association is shown to the webhook, whatever that makes of it.
func (k *checker) webhooks(ctx context.Context) {
	const what = "webhooks"
	var lacking []string
	mutating, err := k.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
	validating, err2 := k.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && apierrors.IsNotFound(err2):
		k.say(what, OK, notInstalled, "")
		return
	case apierrors.IsForbidden(err) || apierrors.IsForbidden(err2):
		k.say(what, Unknown, "you may not see their configurations", "")
		return
	case err != nil || err2 != nil:
		k.say(what, Failed, fmt.Sprintf("one of the two is not there: %v, %v", err, err2), "install again")
		return
	}
	for _, w := range mutating.Webhooks {
		if len(w.ClientConfig.CABundle) == 0 {
			lacking = append(lacking, w.Name)
		}
	}
	for _, w := range validating.Webhooks {
		if len(w.ClientConfig.CABundle) == 0 {
			lacking = append(lacking, w.Name)
		}
	}
	if len(lacking) > 0 {
		do := "the server tells it when it starts: kubectl -n " + serverNamespace + " logs deployment/" + name
		if mutating.Annotations["cert-manager.io/inject-ca-from"] != "" {
			do = "cert-manager's cainjector tells it when there is a certificate: kubectl -n " + serverNamespace + " describe certificates.cert-manager.io " + name
		}
		k.say(what, Failed, "the API server has not been told whom to trust for "+strings.Join(lacking, ", "), do)
		return
	}
	trial := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": metav1.NamespaceDefault, "name": "podid-install-check"},
		"spec":     map[string]any{"roleARN": "arn:aws:iam::000000000000:role/podid-install-check"},
	}}
	trial.SetGroupVersionKind(schema.GroupVersionKind{Group: "podid.dev", Version: "v1alpha1", Kind: "PodIdentityAssociation"})
	err = k.any.Create(ctx, trial, client.DryRunAll)
	switch {
	case err == nil, apierrors.IsForbidden(err) && strings.Contains(err.Error(), "admission webhook"), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		k.say(what, OK, "the API server reaches them", "")
	case apierrors.IsInternalError(err):
		k.say(what, Failed, err.Error(), "let the API server reach pods of "+serverNamespace+" at TCP port 9443: firewall, security group, or the CNI's own network policies")
	case meta.IsNoMatchError(err):
		k.say(what, Failed, err.Error(), "install again: the custom resource is missing")
	default:
		k.say(what, Unknown, err.Error(), "")
	}
}
