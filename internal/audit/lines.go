package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// File appends events to a file as lines of JSON. Every event is on disk when
// Write returns. A file that is moved away, as logrotate does, is made anew.
//
// Readers must pass over lines that are not whole: a crash, or a full disk, may
// leave one behind. The event after it starts on a line of its own.
type File struct {
	path string

	mu   sync.Mutex // guards what follows
	file *os.File
	torn bool // the file may end within a line
}

// OpenFile opens the file for appending, and makes it with mode 0600 if it is
// not there.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	if err := f.openLocked(); err != nil {
		return nil, err
	}
	return f, nil
}

// Write appends the event and waits until it is on disk.
func (f *File) Write(_ context.Context, e *Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.appendLocked(line); err != nil {
		return fmt.Errorf("write audit event: %w", err)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

func (f *File) appendLocked(line []byte) error {
	if err := f.followLocked(); err != nil {
		return err
	}
	if f.torn {
		line = append([]byte{'\n'}, line...)
	}
	f.torn = true
	if _, err := f.file.Write(line); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.torn = false
	return nil
}

// followLocked opens the file anew if path no longer leads to the one in hand.
func (f *File) followLocked() error {
	held, err := f.file.Stat()
	if err != nil {
		return err
	}
	current, err := os.Stat(f.path)
	if err == nil && os.SameFile(held, current) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := f.file
	if err := f.openLocked(); err != nil {
		return err
	}
	return old.Close()
}

func (f *File) openLocked() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	torn, err := isTorn(file)
	if err == nil {
		err = syncFolder(f.path) // a new file is lost in a crash if its folder is not on disk
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.torn = file, torn
	return nil
}

// isTorn tells whether the file ends within a line.
func isTorn(file *os.File) (bool, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var last [1]byte
	_, err = file.ReadAt(last[:], info.Size()-1)
	return last[0] != '\n', err
}

func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
