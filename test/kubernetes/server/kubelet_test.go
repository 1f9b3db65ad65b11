package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
)

// kubelet is what of a kubelet forwards ports: the pods of its node are processes
// of this machine, and their ports those of loopback.
func (w *world) kubelet(node string) {
	w.t.Helper()
	folder := w.t.TempDir()
	if err := w.Kubelet(node, "127.0.0.1", folder); err != nil {
		w.t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(folder+"/kubelet.crt", folder+"/kubelet.key")
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/portForward/{namespace}/{pod}", forwardPorts)
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}} // upgrades are HTTP/1.1's
	server.StartTLS()
	w.t.Cleanup(server.CloseClientConnections)
	nodes := w.Client(w.t).CoreV1().Nodes()
	n, err := nodes.Get(w.t.Context(), node, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(server.Listener.Addr().(*net.TCPAddr).Port)
	if _, err := nodes.UpdateStatus(w.t.Context(), n, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// forwardPorts speaks the protocol portforward.k8s.io: for each connection a
// stream of data, and one for what goes wrong.
func forwardPorts(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return // and it has been answered
	}
	var mu sync.Mutex
	failures := map[string]httpstream.Stream{} // by connection; they come before the data
	connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		mu.Lock()
		defer mu.Unlock()
		id := s.Headers().Get(corev1.PortForwardRequestIDHeader)
		if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
			failures[id] = s
		} else {
			go forward(s, failures[id])
		}
		return nil
	})
	if connection != nil {
		<-connection.CloseChan()
	}
}

func forward(data, failure httpstream.Stream) {
	defer failure.Close()
	defer data.Reset()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", data.Headers().Get(corev1.PortHeader)))
	if err != nil {
		fmt.Fprint(failure, err)
		return
	}
	defer c.Close()
	done := make(chan struct{}, 2)
	copyTo := func(a io.Writer, b io.Reader) { _, _ = io.Copy(a, b); done <- struct{}{} } // either side may hang up
	go copyTo(c, data)
	go copyTo(data, c)
	<-done
}

// serverPod makes the pod that a replica would run in, ready, on a node.
func (w *world) serverPod(name, node string, r *replica) {
	w.t.Helper()
	_, text, err := net.SplitHostPort(r.apis)
	if err != nil {
		w.t.Fatal(err)
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: name, Labels: map[string]string{
			"app.kubernetes.io/name": "podid", "app.kubernetes.io/component": "server",
		}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "podid", NodeName: node,
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "server", Image: "podid.invalid/podid:1", Ports: []corev1.ContainerPort{{Name: "api", ContainerPort: int32(port)}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	})
}

// pod makes a pod that runs and is ready, as far as the API server knows.
func (w *world) pod(p *corev1.Pod) {
	w.t.Helper()
	pods := w.Client(w.t).CoreV1().Pods(p.Namespace)
	made, err := pods.Create(w.t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	made.Status.Phase = corev1.PodRunning
	made.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if _, err := pods.UpdateStatus(w.t.Context(), made, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// appPod makes such a pod of the service account app.
func (w *world) appPod(t *testing.T, name string) {
	t.Helper()
	w.pod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: "app", NodeName: "node-1", Containers: []corev1.Container{{Name: "app", Image: "app.invalid/app:1"}}},
	})
}
