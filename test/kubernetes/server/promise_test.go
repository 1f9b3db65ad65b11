package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/podid/podid/internal/audit"
	"github.com/podid/podid/internal/identity"
	podid "github.com/podid/podid/internal/server"
	"github.com/podid/podid/internal/sts"
	"github.com/podid/podid/test/monitoring"
)

// nowhere keeps no audit events.
type nowhere struct{}

func (nowhere) Write(context.Context, *audit.Event) error { return nil }

// inPod is a replica that knows its pod, in the test's own process.
type inPod struct {
	pod     string
	metrics string
	end     func()
}

// settle is longer than this API server takes to store an association.
const settle = 10 * time.Second

// inPod starts a replica in the pod of that number, whose address is its own on loopback.
func (w *world) inPod(number int, port string) *inPod {
	w.t.Helper()
	address := fmt.Sprintf("127.0.0.%d", 10+number)
	pods := w.Client(w.t).CoreV1().Pods(ownNamespace)
	yes, no := true, false
	pod, err := pods.Create(w.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("podid-", number)},
		Spec: corev1.PodSpec{ServiceAccountName: "podid", NodeName: "node-1", Containers: []corev1.Container{{
			Name: "server", Image: "podid.invalid/podid:1",
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	pod.Status.PodIP, pod.Status.PodIPs = address, []corev1.PodIP{{IP: address}}
	pod, err = pods.UpdateStatus(w.t.Context(), pod, metav1.UpdateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	api, err := clientcmd.BuildConfigFromFlags("", w.ownKubeconfig())
	if err != nil {
		w.t.Fatal(err)
	}
	ready := make(chan podid.Info, 1)
	c := podid.Config{
		Cluster: identity.Cluster{Name: clusterName, Region: region, AccountID: ownAccount}, API: api,
		Namespace: ownNamespace, KeyNamespace: keyNamespace, Pod: string(pod.UID), Settle: settle,
		ServiceAccount:      types.NamespacedName{Namespace: ownNamespace, Name: "podid"},
		AgentServiceAccount: types.NamespacedName{Namespace: agentNamespace, Name: "podid-agent"},
		STS: sts.Config{FirstHop: sts.Service, AWS: aws.Config{
			Region: region, BaseEndpoint: &w.aws, Credentials: credentials.NewStaticCredentialsProvider(serviceKey, secretKey, ""),
		}},
		APIAddress: net.JoinHostPort(address, port),
		Certificate: podid.Certificate{
			Secret: "podid-serving-cert", ConfigMap: "podid-ca", MutatingWebhook: "podid", ValidatingWebhook: "podid", Names: []string{"127.0.0.1"},
		},
		Audit: nowhere{}, Ready: func(i podid.Info) { ready <- i },
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- podid.Run(ctx, c); close(ended) }()
	r := &inPod{pod: pod.Name, end: func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}}
	w.t.Cleanup(r.end)
	select {
	case info := <-ready:
		r.metrics = "http://" + info.Metrics.String() + "/metrics"
		w.hooks.add(info.Webhook.String())
	case err := <-ended:
		w.t.Fatal(err)
	case <-time.After(time.Minute):
		w.t.Fatal("the replica is not ready")
	}
	return r
}

// fromMemory counts the pods without an association that replicas let through
// without a read, and the reads.
func (w *world) fromMemory(replicas ...*inPod) (memory, live float64) {
	w.t.Helper()
	for _, r := range replicas {
		all, err := monitoring.Scrape(r.metrics)
		if err != nil {
			w.t.Fatal(err)
		}
		memory += all["podid_admission_current_total"].GetMetric()[0].GetCounter().GetValue()
		live += all["podid_admission_live_reads_total"].GetMetric()[0].GetCounter().GetValue()
	}
	return memory, live
}

// admit makes a pod that is not kept, and tells whether it was given a token.
func (w *world) admit(serviceAccount string) bool {
	w.t.Helper()
	pod, err := w.Client(w.t).CoreV1().Pods("shop").Create(w.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-"},
		Spec:       corev1.PodSpec{ServiceAccountName: serviceAccount, Containers: []corev1.Container{{Name: "app", Image: "app.invalid/app:1"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "eks-pod-identity-token" })
}

// TestReplicasPromiseEachOther: pods without an association need no read once both
// replicas promise, and no pod is missed; when one of them is silent, each such pod
// costs a read again, and none is missed either; when its pod is gone, none does.
func TestReplicasPromiseEachOther(t *testing.T) {
	ctrllog.SetLogger(logr.Discard())
	w := start(t, 0)
	free, err := net.Listen("tcp", "127.0.0.11:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	first, second := w.inPod(1, port), w.inPod(2, port)

	n := 0
	associations := func(times int) { // each of which has a pod that comes right after it
		t.Helper()
		for range times {
			n++
			name := fmt.Sprint("app-", n)
			w.ServiceAccount(t, "shop", name)
			w.admit(name)
			w.associate(name)
			if !w.admit(name) {
				t.Errorf("the pod of %s was missed", name)
			}
		}
	}
	fromMemory := func(what string, replicas ...*inPod) {
		t.Helper()
		began := time.Now()
		eventually(t, what, func() error {
			associations(1) // it is news to the informers
			memory, live := w.fromMemory(replicas...)
			for range 10 {
				w.admit("default")
			}
			memory2, live2 := w.fromMemory(replicas...)
			if memory2 != memory+10 || live2 != live {
				return fmt.Errorf("of 10 pods %v from memory, with %v reads", memory2-memory, live2-live)
			}
			return nil
		})
		t.Logf("%s: after %v", what, time.Since(began).Round(time.Second))
	}
	fromMemory("two replicas promise", first, second)
	associations(50)

	second.end()
	associations(10) // the first waits for a promise to end
	memory, live := w.fromMemory(first)
	for range 10 {
		w.admit("default")
	}
	if memory2, live2 := w.fromMemory(first); memory2 != memory || live2 != live+10 {
		t.Errorf("while a replica is silent: of 10 pods %v from memory, with %v reads", memory2-memory, live2-live)
	}

	now := int64(0)
	if err := w.Client(t).CoreV1().Pods(ownNamespace).Delete(t.Context(), second.pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	fromMemory("one is left", first)
	associations(20)
}
