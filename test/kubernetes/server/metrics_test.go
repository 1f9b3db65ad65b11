package server

import (
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/test/monitoring"
)

// TestMetrics: what a replica in a cluster tells is documented, libraries' own
// included, and the alerts find what they ask for.
func TestMetrics(t *testing.T) {
	w := start(t, 1)
	w.associate("app")
	w.Cluster.Pod(t, "shop", "web", "app", "node-1")
	token := identity.Secret(w.Token(t, "shop", "app", "web", identity.Audience))
	if _, err := w.agent("node-1", w.replicas...).AssumeRoleForPodIdentity(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	known, err := monitoring.Read("../../../docs/metrics.md")
	if err != nil || len(known) < 40 {
		t.Fatal(len(known), err)
	}
	var all map[string]*dto.MetricFamily
	eventually(t, "the replica leads", func() error {
		if all, err = monitoring.Scrape("http://" + w.replicas[0].metrics + "/metrics"); err != nil {
			return err
		}
		for _, m := range all["leader_election_master_status"].GetMetric() {
			if m.GetLabel()[0].GetValue() == "podid-controller" && m.GetGauge().GetValue() == 1 {
				return nil
			}
		}
		return errNotYet
	})
	for _, wrong := range monitoring.Undocumented(monitoring.Of(all), known) {
		t.Error(wrong)
	}
	if ends := all["podid_certificate_expiry_timestamp_seconds"].GetMetric(); len(ends) != 1 || ends[0].GetGauge().GetValue() == 0 {
		t.Errorf("the certificate ends: %v", ends)
	}
	for _, name := range []string{"controller_runtime_reconcile_total", "workqueue_depth", "rest_client_requests_total", "podid_admission_pods_total"} {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	total := 0
	for name, f := range all {
		if !monitoring.OfProcess(name) {
			total += len(f.GetMetric())
		}
	}
	t.Logf("%d series", total)
}
