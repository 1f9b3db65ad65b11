package audit

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// resume finds the head of the chain that c's file goes on with: that of its last
// whole line, or of the newest file put aside. Where that is less than the head
// noted, lines were cut off; the chain then goes on from the head, so that the gap
// stays for Verify to find.
func resume(c FileConfig) (Head, error) {
	noted, err := notedHead(c.Path)
	if err != nil {
		c.Logger.Error("the head noted of the audit file cannot be read", "path", headPath(c.Path), "error", err)
	}
	files, err := Files(c.Path)
	if err != nil {
		return Head{}, err
	}
	var found Head
	for _, file := range files[max(len(files)-2, 0):] { // the last may be empty, or have nothing but a torn line
		if found, err = lastHead(file, found); err != nil {
			return Head{}, err
		}
	}
	if found.Sequence < noted.Sequence {
		c.Logger.Error("the audit file has lost its end", "path", c.Path, "head", found.String(), "noted", noted.String())
		return noted, nil
	}
	return found, nil
}

// notedHead reads the head beside a file; zero where none is noted.
func notedHead(path string) (Head, error) {
	text, err := os.ReadFile(headPath(path))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	return ParseHead(string(text))
}

// lastHead returns the head after the last line of a file that has a link, or
// before, the head at its beginning. A line without its line break counts if it
// follows the one before.
func lastHead(path string, before Head) (Head, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return before, nil
	}
	if err != nil {
		return before, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return before, err
	}
	// Two lines of the greatest length are at the end of it.
	if _, err := file.Seek(max(info.Size()-2*maxLine-2, 0), io.SeekStart); err != nil {
		return before, err
	}
	head := before
	err = eachLine(file, func(_ int, line []byte, whole bool, _ error) error {
		if link, ok := linkOf(line); ok && (whole || link == Link{head.Sequence + 1, head.Hash}) {
			head = Head{link.Sequence, hashOf(line)}
		}
		return nil
	})
	return head, err
}

// firstEvent reads the first event of a file.
func firstEvent(path string) (e Event, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		return e, false
	}
	defer file.Close()
	_ = eachLine(io.LimitReader(file, 2*maxLine), func(_ int, line []byte, _ bool, _ error) error {
		if json.Unmarshal(line, &e) == nil && !e.EventTime.IsZero() {
			ok = true
			return errEnough
		}
		return nil
	})
	return e, ok
}
