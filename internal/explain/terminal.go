package explain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Style says how a report is printed.
type Style struct {
	// Color: with the colours of a terminal.
	Color bool
	// Width is where sentences wrap, in columns; diffs and commands never do. 0:
	// nowhere.
	Width int
}

type printer struct {
	out                                  strings.Builder
	width                                int
	green, red, yellow, dim, bold, plain string
}

// line writes one line, however long.
func (p *printer) line(indent int, format string, args ...any) {
	p.out.WriteString(strings.Repeat(" ", indent))
	p.out.WriteString(p.clean(fmt.Sprintf(format, args...)))
	p.out.WriteByte('\n')
}

// clean takes from text what controls a terminal, but for the printer's own
// colours. Policies of other accounts are somebody else's text: what they hold
// must not start a line, nor steer the terminal.
func (p *printer) clean(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		if code := p.colorAt(text); code != "" {
			out.WriteString(code)
			text = text[len(code):]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			r = utf8.RuneError
		}
		out.WriteRune(r)
		text = text[size:]
	}
	return out.String()
}

// sentence writes text that wraps at spaces, further lines under column hang.
func (p *printer) sentence(indent, hang int, format string, args ...any) {
	p.out.WriteString(strings.Repeat(" ", indent))
	column, first := indent, true
	for word := range strings.SplitSeq(p.clean(fmt.Sprintf(format, args...)), " ") {
		long := p.columns(word)
		switch {
		case first:
			first = false
		case p.width > 0 && long > 0 && column+1+long > p.width && column > hang:
			p.out.WriteString("\n" + strings.Repeat(" ", hang))
			column = hang
		default:
			p.out.WriteByte(' ')
			column++
		}
		p.out.WriteString(word)
		column += long
	}
	p.out.WriteByte('\n')
}

// columns is how wide a word is on a terminal, on which colours take no room.
func (p *printer) columns(word string) int {
	n := 0
	for len(word) > 0 {
		if code := p.colorAt(word); code != "" {
			word = word[len(code):]
			continue
		}
		_, size := utf8.DecodeRuneInString(word)
		word = word[size:]
		n++
	}
	return n
}

// colorAt returns the code of the printer's own that text begins with.
func (p *printer) colorAt(text string) string {
	for _, code := range []string{p.green, p.red, p.yellow, p.dim, p.bold, p.plain} {
		if code != "" && strings.HasPrefix(text, code) {
			return code
		}
	}
	return ""
}
