// Package monitoring holds docs/metrics.md against what podid's components say
// when they are scraped.
package monitoring

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/podid/podid/internal/server"
)

// Metric is what the page says of a metric.
type Metric struct {
	Name, Type, Help string
	// Labels have the values that there can be; none: as many as Open allows.
	Labels map[string][]string
}

// Open are the labels whose values the page does not list, and how many of
// them there may be in one process.
var Open = map[string]struct {
	values string
	most   int
}{
	"code":       {"an HTTP status", 20},
	"version":    {"podid's version", 1},
	"goversion":  {"Go's version", 1},
	"controller": {"a controller", 6},
	"name":       {"a controller, or the lease", 6},
	"result":     {"how it ended", 5},
	"priority":   {"a priority", 6},
	"host":       {"the API server", 2},
	"method":     {"an HTTP method", 7},
}

// Of reads a scraped page.
func Of(families map[string]*dto.MetricFamily) []Metric {
	var all []Metric
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		m := Metric{Name: name, Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp(), Labels: map[string][]string{}}
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				if !slices.Contains(m.Labels[l.GetName()], l.GetValue()) {
					m.Labels[l.GetName()] = append(m.Labels[l.GetName()], l.GetValue())
				}
			}
		}
		all = append(all, m)
	}
	return all
}

// Scrape reads the metrics at url.
func Scrape(url string) (map[string]*dto.MetricFamily, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return Parse(answer.Body)
}

// Parse reads Prometheus' text format.
func Parse(r io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(r)
}

// OfProcess tells whether every program of its language has the metric.
func OfProcess(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

// Undocumented returns what is scraped and not in known, or otherwise there, or
// has more values of a label than it may.
func Undocumented(scraped, known []Metric) []string {
	var wrong []string
	for _, m := range scraped {
		if OfProcess(m.Name) {
			continue
		}
		i := slices.IndexFunc(known, func(k Metric) bool { return k.Name == m.Name })
		if i < 0 {
			wrong = append(wrong, m.Name+" is not documented")
			continue
		}
		if known[i].Type != m.Type {
			wrong = append(wrong, fmt.Sprintf("%s is a %s, documented as a %s", m.Name, m.Type, known[i].Type))
		}
		for label, values := range m.Labels {
			allowed, documented := known[i].Labels[label]
			open, isOpen := Open[label]
			switch {
			case !documented:
				wrong = append(wrong, m.Name+" has the label "+label+", which is not documented")
			case len(allowed) == 0 && (!isOpen || len(values) > open.most):
				wrong = append(wrong, fmt.Sprintf("%s has %d values of the label %s: %.200q", m.Name, len(values), label, values))
			}
			for _, v := range values {
				if len(allowed) > 0 && !slices.Contains(allowed, v) {
					wrong = append(wrong, fmt.Sprintf("%s has %s=%q, which is not documented", m.Name, label, v))
				}
			}
		}
	}
	return wrong
}

// Foreign is what the server serves of libraries.
func Foreign() []Metric {
	var all []Metric
	for _, f := range server.OfControllers() {
		m := Metric{Name: f.Name, Type: f.Type, Help: f.Help, Labels: map[string][]string{}}
		for _, l := range f.Labels {
			m.Labels[l] = nil
		}
		all = append(all, m)
	}
	return all
}

// Table writes metrics as the page has them.
func Table(w io.Writer, all []Metric) {
	fmt.Fprintf(w, "| metric | type | unit | labels | what it says |\n|---|---|---|---|---|\n")
	for _, m := range all {
		var labels []string
		for _, l := range slices.Sorted(maps.Keys(m.Labels)) {
			labels = append(labels, "`"+l+"`: "+valuesOf(l, m.Labels[l]))
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, unitOf(m.Name), strings.Join(labels, "; "), m.Help)
	}
}

func valuesOf(label string, values []string) string {
	if len(values) == 0 {
		return Open[label].values
	}
	return "`" + strings.Join(values, "`, `") + "`"
}

// unitOf reads a name as OpenMetrics would have it.
func unitOf(name string) string {
	name = strings.TrimSuffix(name, "_total")
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

// Close empties the lists of values that are open.
func Close(all []Metric) []Metric {
	for _, m := range all {
		for label := range m.Labels {
			if _, open := Open[label]; open {
				m.Labels[label] = nil
			}
		}
	}
	return all
}

var (
	row    = regexp.MustCompile("^\\| `([a-z_]+)` \\| ([a-z]+) \\| [a-z]* \\| (.*?) \\| (.*) \\|$")
	labels = regexp.MustCompile("`([a-z]+)`: ([^;]+)")
	quoted = regexp.MustCompile("`([^`]+)`")
)

// Read reads the page.
func Read(file string) ([]Metric, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []Metric
	for line := range strings.Lines(string(text)) {
		found := row.FindStringSubmatch(strings.TrimSpace(line))
		if found == nil {
			continue
		}
		m := Metric{Name: found[1], Type: found[2], Help: found[4], Labels: map[string][]string{}}
		for _, l := range labels.FindAllStringSubmatch(found[3], -1) {
			m.Labels[l[1]] = nil
			for _, v := range quoted.FindAllStringSubmatch(l[2], -1) {
				m.Labels[l[1]] = append(m.Labels[l[1]], v[1])
			}
		}
		all = append(all, m)
	}
	return all, nil
}
