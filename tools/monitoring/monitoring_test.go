// Package monitoring holds the alerts and the dashboard against docs/metrics.md,
// by Prometheus' own parser.
package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	page      = "../../docs/metrics.md"
	guide     = "../../docs/monitoring.md"
	alerts    = "../../charts/podid/monitoring/alerts.yaml"
	tests     = "../../test/monitoring/alerts_test.yaml"
	dashboard = "../../charts/podid/monitoring/dashboard.json"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var (
	row   = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| [a-z]* \\| (.*?) \\|")
	label = regexp.MustCompile("`([a-z]+)`: ((?:`[^`]+`(?:, )?)*)")
	value = regexp.MustCompile("`([^`]+)`")
)

// documented are the labels of each series that can be asked for, with their
// values; none: any.
func documented(t *testing.T) map[string]map[string][]string {
	t.Helper()
	all := map[string]map[string][]string{}
	for _, found := range row.FindAllStringSubmatch(string(read(t, page)), -1) {
		name, kind := found[1], found[2]
		has := map[string][]string{}
		for _, l := range label.FindAllStringSubmatch(found[3], -1) {
			has[l[1]] = []string{}
			for _, v := range value.FindAllStringSubmatch(l[2], -1) {
				has[l[1]] = append(has[l[1]], v[1])
			}
		}
		if kind != "histogram" {
			all[name] = has
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			all[name+suffix] = has
		}
	}
	if len(all) < 60 {
		t.Fatalf("%d series are documented; is the page read as it should be?", len(all))
	}
	return all
}

// check finds what is wrong with an expression: that it cannot be parsed, or
// asks for what there is not.
func check(expr string, known map[string]map[string][]string) (wrong []string) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expr, "$__rate_interval", "5m"))
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			has, ok := known[n.Name]
			if !ok {
				wrong = append(wrong, n.Name+" is not in docs/metrics.md")
				return nil
			}
			for _, m := range n.LabelMatchers {
				wrong = append(wrong, matches(n.Name, m, has)...)
			}
		case *parser.AggregateExpr:
			for _, by := range n.Grouping {
				if by != "le" && !slices.ContainsFunc(selected(n.Expr), func(name string) bool { _, ok := known[name][by]; return ok }) {
					wrong = append(wrong, "nothing in "+n.Expr.String()+" has the label "+by)
				}
			}
		}
		return nil
	})
	return wrong
}

func matches(name string, m *labels.Matcher, has map[string][]string) (wrong []string) {
	if m.Name == labels.MetricName {
		return nil
	}
	values, ok := has[m.Name]
	if !ok {
		return []string{name + " has no label " + m.Name}
	}
	wanted := []string{m.Value}
	if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
		wanted = strings.Split(m.Value, "|")
	}
	for _, w := range wanted {
		if len(values) > 0 && !slices.Contains(values, w) {
			wrong = append(wrong, fmt.Sprintf("%s never has %s=%q", name, m.Name, w))
		}
	}
	return wrong
}

func selected(e parser.Expr) (names []string) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names
}

// TestCheck: the test itself finds what is wrong.
func TestCheck(t *testing.T) {
	known := documented(t)
	for expr, want := range map[string]string{
		`podid_no_such_total`:                             "not in docs",
		`podid_sts_calls_total{hop="3"}`:                  "never has",
		`podid_sts_calls_total{outcome=~"granted|lost"}`:  "never has",
		`podid_sts_calls_total{pod="x"}`:                  "no label",
		`sum by (pod) (podid_sts_calls_total)`:            "has the label",
		`sum(`:                                            "parse error",
		`sum by (hop) (rate(podid_sts_calls_total[5m]))`:  "",
		`podid_sts_call_duration_seconds`:                 "not in docs",
		`podid_sts_call_duration_seconds_bucket{hop="1"}`: "",
	} {
		if got := strings.Join(check(expr, known), "; "); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

func TestAlerts(t *testing.T) {
	groups, errs := rulefmt.ParseFile(alerts, false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	known, tested, explained := documented(t), string(read(t, tests)), string(read(t, guide))
	const base = "https://github.com/podid/podid/blob/main/docs/monitoring.md#"
	for _, group := range groups.Groups {
		for _, r := range group.Rules {
			for _, wrong := range check(r.Expr, known) {
				t.Errorf("%s: %s", r.Alert, wrong)
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] != base+strings.ToLower(r.Alert) {
				t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
			}
			if !strings.Contains(explained, "\n### "+r.Alert+"\n") {
				t.Errorf("docs/monitoring.md does not explain %s", r.Alert)
			}
			if !regexp.MustCompile(`alertname: `+r.Alert+`\n\s+exp_alerts:\n`).MatchString(tested) || !strings.Contains(tested, "alertname: "+r.Alert+", exp_alerts: []") {
				t.Errorf("no test shows %s both fire and keep quiet", r.Alert)
			}
		}
	}
}

func TestDashboard(t *testing.T) {
	type source struct{ Type, UID string }
	var d struct {
		UID, Title string
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
		Panels []struct {
			ID          int
			Type, Title string
			Datasource  source
			Panels      []any
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct {
				RefID, Expr string
				Datasource  source
			}
		}
	}
	text := read(t, dashboard)
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&d); err != nil || decoder.More() {
		t.Fatal(err)
	}
	if v := d.Templating.List; d.UID != "podid" || len(v) == 0 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[0].Query != "prometheus" {
		t.Errorf("uid %q, variables %+v", d.UID, v)
	}
	known, rows := documented(t), 0
	ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	used := map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || titles[p.Title] || p.Title == "" {
			t.Errorf("panel %d, %q: its id or title is not its own", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := cells[cell]; taken || cell[0] >= 24 {
					t.Fatalf("%q lies on %q, or beyond the edge", p.Title, other)
				}
				cells[cell] = p.Title
			}
		}
		if p.Type == "row" {
			rows++
			continue
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" {
				t.Errorf("%q: refId %q, data source %+v", p.Title, target.RefID, target.Datasource)
			}
			refs[target.RefID] = true
			for _, wrong := range check(target.Expr, known) {
				t.Errorf("%q: %s", p.Title, wrong)
			}
			if e, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")); err == nil {
				for _, name := range selected(e) {
					used[name] = true
				}
			}
		}
		if len(p.Targets) == 0 {
			t.Errorf("%q asks nothing", p.Title)
		}
	}
	if rows < 6 || len(used) < 35 {
		t.Errorf("%d rows with %d series", rows, len(used))
	}
}
