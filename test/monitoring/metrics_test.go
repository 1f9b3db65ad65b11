//go:build linux

package monitoring_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/podid/podid/internal/chain"
	"github.com/podid/podid/internal/changes"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/metrics"
	page "github.com/podid/podid/test/monitoring"
)

const file = "../../docs/metrics.md"

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// everything is what a server can count.
func everything() metrics.Config {
	return metrics.Config{
		Version: "v0.0.0-test", Doors: []string{metrics.EKS, metrics.EKSAuth, metrics.Changes, metrics.Pods, metrics.Validate, metrics.Audit, metrics.Console},
		Chains: func() chain.Stats { return chain.Stats{} }, Feed: func() changes.Stats { return changes.Stats{} },
		Sequence: func() uint64 { return 0 }, CertificateEnds: func() time.Time { return time.Time{} }, AuditWebhook: func() (int, uint64) { return 0, 0 },
	}
}

func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := page.Scrape(url)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// ours leaves out what every program has.
func ours(all []page.Metric) []page.Metric {
	return slices.DeleteFunc(all, func(m page.Metric) bool { return page.OfProcess(m.Name) && !strings.HasPrefix(m.Name, "podid") })
}

// definitions are all metrics, as the components have them before anybody has
// asked them anything.
func definitions(t *testing.T, fresh node) (agent, server []page.Metric) {
	t.Helper()
	scraped, _ := cluster(t)
	return page.Close(ours(page.Of(scrape(t, fresh.metrics)))), page.Close(ours(page.Of(scrape(t, scraped.URL))))
}

// TestDocumented: docs/metrics.md is what the components say of themselves.
func TestDocumented(t *testing.T) {
	agents, servers := definitions(t, agent(t, development(t)))
	var want bytes.Buffer
	fmt.Fprint(&want, head)
	page.Table(&want, agents)
	fmt.Fprint(&want, ofServer)
	page.Table(&want, servers)
	fmt.Fprint(&want, ofLibraries)
	page.Table(&want, page.Foreign())
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, want.Bytes()) {
		t.Errorf("docs/metrics.md is not what the components say: run make generate (%v)", err)
	}
}

// TestScraped: after traffic, friendly and hostile, whatever is scraped is
// documented, with the labels and values that there may be; and whatever is
// documented is scraped.
func TestScraped(t *testing.T) {
	info := development(t)
	n := agent(t, info)
	agents, servers := definitions(t, n)
	scraped, hooks := cluster(t)
	use(t, info, n)
	abuse(t, info, n, hooks.URL)

	seen := map[string]bool{}
	for url, known := range map[string][]page.Metric{
		n.metrics:                          agents,
		info.URL + "/_podid/agent/metrics": agents,
		info.URL + "/_podid/metrics":       servers,
		scraped.URL:                        servers,
	} {
		found := page.Of(scrape(t, url))
		for _, wrong := range page.Undocumented(found, known) {
			t.Errorf("%s: %s", url, wrong)
		}
		for _, m := range found {
			seen[m.Name] = true
		}
	}
	for _, m := range slices.Concat(agents, servers) {
		if !seen[m.Name] {
			t.Errorf("%s is documented, and nobody has it", m.Name)
		}
	}
	server := scrape(t, info.URL+"/_podid/metrics")
	for name, least := range map[string]float64{
		"podid_issue_requests_total": 3, "podid_sts_calls_total": 2, "podid_audit_events_total": 3, "podid_changes_published_total": 1,
		"podid_changes_delivery_seconds": 1, "podid_sts_queue_wait_seconds": 2, "podid_chain_requests_total": 1,
	} {
		if n := total(server[name]); n < least {
			t.Errorf("%s is %v after traffic, want at least %v", name, n, least)
		}
	}
}

// total adds up the series of counters and the counts of histograms.
func total(f *dto.MetricFamily) (n float64) {
	for _, series := range f.GetMetric() {
		n += series.GetCounter().GetValue() + float64(series.GetHistogram().GetSampleCount())
	}
	return n
}

// use asks for credentials and changes an association.
func use(t *testing.T, info *devenv.Info, n node) {
	t.Helper()
	good := token(t, info, info.ServiceAccount, "app-0")
	for range 3 {
		if status := ask(t, n, good); status != http.StatusOK {
			t.Fatalf("a pod with an association got %d", status)
		}
	}
	if status := ask(t, n, token(t, info, "nobody", "other-0")); status != http.StatusNotFound {
		t.Fatalf("a pod without one got %d", status)
	}
	own := info.Administrator(info.Cluster.AccountID)
	client := eks.New(eks.Options{
		Region: info.Cluster.Region, BaseEndpoint: &info.URL,
		Credentials: credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey.Reveal(), ""),
	})
	list, err := client.ListPodIdentityAssociations(t.Context(), &eks.ListPodIdentityAssociationsInput{ClusterName: &info.Cluster.Name})
	if err != nil || len(list.Associations) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	until(t, "the agents listen", func() bool {
		f := scrape(t, info.URL+"/_podid/metrics")["podid_changes_listeners"]
		return f.GetMetric()[0].GetGauge().GetValue() == 2
	})
	if _, err := client.UpdatePodIdentityAssociation(t.Context(), &eks.UpdatePodIdentityAssociationInput{
		ClusterName: &info.Cluster.Name, AssociationId: list.Associations[0].AssociationId, DisableSessionTags: aws.Bool(true),
	}); err != nil {
		t.Fatal(err)
	}
	until(t, "the agent hears of the change", func() bool {
		return total(scrape(t, n.metrics)["podid_agent_changes_total"]) > 0
	})
	ask(t, n, good)
}

// abuse sends what could become labels, if anything a caller chooses did.
func abuse(t *testing.T, info *devenv.Info, n node, hooks string) {
	t.Helper()
	send := func(method, url, authorization, body string) {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", "application/json")
		r.Host = strings.Trim(strings.SplitN(url, "/", 4)[2], "/")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return // a connection that is closed is an answer too
		}
		answer.Body.Close()
	}
	for i := range 100 {
		x := fmt.Sprintf("x%d", i)
		ask(t, n, x)
		ask(t, n, token(t, info, x, x))
		send(x, n.pods+x, x, "")
		send(x, info.URL+"/clusters/"+x+"/assume-role-for-pod-identity", x, `{"token":"a.b.c"}`)
		send(http.MethodPost, info.URL+"/clusters/"+x+"/changes", "AWS4-HMAC-SHA256 Credential="+x+"/20261101/us-west-2/eks-auth/aws4_request, SignedHeaders=host, Signature="+x, x)
		send(http.MethodPost, info.URL+"/clusters/"+x+"/pod-identity-associations", "AWS4-HMAC-SHA256 Credential="+x+"/20261101/us-west-2/eks/aws4_request, SignedHeaders=host, Signature="+x, x)
		send(http.MethodPost, hooks+"/mutate-pods", "", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"`+x+
			`","operation":"CREATE","namespace":"`+x+`","resource":{"resource":"pods"},"object":{"metadata":{"name":"`+x+`"},"spec":{"serviceAccountName":"`+x+`"}}}}`)
		send(x, hooks+"/validate-associations", "", x)
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so within 20 s: %s", what)
		}
	}
}

// TestNames: names and help are as Prometheus' own lint wants them.
func TestNames(t *testing.T) {
	scraped, _ := cluster(t)
	for _, url := range []string{agent(t, development(t)).metrics, scraped.URL} {
		var families []*dto.MetricFamily
		for name, f := range scrape(t, url) {
			if !page.OfProcess(name) {
				families = append(families, f)
			}
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(families) < 15 {
			t.Fatalf("%d families, %v", len(families), err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

const head = `<!-- make generate writes this page from what the components say of themselves; TestDocumented holds them against each other. -->
# Metrics

Everything that podid's components tell Prometheus. How to scrape it, what to be woken for, and the dashboard are in
[monitoring.md](monitoring.md). Names and units follow the
[conventions of Prometheus](https://prometheus.io/docs/practices/naming/). No label holds what a caller chooses: not a pod, a
namespace, a role or a path. So one process has the series listed here and no more, whoever asks it whatever.

## podid-agent

At ` + "`:2705/metrics`" + ` on each node; in development mode at ` + "`/_podid/agent/metrics`" + `.

`

const ofServer = `
Of the process: ` + "`go_goroutines`, `process_open_fds`, `process_resident_memory_bytes`" + `.

## podid server

At ` + "`:8080/metrics`" + ` of each replica; in development mode at ` + "`/_podid/metrics`" + `, where there is no webhook and no certificate.

`

const ofLibraries = `
Beside these, what Prometheus' library tells of every Go process: ` + "`go_*` and `process_*`" + `.

The controllers and the client of the API server are counted by their libraries, controller-runtime and client-go. These of their metrics are served:

`
