package policy

import "errors"

// Document is a parsed policy.
type Document struct{ text string }

// Parse reads a policy document of the given type, as strictly as IAM does.
// Its error is a *SyntaxError.
func Parse(t Type, text string) (*Document, error) { return nil, errors.New("not there yet") }

// SyntaxError says where a document breaks the grammar, and how.
type SyntaxError struct {
	Line, Column int    // 1-based
	Path         string // "Statement[1].Condition.StringEquals"
	Message      string
}

func (e *SyntaxError) Error() string { return e.Message }

// String prints the document in canonical form.
func (d *Document) String() string { return d.text }
