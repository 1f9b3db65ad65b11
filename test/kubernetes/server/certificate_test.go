package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/internal/admission"
	"github.com/podid/podid/internal/certificate"
	"github.com/podid/podid/internal/httpd"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// nobody has an association.
type nobody struct{}

func (nobody) Known(string, string) (identity.Association, bool) {
	return identity.Association{}, false
}

func (nobody) Lookup(context.Context, string, string) (identity.Association, error) {
	return identity.Association{}, identity.Errorf(identity.NotFound, "none")
}

const rotating = `
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: cert}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: default, name: ca}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: podid}
webhooks:
  - name: pods.podid.dev
    clientConfig: {url: "URL"}
    rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
    failurePolicy: Fail
    admissionReviewVersions: [v1]
    sideEffects: None
    timeoutSeconds: 5
`

// TestCertificatesRotate: through several authorities, with two replicas, no
// pod's admission fails and no agent loses its server, though it trusts what was
// published a while ago; and nothing is restarted.
func TestCertificatesRotate(t *testing.T) {
	t.Parallel() // it waits most of the time
	c := cluster.Start(t, cluster.Options{})
	objects, err := client.New(c.Config, client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	webhook, err := admission.New(admission.Config{Associations: nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	doors := newService(t)
	c.Apply(t, strings.Replace(rotating, "URL", doors.url()+admission.MutatePath, 1))
	ctx, cancel := context.WithCancel(t.Context())
	var ended []chan error
	for range 2 {
		keeper, err := certificate.New(certificate.Config{
			Client: objects, Namespace: "default", Secret: "cert", ConfigMap: "ca", MutatingWebhook: "podid", Names: []string{"127.0.0.1"},
			AuthorityLifetime: 40 * time.Second, Lifetime: 12 * time.Second, Spread: 5 * time.Second, Skew: time.Second, Every: 200 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		server, err := httpd.New(httpd.Config{Handler: webhook.Handler(), TLS: &tls.Config{GetCertificate: keeper.GetCertificate, NextProtos: []string{"h2", "http/1.1"}}})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range []func() error{
			func() error { return keeper.Run(ctx) },
			func() error { return server.Run(ctx, l) },
		} {
			done := make(chan error, 1)
			ended = append(ended, done)
			go func() { done <- run() }()
		}
		doors.add(l.Addr().String())
	}
	defer func() {
		cancel()
		for _, done := range ended {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()
	published := func() string {
		found := &corev1.ConfigMap{}
		if err := objects.Get(ctx, client.ObjectKey{Namespace: "default", Name: "ca"}, found); err != nil {
			t.Fatal(err)
		}
		return found.Data["ca.crt"]
	}
	eventually(t, "an authority is published to the API server", func() error {
		hook := &admissionv1.MutatingWebhookConfiguration{}
		if err := objects.Get(ctx, client.ObjectKey{Name: "podid"}, hook); err != nil || len(hook.Webhooks[0].ClientConfig.CABundle) == 0 || published() == "" {
			return errNotYet
		}
		return nil
	})
	var trusted atomic.Pointer[string] // what the kubelet gave the agent, which is a while ago
	first := published()
	trusted.Store(&first)
	bundles, serials, pods := map[string]bool{}, map[string]bool{}, 0
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); {
		bundle := published()
		if !bundles[bundle] {
			bundles[bundle] = true
			time.AfterFunc(time.Second, func() { trusted.Store(&bundle) })
		}
		serials[shakeHands(t, doors.listener.Addr().String(), *trusted.Load())] = true
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "p-"},
			Spec:       corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "c", Image: "app.invalid/app:1"}}},
		}
		if pods == 0 {
			c.ServiceAccount(t, "default", "default")
		}
		if err := objects.Create(ctx, pod, client.DryRunAll); err != nil {
			t.Fatalf("after %d pods: %v", pods, err)
		}
		pods++
		time.Sleep(50 * time.Millisecond) // the certificates' times are real
	}
	t.Logf("%d pods, %d certificates, %d sets of authorities", pods, len(serials), len(bundles))
	if len(serials) < 5 || len(bundles) < 4 {
		t.Errorf("only %d certificates and %d sets of authorities were seen", len(serials), len(bundles))
	}
}

// shakeHands connects as an agent that trusts bundle, and returns the serial of
// the certificate it is shown.
func shakeHands(t *testing.T, address, bundle string) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatalf("an agent: %v", err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}
