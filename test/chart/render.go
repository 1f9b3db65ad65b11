// Package chart renders podid's Helm chart with Helm's own library.
package chart

import (
	"context"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// Namespace is the one that the chart is rendered for.
const Namespace = "podid-system"

// Options say how to render.
type Options struct {
	// Chart is the folder of the chart.
	Chart string
	// Values are put over the chart's own.
	Values map[string]any
	// CRDs are rendered too.
	CRDs bool
	// Placeholders are allowed as values, whatever the schema says.
	Placeholders bool
}

// Render returns what "helm template podid CHART" prints, in the order in which
// Helm installs.
func Render(ctx context.Context, o Options) (string, error) {
	chart, err := loader.Load(o.Chart)
	if err != nil {
		return "", err
	}
	release := common.ReleaseOptions{Name: "podid", Namespace: Namespace, Revision: 1, IsInstall: true}
	values, err := util.ToRenderValuesWithSchemaValidation(chart, o.Values, release, nil, o.Placeholders)
	if err != nil {
		return "", err
	}
	files, err := engine.Engine{Strict: true}.RenderWithContext(ctx, chart, values)
	if err != nil {
		return "", err
	}
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	_, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	if o.CRDs {
		for _, crd := range chart.CRDObjects() {
			all.WriteString("---\n" + strings.TrimPrefix(strings.TrimSpace(string(crd.File.Data)), "---\n") + "\n")
		}
	}
	for _, m := range manifests {
		all.WriteString("---\n" + strings.TrimPrefix(strings.TrimSpace(m.Content), "---\n") + "\n")
	}
	return all.String(), nil
}

// notPlain are labels that are true of releases alone.
var notPlain = []string{"app.kubernetes.io/managed-by: ", "app.kubernetes.io/instance: ", "helm.sh/chart: "}

// Plain returns the manifests for those who have no Helm. The values that they
// have to fill in are placeholders, with which the server refuses to start.
func Plain(ctx context.Context, folder string) (string, error) {
	text, err := Render(ctx, Options{
		Chart: folder, CRDs: true, Placeholders: true,
		Values: map[string]any{
			"cluster":    map[string]any{"name": "CLUSTER_NAME", "region": "CLUSTER_REGION", "accountID": "CLUSTER_ACCOUNT_ID"},
			"namespaces": map[string]any{"createRelease": true},
		},
	})
	if err != nil {
		return "", err
	}
	var plain strings.Builder
	plain.WriteString("# Made from charts/podid by \"make generate\". Put the name of the cluster, its region and its account in the place of\n" +
		"# CLUSTER_NAME, CLUSTER_REGION and CLUSTER_ACCOUNT_ID, and your images in the place of podid:dev and podid-agent:dev;\n" +
		"# \"podid install\" does, and applies it.\n")
next:
	for line := range strings.Lines(text) {
		for _, label := range notPlain {
			if strings.HasPrefix(strings.TrimLeft(line, " "), label) {
				continue next
			}
		}
		plain.WriteString(line)
	}
	return plain.String(), nil
}
