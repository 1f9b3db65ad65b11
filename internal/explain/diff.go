package explain

import (
	"fmt"
	"strings"
)

// around is how many unchanged lines a diff shows on either side of a change.
const around = 3

// unified returns the unified diff of two texts given as lines; "" if they are
// the same. It compares every line with every line, which policies are small
// enough for.
func unified(name string, from, to []string) string {
	script := editScript(from, to)
	var out strings.Builder
	for i := 0; i < len(script); {
		if script[i].mark == ' ' {
			i++
			continue
		}
		first := max(0, i-around)
		last := i // the last changed line of this hunk
		for j := i; j < len(script) && j <= last+2*around; j++ {
			if script[j].mark != ' ' {
				last = j
			}
		}
		end := min(len(script), last+around+1)
		if out.Len() == 0 {
			old := name
			if len(from) == 0 {
				old = "(none)"
			}
			fmt.Fprintf(&out, "--- %s\n+++ %s, mended\n", old, name)
		}
		writeHunk(&out, script[first:end])
		i = end
	}
	return out.String()
}

type edit struct {
	mark     byte // ' ', '-', '+'
	text     string
	from, to int // lines before this one, in either text
}

func writeHunk(out *strings.Builder, hunk []edit) {
	removed, added := 0, 0
	for _, e := range hunk {
		if e.mark != '+' {
			removed++
		}
		if e.mark != '-' {
			added++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(hunk[0].from, removed), span(hunk[0].to, added))
	for _, e := range hunk {
		fmt.Fprintf(out, "%c%s\n", e.mark, e.text)
	}
}

// span is START,COUNT; an empty one names the line before it.
func span(before, count int) string {
	if count == 0 {
		return fmt.Sprintf("%d,0", before)
	}
	return fmt.Sprintf("%d,%d", before+1, count)
}

// editScript turns from into to, by their longest common subsequence.
func editScript(from, to []string) []edit {
	common := make([][]int, len(from)+1)
	for i := range common {
		common[i] = make([]int, len(to)+1)
	}
	for i := len(from) - 1; i >= 0; i-- {
		for j := len(to) - 1; j >= 0; j-- {
			if from[i] == to[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var script []edit
	for i, j := 0, 0; i < len(from) || j < len(to); {
		switch {
		case i < len(from) && j < len(to) && from[i] == to[j]:
			script = append(script, edit{' ', from[i], i, j})
			i, j = i+1, j+1
		case i < len(from) && (j == len(to) || common[i+1][j] >= common[i][j+1]):
			script = append(script, edit{'-', from[i], i, j})
			i++
		default:
			script = append(script, edit{'+', to[j], i, j})
			j++
		}
	}
	return script
}
