package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a document breaks the grammar, and how. Message
// begins with IAM's own text where that is known.
type SyntaxError struct {
	Line, Column int    // 1-based; columns count characters
	Path         string // "Statement[1].Condition.StringEquals"; empty for the document
	Message      string
	TooLarge     bool // the document exceeds a quota; APIs have another exception for that
}

// Error tells all of it in one line.
func (e *SyntaxError) Error() string {
	where := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		where += ", " + e.Path
	}
	return where + ": " + e.Message
}

// under puts key in front of the error's path.
func (e *SyntaxError) under(key string) {
	if e.Path == "" {
		e.Path = key
		return
	}
	if e.Path[0] != '[' {
		key += "."
	}
	e.Path = key + e.Path
}

// Position is a place in a policy's text.
type Position struct {
	Line, Column int // 1-based; columns count characters
	Offset       int // 0-based, in bytes
}

// to returns the position at offset, which is not before p. What lies between
// is all that it looks at.
func (p Position) to(text string, offset int) Position {
	between := text[p.Offset:offset]
	if lines := strings.Count(between, "\n"); lines > 0 {
		p.Line += lines
		p.Column = 1
		between = between[strings.LastIndexByte(between, '\n')+1:]
	}
	p.Column += utf8.RuneCountInString(between)
	p.Offset = offset
	return p
}

func errorAt(text string, offset int, message string) *SyntaxError {
	p := Position{Line: 1, Column: 1}.to(text, offset)
	return &SyntaxError{Line: p.Line, Column: p.Column, Message: message}
}
