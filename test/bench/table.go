package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// row is one line of the table: a ratio or figure, its bound if it has one, and
// what was measured beside it.
type row struct {
	what, podid, bound string
	ok                 bool
	busy               bool   // what the machine takes without podid is beyond the bound already
	beside             string // the bare handler, or the floor that the machine sets
	stock              string // the stock agent
}

func (b *bench) row(r row) { b.rows = append(b.rows, r) }

// table prints the rows as Markdown, which is to be read as it stands.
func (b *bench) table() {
	lines := [][]string{{"what", "podid", "at least", "verdict", "beside it", "stock agent"}}
	for _, r := range b.rows {
		verdict := "ok"
		switch {
		case r.bound == "":
			verdict = "-"
		case !r.ok && r.busy:
			verdict = "busy"
		case !r.ok:
			verdict = "MISSED"
		}
		lines = append(lines, []string{r.what, r.podid, cmp.Or(r.bound, "-"), verdict, cmp.Or(r.beside, "-"), cmp.Or(r.stock, "-")})
	}
	widths := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, cell := range l {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Fprintln(b.out)
	for i, l := range lines {
		for j, cell := range l {
			fmt.Fprintf(b.out, "| %s%s ", cell, strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)))
		}
		fmt.Fprintln(b.out, "|")
		if i == 0 {
			for _, w := range widths {
				fmt.Fprintf(b.out, "|%s", strings.Repeat("-", w+2))
			}
			fmt.Fprintln(b.out, "|")
		}
	}
}

// conditions say when and where it was measured, and what else the machine did.
func conditions() string {
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %s, Linux %s, %d processors (%s), load average %s", time.Now().UTC().Format("2 January 2006 15:04"),
		runtime.Version(), bytes.TrimSpace(kernel), runtime.NumCPU(), processor(), bytes.Join(bytes.Fields(load)[:3], []byte(" ")))
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func ms(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f µs", d.Seconds()*1e6) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// thousands writes a rate so that it can be read.
func thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
