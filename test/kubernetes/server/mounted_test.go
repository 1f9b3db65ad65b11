package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/eksauth"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/kubernetes/cluster"
)

// mount puts a Secret's or ConfigMap's data into folder as the kubelet does: the
// files are links into ..data, which is a link itself and is replaced at once.
func mount(t *testing.T, folder string, data map[string][]byte) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	current := filepath.Join(folder, "..data")
	old, err := os.Readlink(current)
	first := os.IsNotExist(err)
	next, err := os.MkdirTemp(folder, "..2026_")
	check(err)
	for name, content := range data {
		check(os.WriteFile(filepath.Join(next, name), content, 0o600))
		if first {
			check(os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name)))
		}
	}
	check(os.Symlink(filepath.Base(next), current+"_tmp"))
	check(os.Rename(current+"_tmp", current))
	if !first {
		check(os.RemoveAll(filepath.Join(folder, old)))
	}
}

// inject tells the API server whom to trust for podid's webhooks, as
// cert-manager's cainjector does.
func (w *world) inject(bundle []byte) {
	w.t.Helper()
	hooks := w.Client(w.t).AdmissionregistrationV1()
	mutating, err := hooks.MutatingWebhookConfigurations().Get(w.t.Context(), "podid", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if _, err := hooks.MutatingWebhookConfigurations().Update(w.t.Context(), mutating, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	validating, err := hooks.ValidatingWebhookConfigurations().Get(w.t.Context(), "podid", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].ClientConfig.CABundle = bundle
	}
	if _, err := hooks.ValidatingWebhookConfigurations().Update(w.t.Context(), validating, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// TestMountedCertificate: with the manifests and rights of tls.mode certManager,
// the certificate in mounted files is renewed and then its authority replaced,
// in one replica before the other as kubelets do; no admission and no agent's
// call fails, and nothing is restarted.
func TestMountedCertificate(t *testing.T) {
	w := newWorld(t, plain, "../../../charts/podid/crds/podid.dev_podidentityassociations.yaml", "../../chart/testdata/cert-manager.yaml")
	old, err := cluster.NewAuthority("old")
	if err != nil {
		t.Fatal(err)
	}
	next, err := cluster.NewAuthority("new")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(a *cluster.Authority) map[string][]byte {
		certificate, key, err := a.Server("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": a.PEM()}
	}
	folders, trust := []string{t.TempDir(), t.TempDir()}, t.TempDir()
	both := append(append([]byte(nil), old.PEM()...), next.PEM()...)
	trusted := func(bundle []byte) {
		w.inject(bundle)
		mount(t, trust, map[string][]byte{"ca.crt": bundle})
	}
	trusted(old.PEM())
	first := issue(old)
	for _, folder := range folders {
		mount(t, folder, first)
		w.replica("--tls-cert-file", filepath.Join(folder, "tls.crt"), "--tls-key-file", filepath.Join(folder, "tls.key"))
	}
	w.associate("app")
	token := w.podToken("web", "node-1")

	agent := identity.Secret(w.agentToken("node-1"))
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var turns atomic.Int64
	load.Go(func() {
		for ; ctx.Err() == nil; turns.Add(1) {
			if err := w.turn(ctx, filepath.Join(trust, "ca.crt"), agent, token); err != nil && ctx.Err() == nil {
				t.Errorf("turn %d: %v", turns.Load(), err)
			}
		}
	})
	defer func() { stop(); load.Wait() }()
	served := func() {
		before := turns.Load()
		eventually(t, "everything goes on", func() error {
			if turns.Load() < before+5 {
				return errNotYet
			}
			return nil
		})
	}

	swap := func(data map[string][]byte) {
		for i, folder := range folders {
			mount(t, folder, data)
			pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, fmt.Sprintf("replica %d serves with what was mounted", i), func() error {
				for _, address := range []string{w.replicas[i].apis, w.replicas[i].webhooks} {
					if shakeHands(t, address, string(both)) != pair.Leaf.SerialNumber.String() {
						return errNotYet
					}
				}
				return nil
			})
			served() // by one that was renewed and one that was not
		}
	}
	swap(issue(old))
	trusted(both)
	served() // until the API server has heard
	swap(issue(next))
	trusted(next.PEM())
	served()
	for i, r := range w.replicas {
		select {
		case <-r.ended:
			t.Errorf("replica %d ended", i)
		default:
		}
	}
}

// turn admits a pod and an association, and asks each replica for credentials
// over a new connection, trusting what is in caFile.
func (w *world) turn(ctx context.Context, caFile string, agent, token identity.Secret) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", GenerateName: "p-"},
		Spec:       corev1.PodSpec{ServiceAccountName: "app", Containers: []corev1.Container{{Name: "c", Image: "app.invalid/app:1"}}},
	}
	if err := w.objects.Create(ctx, pod, client.DryRunAll); err != nil {
		return fmt.Errorf("a pod: %w", err)
	}
	if environment(pod, "AWS_CONTAINER_CREDENTIALS_FULL_URI") == "" {
		return errors.New("a pod was admitted as it was")
	}
	association := &v1alpha1.PodIdentityAssociation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}, Spec: v1alpha1.PodIdentityAssociationSpec{RoleARN: roleARN},
	}
	if err := w.objects.Create(ctx, association, client.DryRunAll); err != nil {
		return fmt.Errorf("an association: %w", err)
	}
	for _, r := range w.replicas {
		c, err := eksauth.NewClient(eksauth.ClientConfig{
			Cluster: clusterName, CAFile: caFile, Token: func() (identity.Secret, error) { return agent, nil }, Endpoint: "https://" + r.apis,
		})
		if err != nil {
			return err
		}
		if _, err := c.AssumeRoleForPodIdentity(ctx, token); err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
	}
	return nil
}
