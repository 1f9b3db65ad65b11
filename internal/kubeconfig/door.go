package kubeconfig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/klog/v2"
)

// The pods of podid's server, and the port of its APIs, as the chart has them.
const (
	serverSelector = "app.kubernetes.io/name=podid,app.kubernetes.io/component=server"
	apiPortName    = "api"
	apiPort        = 8443
)

const (
	// forwardAgainAfter is how long a lost connection to a replica is let be.
	forwardAgainAfter = time.Second
	// lookEvery is how often the replica is looked at meanwhile.
	lookEvery = 5 * time.Second
)

// door is a port of this machine that leads to the APIs of a replica of podid's
// server, through the API server and the kubelet, as kubectl port-forward does.
type door struct {
	cluster *Cluster
	port    uint16 // of loopback; 0 until it is open
}

// run keeps the door open until ctx ends, to another replica when one is lost.
// It calls opened once, and fails only before that.
func (d *door) run(ctx context.Context, opened func()) error {
	once := func() {
		if opened != nil {
			opened()
			opened = nil
		}
	}
	for {
		err := d.forward(ctx, once)
		if ctx.Err() != nil {
			return nil
		}
		if opened != nil {
			return cmp.Or(err, errors.New("the connection to podid's server was lost at once"))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(forwardAgainAfter):
		}
	}
}

// forward keeps the door open to one replica.
func (d *door) forward(ctx context.Context, opened func()) error {
	pod, err := d.cluster.replica(ctx)
	if err != nil {
		return err
	}
	return d.to(ctx, pod, opened)
}

// to keeps the door open to a pod, until ctx ends or the connection is lost.
func (d *door) to(ctx context.Context, pod *corev1.Pod, opened func()) error {
	dialer, err := d.cluster.dialer(pod)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// What goes wrong in one connection, its user hears from the connection.
	quiet := klog.NewContext(ctx, logr.Discard())
	listening := make(chan struct{})
	ports := []string{fmt.Sprintf("%d:%d", d.port, portOf(pod))}
	forwarder, err := portforward.NewOnAddressesWithContext(quiet, dialer, []string{"127.0.0.1"}, ports, listening, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case err := <-ended:
		return fmt.Errorf("forwarding a port to pod %s/%s: %w", pod.Namespace, pod.Name, err)
	case <-listening:
	}
	got, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	d.port = got[0].Local
	opened()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-look.C:
			// A replica that fell silent closes nothing.
			if d.cluster.isGone(ctx, pod) {
				stop()
				return <-ended
			}
		}
	}
}

// isGone tells whether a replica is one no more. Not to know is not to be gone.
func (k *Cluster) isGone(ctx context.Context, pod *corev1.Pod) bool {
	now, err := k.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	return now.UID != pod.UID || !ready(now)
}

// replica returns a pod of podid's server that is ready.
func (k *Cluster) replica(ctx context.Context) (*corev1.Pod, error) {
	list, err := k.client.CoreV1().Pods(k.config.PodidNamespace).List(ctx, metav1.ListOptions{LabelSelector: serverSelector})
	if err != nil {
		return nil, fmt.Errorf("looking for podid's server: %w", err)
	}
	var found []*corev1.Pod
	for i := range list.Items {
		if p := &list.Items[i]; ready(p) {
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		// One that is dead looks ready for a while: then the next choice is another.
		return found[rand.IntN(len(found))], nil
	}
	return nil, fmt.Errorf("no pod of podid's server is ready in namespace %s (elsewhere: --podid-namespace)", k.config.PodidNamespace)
}

func ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func portOf(pod *corev1.Pod) int32 {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == apiPortName {
				return p.ContainerPort
			}
		}
	}
	return apiPort
}

// dialer connects to a pod's ports: over a WebSocket, or by SPDY where the API
// server or a proxy before it knows no other (as kubectl's port-forward).
func (k *Cluster) dialer(pod *corev1.Pod) (httpstream.Dialer, error) {
	url := k.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(k.rest)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(url, k.rest)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialer(tunnel, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}
