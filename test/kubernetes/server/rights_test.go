package server

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/podid/podid/api/v1alpha1"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/install"
)

// TestRightsAreEnough: with the rights of its manifests the server does all that
// it has to, and meets no refusal of the API server's; and podid install --check
// finds its webhooks. That the rights are no more than needed, test/chart tests.
func TestRightsAreEnough(t *testing.T) {
	w := start(t, 1, "--prewarm", "on")
	a := w.associate("app")
	w.Cluster.Pod(t, "shop", "web", "app", "node-1")
	token := identity.Secret(w.Token(t, "shop", "app", "web", identity.Audience))
	if _, err := w.agent("node-1", w.replicas...).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	eventually(t, "status, and its event", func() error {
		if err := w.objects.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err
		}
		events, err := w.Client(t).EventsV1().Events("shop").List(t.Context(), metav1.ListOptions{})
		if err == nil && (condition(a, v1alpha1.ConditionReady) != metav1.ConditionTrue || condition(a, v1alpha1.ConditionChainVerified) != metav1.ConditionTrue || len(events.Items) == 0) {
			err = errNotYet
		}
		return err
	})
	report, err := install.Run(t.Context(), install.CheckConfig{API: w.Config})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range report.Checks {
		found = found || c.Name == "webhooks" && c.Status == install.OK && strings.Contains(c.Found, "reaches them")
	}
	if !found {
		t.Errorf("the webhooks were not found: %+v", report.Checks)
	}
	if log := w.replicas[0].text(); strings.Contains(log, "forbidden") || strings.Contains(log, "cannot list") || strings.Contains(log, "cannot watch") {
		t.Errorf("the server was refused something:\n%s", log)
	}
}
