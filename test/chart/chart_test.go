package chart_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"

	"github.com/podid/podid/test/chart"
)

const folder = "../../charts/podid"

var update = flag.Bool("update", false, "write the golden files anew")

// least are the values that have no default.
const least = "cluster: {name: prod, region: eu-central-1, accountID: \"111122223333\"}\n"

// cases are sets of values, which together use every setting.
var cases = map[string]string{
	"defaults": least,
	"cert-manager": least + `
tls: {mode: certManager, issuerRef: {name: internal}}
aws: {access: webIdentity, webIdentity: {roleARN: "arn:aws:iam::111122223333:role/podid"}}
console: {enabled: true}
server:
  prewarm: "shop,billing"
  lease: 30m
  tokenVerification: jwks
  verifyChains: false
  passTargetRole: false
  audit:
    stdout: true
    file: {enabled: true, volume: {persistentVolumeClaim: {claimName: audit}}, maxAge: 24h}
    webhook: {url: "https://siem.example/podid", required: true, secret: {name: siem, tokenKey: token, caKey: ca.crt, certKey: tls.crt, keyKey: tls.key}}
`,
	"own-files": least + `
images:
  registry: registry.example
  tag: v1.2.3
  pullPolicy: Never
  pullSecrets: [{name: pull}]
  agent: {digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
namespaces: {create: false}
tls: {mode: secret, secretName: mine, caBundle: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
aws: {access: secret}
accessKeys: {namespace: keys}
server:
  replicas: 3
  stsEndpoint: http://small-aws.aws.svc:4566
  firstHop: service
  extraArgs: [--verbose]
  extraEnv: [{name: A, value: b}]
  extraVolumes: [{name: scratch, emptyDir: {}}]
  extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
  extraContainers: [{name: signer, image: signer}]
  serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/podid"}}
  service: {type: LoadBalancer, annotations: {a: b}}
  nodeSelector: {pool: system}
  tolerations: [{key: system, operator: Exists}]
  affinity: {nodeAffinity: {}}
  topologySpreadConstraints: [{topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]
  podAnnotations: {a: b}
  podLabels: {c: d}
  podDisruptionBudget: {enabled: false}
agent:
  namespace: nodes
  link: keep
  bindHosts: [169.254.170.23]
  podCIDRs: [10.0.0.0/8]
  endpoints: ["https://10.96.0.20:8443"]
  metricsAddress: 127.0.0.1
  verbosity: debug
  extraArgs: [--when-unheard=refuse]
  extraEnv: [{name: GOGC, value: "25"}]
  nodeSelector: {pool: app}
  affinity: {nodeAffinity: {}}
  hostAliases: [{ip: 10.96.0.20, hostnames: [podid-replicas.podid-system.svc]}]
  podAnnotations: {a: b}
  podLabels: {c: d}
networkPolicy:
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  consoleFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: oauth2-proxy}}}]
console: {enabled: true, readOnly: true, service: {type: LoadBalancer, annotations: {a: b}}}
monitoring:
  podMonitors: {enabled: true, labels: {release: prometheus}, interval: 15s}
  rules: {enabled: true, labels: {release: prometheus}}
  dashboard: {enabled: true, labels: {grafana_dashboard: "yes"}}
tracing: {endpoint: "http://collector.observability.svc:4318", ratio: 0.01}
rbac:
  aggregate: false
  passRoles:
    - name: shop
      roleARNs: ["arn:aws:iam::111122223333:role/shop-pods"]
      subjects: [{kind: Group, name: shop-admins, apiGroup: rbac.authorization.k8s.io}]
`,
	"server-alone": least + "agent: {enabled: false}\nnetworkPolicy: {enabled: false}\nnamespaces: {createRelease: true}\n",
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func render(t *testing.T, text string) string {
	t.Helper()
	rendered, err := chart.Render(t.Context(), chart.Options{Chart: folder, Values: values(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// TestGolden: what is rendered changes only where somebody looks at it.
func TestGolden(t *testing.T) {
	for name, text := range cases {
		t.Run(name, func(t *testing.T) { golden(t, filepath.Join("testdata", name+".yaml"), render(t, text)) })
	}
}

// TestPlainManifests: deploy/podid.yaml is what the chart renders.
func TestPlainManifests(t *testing.T) {
	plain, err := chart.Plain(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../deploy/podid.yaml", plain)
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s, line %d:\n- %s\n+ %s\n\"make generate\" writes it anew", file, i+1, a[i], b[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d; \"make generate\" writes it anew", file, len(a), len(b))
}

func TestLint(t *testing.T) {
	version, err := common.ParseKubeVersion("v1.37.0")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range cases {
		result := lint.RunAll(folder, values(t, text), chart.Namespace, lint.WithKubeVersion(version))
		for _, m := range result.Messages {
			// An icon is for catalogues.
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestRefusals: the schema says what is wrong before anything is installed.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ values, says string }{
		"nothing given":            {"{}", "/cluster/name"},
		"no account":               {"cluster: {name: prod, region: eu-central-1}", "/cluster/accountID"},
		"an account as a number":   {"cluster: {name: prod, region: eu-central-1, accountID: 111122223333}", "/cluster/accountID"},
		"no such region":           {"cluster: {name: prod, region: Frankfurt, accountID: \"111122223333\"}", "/cluster/region"},
		"a misspelt setting":       {least + "server: {replica: 3}", "replica"},
		"no replica":               {least + "server: {replicas: 0}", "/server/replicas"},
		"off as a boolean":         {least + "server: {prewarm: off}", "/server/prewarm"},
		"plain http to the server": {least + "agent: {endpoints: [\"http://podid\"]}", "/agent/endpoints/0"},
		"cert-manager, no issuer":  {least + "tls: {mode: certManager}", "/tls/issuerRef/name"},
		"own files, no authority":  {least + "tls: {mode: secret}", "/tls/caBundle"},
		"web identity, no role":    {least + "aws: {access: webIdentity}", "/aws/webIdentity/roleARN"},
		"a plain audit webhook":    {least + "server: {audit: {webhook: {url: \"http://siem.example\"}}}", "/server/audit/webhook/url"},
		"a wildcard to pass":       {least + "rbac: {passRoles: [{name: a, roleARNs: [\"arn:aws:iam::111122223333:role/*\"], subjects: [{kind: User, name: a}]}]}", "/rbac/passRoles/0/roleARNs/0"},
	} {
		_, err := chart.Render(t.Context(), chart.Options{Chart: folder, Values: values(t, c.values)})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want a refusal that names %s, got %v", name, c.says, err)
		}
	}
}

// TestCertManagersAuthority: agents are told the authority that is given, and the
// API server by the cainjector alone, which adds a new one beside the old.
func TestCertManagersAuthority(t *testing.T) {
	rendered := render(t, least+`tls: {mode: certManager, issuerRef: {name: internal}, caBundle: "given"}`)
	if !strings.Contains(rendered, "\n  ca.crt: |\n    given\n") {
		t.Error("agents are not told the authority")
	}
	if strings.Contains(rendered, "caBundle: ") || strings.Count(rendered, "cert-manager.io/inject-ca-from: podid-system/podid\n") != 2 {
		t.Error("the API server is told by another than the cainjector")
	}
}

// TestACK: where associations are taken from ACK's objects, these are judged too.
func TestACK(t *testing.T) {
	const group = "eks.services.k8s.aws"
	on, off := render(t, least+"server: {ack: true}\n"), render(t, least)
	if n := strings.Count(on, "apiGroups: ["+group+"]"); n != 4 || !strings.Contains(on, "- --ack\n") {
		t.Errorf("%d of two rights and the two rules of webhooks, with server.ack", n)
	}
	if strings.Contains(off, group) || strings.Contains(off, "--ack") {
		t.Error("ACK's objects matter without server.ack")
	}
}
