package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// parse reads the event of a line; false: it is none.
func parse(line []byte) (*Event, bool) {
	if line = bytes.TrimSpace(line); len(line) == 0 || line[0] != '{' {
		return nil, false
	}
	e := &Event{}
	if json.Unmarshal(line, e) != nil || e.EventVersion == "" || e.EventTime.IsZero() {
		return nil, false
	}
	return e, true
}

// errEnough ends the reading of lines.
var errEnough = errors.New("enough was read")

// Read calls do for each event of r, in its order, until do returns false. Lines
// that hold none are passed over: stdout may have been taken together with other
// text, and a crash may have left a part of a line. skipped counts these.
func Read(r io.Reader, do func(*Event) bool) (skipped int, err error) {
	err = eachLine(r, func(_ int, line []byte, _ bool, _ error) error {
		e, ok := parse(line)
		switch {
		case !ok && len(bytes.TrimSpace(line)) > 0:
			skipped++
		case ok && !do(e):
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return skipped, err
}

// Search returns the newest events of files that f selects, newest first: at most
// limit of them. more tells whether there are others.
func Search(files []string, f Filter, limit int) (found []*Event, more bool, err error) {
	for _, path := range files {
		if err := searchFile(path, func(e *Event) {
			if !f.Match(e) {
				return
			}
			if found = append(found, e); len(found) >= 2*max(limit, 1) {
				found, more = newest(found, limit), true
				slices.Reverse(found) // in the order of the file again
			}
		}); err != nil {
			return nil, false, err
		}
	}
	more = more || len(found) > limit
	return newest(found, limit), more, nil
}

func searchFile(path string, do func(*Event)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := Read(file, func(e *Event) bool { do(e); return true }); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// newest returns the newest events, newest first; those of the same time in the
// reverse of their order.
func newest(events []*Event, limit int) []*Event {
	sorted := slices.Clone(events)
	slices.Reverse(sorted)
	slices.SortStableFunc(sorted, func(a, b *Event) int { return b.EventTime.Compare(a.EventTime) })
	return sorted[:min(len(sorted), max(limit, 0))]
}

// Newest returns the newest of events that came from several places, newest first,
// each once.
func Newest(events []*Event, limit int) []*Event {
	seen := map[string]bool{}
	events = slices.DeleteFunc(slices.Clone(events), func(e *Event) bool {
		twice := e.EventID != "" && seen[e.EventID]
		seen[e.EventID] = true
		return twice
	})
	slices.Reverse(events)
	return newest(events, limit)
}
