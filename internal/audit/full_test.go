package audit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// crowded is a file on a disk with room for so many bytes.
type crowded struct {
	*os.File
	room int
}

func (c *crowded) Write(text []byte) (int, error) {
	n, err := c.File.Write(text[:min(len(text), c.room)])
	if c.room -= n; n < len(text) {
		err = errors.Join(err, errors.New("no space left on device"))
	}
	return n, err
}

// TestWhatIsNotKeptIsTakenBack: a disk that is full in the middle of a batch
// leaves none of it, and the next event follows the one before.
// TestADiskThatHangs holds up no more than so many events.
func TestADiskThatHangs(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.disk.Lock()
	large, waiting := make([]byte, maxPending/4), 0
	for range 10 {
		if _, err := f.enqueue(large); err == nil {
			waiting++
		} else if !errors.Is(err, errSlow) {
			t.Error(err)
		}
	}
	f.file = &crowded{f.file.(*os.File), 0} // none of that has to reach the disk
	f.disk.Unlock()
	if waiting > 8 {
		t.Errorf("%d wait", waiting)
	}
}

func TestWhatIsNotKeptIsTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	event := func(id string) *Event { e := New(time.Now(), "", ""); e.RequestID = id; return e }
	if err := f.Write(t.Context(), event("1")); err != nil {
		t.Fatal(err)
	}
	disk := f.file.(*os.File)
	for _, room := range []int{0, 1, 150, 400} { // within the first line, and the second
		f.file = &crowded{disk, room}
		one, err := encode(event("lost"))
		if err != nil {
			t.Fatal(err)
		}
		two, err := encode(event("lost too"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.keep([][]byte{one, two}); err == nil {
			t.Fatalf("room for %d bytes: kept", room)
		}
	}
	f.file = disk
	if err := f.Write(t.Context(), event("2")); err != nil {
		t.Fatal(err)
	}
	var ids []string
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if skipped, err := Read(file, func(e *Event) bool { ids = append(ids, e.RequestID); return true }); err != nil || skipped != 0 {
		t.Errorf("%d skipped, %v", skipped, err)
	}
	if len(ids) != 2 || ids[0] != "1" || ids[1] != "2" {
		t.Errorf("kept %v", ids)
	}
	if v, err := Verify([]string{path}); err != nil || v.Fault != nil || v.Torn != 0 {
		t.Errorf("%+v, %v", v, err)
	}
}
