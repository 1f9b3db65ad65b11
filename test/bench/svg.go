package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// series is one curve of a plot of latencies.
type series struct {
	name string
	took latencies
}

// curve is one line of points.
type curve struct {
	name string
	x, y []float64
}

// The places of a plot, in pixels.
const (
	plotWidth, plotHeight = 860, 400
	left, right           = 80, 280
	top, bottom           = 50, 55
)

var colors = []string{"#7f8c8d", "#1f6feb", "#d9480f", "#2b8a3e"}

// plot writes a drawing into the folder of plots, if they are wanted.
func (b *bench) plot(name, drawing string) error {
	if b.plots == "" {
		return nil
	}
	if err := os.MkdirAll(b.plots, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.plots, name), []byte(drawing), 0o644)
}

// axis places values of one direction, linear or by powers of ten.
type axis struct {
	from, to float64
	log      bool
	label    string
	marks    []float64
	text     func(float64) string
}

func (a axis) at(v float64) float64 {
	if a.log {
		return math.Log(v/a.from) / math.Log(a.to/a.from)
	}
	return (v - a.from) / (a.to - a.from)
}

// draw draws curves between two axes.
func draw(title string, x, y axis, curves []curve) string {
	var s strings.Builder
	width, height := float64(plotWidth-left-right), float64(plotHeight-top-bottom)
	px := func(v float64) float64 { return left + min(max(x.at(v), 0), 1)*width }
	py := func(v float64) float64 { return top + (1-min(max(y.at(v), 0), 1))*height }
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#ffffff"/><text x="%d" y="28" font-size="16">%s</text>`+"\n", plotWidth, plotHeight, left, html.EscapeString(title))
	for _, m := range x.marks {
		fmt.Fprintf(&s, `<path d="M%.1f %d V%d" stroke="#e3e3e3"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", px(m), top, plotHeight-bottom, px(m), plotHeight-bottom+18, x.text(m))
	}
	for _, m := range y.marks {
		fmt.Fprintf(&s, `<path d="M%d %.1f H%d" stroke="#e3e3e3"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, py(m), plotWidth-right, left-8, py(m)+4, y.text(m))
	}
	fmt.Fprintf(&s, `<text x="%.1f" y="%d" text-anchor="middle">%s</text><text transform="translate(18 %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n",
		left+width/2, plotHeight-12, html.EscapeString(x.label), top+height/2, html.EscapeString(y.label))
	for i, c := range curves {
		var points []string
		for j := range c.x {
			points = append(points, fmt.Sprintf("%.1f,%.1f", px(c.x[j]), py(c.y[j])))
		}
		color := colors[i%len(colors)]
		fmt.Fprintf(&s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="12" height="3" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			plotWidth-right+14, top+8+20*i, color, plotWidth-right+32, top+13+20*i, html.EscapeString(c.name))
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// histogram draws how many of the answers took how long, as shares of columns
// that grow by a tenth.
func histogram(title string, all []series) string {
	const step = 1.1
	least, most := time.Hour, time.Duration(0)
	for _, s := range all {
		if len(s.took) > 0 {
			least, most = min(least, s.took.at(0)), max(most, s.took.at(0.999))
		}
	}
	from := math.Pow(10, math.Floor(math.Log10(least.Seconds()*1e3)))
	to := math.Pow(10, math.Ceil(math.Log10(most.Seconds()*1e3)))
	var curves []curve
	highest := 0.0
	for _, s := range all {
		if len(s.took) == 0 {
			continue
		}
		c := curve{name: fmt.Sprintf("%s, p99 %s", s.name, ms(s.took.at(0.99)))}
		counts := make([]int, int(math.Log(to/from)/math.Log(step))+1)
		for _, d := range s.took {
			n := int(math.Log(d.Seconds()*1e3/from) / math.Log(step))
			counts[min(max(n, 0), len(counts)-1)]++
		}
		for i, n := range counts {
			share := 100 * float64(n) / float64(len(s.took))
			highest = max(highest, share)
			c.x, c.y = append(c.x, from*math.Pow(step, float64(i)+0.5)), append(c.y, share)
		}
		curves = append(curves, c)
	}
	y := axis{to: 5 * math.Ceil(highest/5), label: "answers, %", text: func(v float64) string { return fmt.Sprintf("%.0f", v) }}
	for m := 0.0; m <= y.to; m += 5 {
		y.marks = append(y.marks, m)
	}
	return draw(title, powers(from, to, "latency, ms"), y, curves)
}

// powers is an axis by powers of ten.
func powers(from, to float64, label string) axis {
	a := axis{from: from, to: to, log: true, label: label, text: func(v float64) string {
		if v >= 1 {
			return thousands(v)
		}
		return fmt.Sprintf("%g", v)
	}}
	for m := from; m <= to*1.001; m *= 10 {
		a.marks = append(a.marks, m)
	}
	return a
}
