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

func positionOf(text string, offset int) Position {
	before := text[:offset]
	return Position{
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]),
		Offset: offset,
	}
}

func errorAt(text string, offset int, message string) *SyntaxError {
	p := positionOf(text, offset)
	return &SyntaxError{Line: p.Line, Column: p.Column, Message: message}
}
