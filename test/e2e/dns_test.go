//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// names is the name service of the cluster. It knows the Services, as CoreDNS
// does (https://github.com/kubernetes/dns/blob/master/docs/specification.md),
// and leads everything under amazonaws.com to the small AWS.
type names struct {
	client kubernetes.Interface
	aws    netip.Addr
}

// serve answers until the socket is closed.
func (n *names) serve(socket net.PacketConn) {
	question := make([]byte, 1500)
	for {
		length, from, err := socket.ReadFrom(question)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		packet := append([]byte{}, question[:length]...)
		go func() {
			if answer, err := n.answer(packet); err == nil {
				socket.WriteTo(answer, from) // who hears nothing asks again
			}
		}()
	}
}

func (n *names) answer(packet []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	addresses, found, err := n.lookup(strings.ToLower(q.Name.String()))
	header.Response, header.Authoritative, header.RecursionAvailable = true, true, true
	switch {
	case err != nil:
		header.RCode = dnsmessage.RCodeServerFailure
	case !found:
		header.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, header)
	b.EnableCompression()
	err = errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers())
	for _, a := range addresses {
		if q.Type == dnsmessage.TypeA && a.Is4() {
			err = errors.Join(err, b.AResource(dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, dnsmessage.AResource{A: a.As4()}))
		}
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// lookup says what a name stands for.
func (n *names) lookup(name string) (addresses []netip.Addr, found bool, err error) {
	if strings.HasSuffix(name, ".amazonaws.com.") {
		return []netip.Addr{n.aws}, true, nil
	}
	of, ok := strings.CutSuffix(name, ".svc.cluster.local.")
	service, namespace, _ := strings.Cut(of, ".")
	if !ok || service == "" || namespace == "" || strings.Contains(namespace, ".") {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s, err := n.client.CoreV1().Services(namespace).Get(ctx, service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if s.Spec.ClusterIP != corev1.ClusterIPNone {
		a, err := netip.ParseAddr(s.Spec.ClusterIP)
		return []netip.Addr{a}, true, err
	}
	slices, err := n.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil, false, err
	}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready && !s.Spec.PublishNotReadyAddresses {
				continue
			}
			for _, address := range e.Addresses {
				a, err := netip.ParseAddr(address)
				if err != nil {
					return nil, false, err
				}
				addresses = append(addresses, a)
			}
		}
	}
	return addresses, true, nil
}
