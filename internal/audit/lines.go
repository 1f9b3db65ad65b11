package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Writer writes events to an io.Writer as lines of JSON.
type Writer struct {
	mu sync.Mutex // one line at a time
	w  io.Writer
}

// NewWriter makes a Writer.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one line, in one call of the io.Writer's Write.
func (w *Writer) Write(_ context.Context, e *Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.w.Write(line); err != nil {
		return fmt.Errorf("write audit event: %w", err)
	}
	return nil
}

// encode makes a line of e: JSON escapes every line break within.
func encode(e *Event) ([]byte, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("encode audit event: %w", err)
	}
	return line.Bytes(), nil
}
