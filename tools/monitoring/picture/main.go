// Command picture draws podid's dashboard as an SVG without Grafana: the panels
// of the file, their expressions asked of a Prometheus. It is for docs/monitoring.md.
//
//	go run ./picture -prometheus http://127.0.0.1:9090 -last 5m -o ../../docs/monitoring-dashboard.svg
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
}

// series is one line of a panel.
type series struct {
	name   string
	points [][2]float64 // Unix time, value
}

func main() {
	prometheus := flag.String("prometheus", "http://127.0.0.1:9090", "`URL` of the Prometheus that has the data")
	dashboard := flag.String("dashboard", "../../charts/podid/monitoring/dashboard.json", "`file` to draw")
	last := flag.Duration("last", 5*time.Minute, "`time` to draw, up to now")
	out := flag.String("o", "dashboard.svg", "`file` to write")
	flag.Parse()
	if err := run(*prometheus, *dashboard, *last, *out); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(prometheus, dashboard string, last time.Duration, out string) error {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		return err
	}
	var d struct{ Panels []panel }
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	p := &picture{prometheus: prometheus, to: time.Now(), last: last}
	height := 0
	for _, each := range d.Panels {
		if err := p.panel(each); err != nil {
			return fmt.Errorf("%s: %w", each.Title, err)
		}
		height = max(height, (each.GridPos.Y+each.GridPos.H)*cellY)
	}
	return os.WriteFile(out, fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10">`+
		`<rect width="100%%" height="100%%" fill="#f4f5f5"/>%s</svg>`+"\n", 24*cellX, height+4, p.b.String()), 0o644)
}

// The sizes of a cell of the grid.
const (
	cellX = 50
	cellY = 26
)

var colors = []string{"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"}

type picture struct {
	prometheus string
	to         time.Time
	last       time.Duration
	b          strings.Builder
}

func (p *picture) panel(each panel) error {
	g := each.GridPos
	x, y, w, h := float64(g.X*cellX+3), float64(g.Y*cellY+3), float64(g.W*cellX-6), float64(g.H*cellY-6)
	if each.Type == "row" {
		fmt.Fprintf(&p.b, `<text x="%g" y="%g" font-size="13" font-weight="bold">%s</text>`, x+2, y+15, html.EscapeString(each.Title))
		return nil
	}
	var all []series
	for _, t := range each.Targets {
		got, err := p.ask(t.Expr, t.LegendFormat)
		if err != nil {
			return err
		}
		all = append(all, got...)
	}
	fmt.Fprintf(&p.b, `<rect x="%g" y="%g" width="%g" height="%g" fill="#fff" stroke="#ddd"/><text x="%g" y="%g" font-size="11">%s</text>`,
		x, y, w, h, x+6, y+14, html.EscapeString(each.Title))
	if len(all) == 0 {
		fmt.Fprintf(&p.b, `<text x="%g" y="%g" fill="#999" text-anchor="middle">none here</text>`, x+w/2, y+h/2+8)
		return nil
	}
	unit := each.FieldConfig.Defaults.Unit
	switch each.Type {
	case "stat":
		v := all[0].points[len(all[0].points)-1][1]
		fmt.Fprintf(&p.b, `<text x="%g" y="%g" font-size="26" text-anchor="middle">%s</text>`, x+w/2, y+h/2+20, show(v, unit))
	case "table":
		for i, s := range all {
			fmt.Fprintf(&p.b, `<text x="%g" y="%g">%s: %s</text>`, x+10, y+34+float64(i)*14, html.EscapeString(s.name), show(s.points[len(s.points)-1][1], unit))
		}
	default:
		p.plot(all, unit, x+6, y+28, w-12, h-34)
	}
	return nil
}

// plot draws lines over time, and under them what they are.
func (p *picture) plot(all []series, unit string, x, y, w, h float64) {
	top := 0.0
	for _, s := range all {
		for _, at := range s.points {
			top = max(top, at[1])
		}
	}
	if top == 0 {
		top = 1
	}
	rows := float64((min(len(all), 8) + 1) / 2)
	left, bottom := x+44, y+h-12*rows-22
	height := bottom - y
	for _, part := range []float64{0, .5, 1} {
		at := bottom - part*height
		fmt.Fprintf(&p.b, `<path d="M%g %gH%g" stroke="#eee"/><text x="%g" y="%g" text-anchor="end" fill="#666">%s</text>`, left, at, x+w, left-4, at+3, show(part*top, unit))
	}
	fmt.Fprintf(&p.b, `<text x="%g" y="%g" fill="#666">-%s</text><text x="%g" y="%g" text-anchor="end" fill="#666">now</text>`, left, bottom+11, p.last, x+w, bottom+11)
	begin := float64(p.to.Add(-p.last).Unix())
	for i, s := range all {
		var d strings.Builder
		before := math.Inf(-1)
		for _, at := range s.points {
			letter := "L"
			if at[0]-before > 2.5*p.step().Seconds() { // a gap
				letter = "M"
			}
			before = at[0]
			fmt.Fprintf(&d, "%s%.1f %.1f", letter, left+(at[0]-begin)/p.last.Seconds()*(x+w-left), bottom-at[1]/top*height)
		}
		color := colors[i%len(colors)]
		fmt.Fprintf(&p.b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.3"/>`, d.String(), color)
		if i < 8 {
			lx, ly := x+float64(i%2)*w/2, y+h-12*rows+12*float64(i/2)+4
			fmt.Fprintf(&p.b, `<path d="M%g %gh10" stroke="%s" stroke-width="3"/><text x="%g" y="%g" fill="#333">%s</text>`, lx, ly-3, color, lx+14, ly, html.EscapeString(s.name))
		}
	}
}

func (p *picture) step() time.Duration { return max(p.last/150, time.Second).Truncate(time.Second) }

// ask asks Prometheus for an expression over the time that is drawn.
func (p *picture) ask(expr, legend string) ([]series, error) {
	expr = strings.ReplaceAll(expr, "$__rate_interval", "15s")
	answer, err := http.Get(p.prometheus + "/api/v1/query_range?" + url.Values{
		"query": {expr}, "start": {p.to.Add(-p.last).Format(time.RFC3339)}, "end": {p.to.Format(time.RFC3339)}, "step": {p.step().String()},
	}.Encode())
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var got struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		return nil, err
	}
	if got.Error != "" {
		return nil, errors.New(got.Error)
	}
	var all []series
	for _, r := range got.Data.Result {
		s := series{name: named(legend, r.Metric)}
		for _, v := range r.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			if value, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(value) && !math.IsInf(value, 0) {
				s.points = append(s.points, [2]float64{at, value})
			}
		}
		if len(s.points) > 0 {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b series) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// named fills in {{label}} as Grafana does.
func named(legend string, metric map[string]string) string {
	for name, value := range metric {
		legend = strings.ReplaceAll(legend, "{{"+name+"}}", value)
	}
	if legend == "" {
		for _, name := range []string{"version", "instance"} {
			if metric[name] != "" {
				return metric[name]
			}
		}
	}
	return legend
}

// show writes a value in the units that the dashboard has.
func show(v float64, unit string) string {
	switch {
	case unit == "percentunit":
		return fmt.Sprintf("%.4g %%", v*100)
	case unit == "s" && v == 0:
		return "0 s"
	case unit == "s" && v < .001:
		return fmt.Sprintf("%.3g µs", v*1e6)
	case unit == "s" && v < 1:
		return fmt.Sprintf("%.3g ms", v*1e3)
	case unit == "s" && v > 2*86400:
		return fmt.Sprintf("%.3g d", v/86400)
	case unit == "s":
		return fmt.Sprintf("%.3g s", v)
	case unit == "reqps":
		return fmt.Sprintf("%.3g/s", v)
	}
	return fmt.Sprintf("%.4g", v)
}
