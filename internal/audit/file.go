package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// anchorEvery is how often the head is logged, while there are events.
const anchorEvery = 10 * time.Minute

// FileConfig says where events are kept, and for how long. Path is required.
type FileConfig struct {
	Path string
	// MaxBytes is the size at which a file is put aside and a new one begun; it is
	// exceeded by no more than what is written at once. 0: never for its size.
	MaxBytes int64
	// MaxAge is how long a file is written to before it is put aside. It happens
	// with the next event. 0: never for its age.
	MaxAge time.Duration
	// Keep is the number of files kept that were put aside. 0: all.
	Keep int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger takes the head of the chain now and then, for another system to keep,
	// and what is wrong with files that are found. Nil: nothing.
	Logger *slog.Logger
}

// File appends events to a file as lines of JSON. Every event is on disk when
// Write returns; events that come at the same time share one wait for the disk.
// What is not kept whole is taken back, as far as the disk allows.
//
// Each line holds the hash of the one before it, across files and restarts, and
// PATH.head the hash of the last one: see Verify. One process at a time may write.
//
// A file is put aside as PATH.TIME by its size or age. One that is moved away, as
// logrotate does, is made anew.
type File struct {
	config FileConfig

	mu         sync.Mutex // guards what follows
	pending    *batch     // what the next turn at the disk writes
	committing bool       // somebody is at the disk, and will take pending

	disk     sync.Mutex // guards what follows
	file     lineFile
	head     Head
	headFile *os.File // holds the lock, too
	size     int64    // of file, in bytes
	began    time.Time
	torn     bool // the file may end within a line
	closed   bool
	anchored time.Time
}

// lineFile is what File needs of an *os.File.
type lineFile interface {
	Write([]byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Close() error
}

// batch is what one turn at the disk writes.
type batch struct {
	events [][]byte
	bytes  int
	done   chan struct{} // closed when err is set
	err    error
}

// maxPending bounds what waits for a disk that hangs, in bytes.
const maxPending = 64 << 20

// errSlow is told of an event beyond maxPending.
var errSlow = errors.New("too many events wait for the disk")

// OpenFile opens a file for appending with the rest of FileConfig as it is by itself.
func OpenFile(path string) (*File, error) { return NewFile(FileConfig{Path: path}) }

// NewFile opens the file for appending, and makes it with mode 0600 if it is not
// there. It goes on with the chain that it finds.
func NewFile(c FileConfig) (*File, error) {
	if c.Path == "" {
		return nil, errors.New("audit: FileConfig.Path is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f := &File{config: c}
	var err error
	if f.headFile, err = os.OpenFile(headPath(c.Path), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.headFile.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process writes to %s", c.Path), f.headFile.Close())
	}
	if f.head, err = resume(c); err == nil {
		err = f.openDisk()
	}
	if err != nil {
		return nil, errors.Join(err, f.headFile.Close())
	}
	return f, nil
}

func headPath(path string) string { return path + ".head" }

// Write appends the event and waits until it is on disk. If ctx ends before, the
// event may be kept all the same.
func (f *File) Write(ctx context.Context, e *Event) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	b, err := f.enqueue(line)
	if err != nil {
		return fmt.Errorf("write audit event: %w", err)
	}
	select {
	case <-b.done:
		err = b.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("write audit event: %w", err)
	}
	return nil
}

// enqueue has the event written with the next turn at the disk.
func (f *File) enqueue(event []byte) (*batch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == nil {
		f.pending = &batch{done: make(chan struct{})}
	}
	if f.pending.bytes+len(event) > maxPending {
		return nil, errSlow
	}
	f.pending.events, f.pending.bytes = append(f.pending.events, event), f.pending.bytes+len(event)
	if !f.committing {
		f.committing = true
		go f.commit()
	}
	return f.pending, nil
}

// commit takes turns at the disk for as long as there is something to write.
func (f *File) commit() {
	for {
		f.mu.Lock()
		b := f.pending
		f.pending = nil
		f.committing = b != nil
		f.mu.Unlock()
		if b == nil {
			return
		}
		b.err = f.keep(b.events)
		close(b.done)
	}
}

// Head returns the end of the chain.
func (f *File) Head() Head {
	f.disk.Lock()
	defer f.disk.Unlock()
	return f.head
}

// Close closes the file, once what is being written is.
func (f *File) Close() error {
	f.disk.Lock()
	defer f.disk.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.anchorDisk(f.config.Now())
	return errors.Join(f.file.Close(), f.headFile.Close())
}

func (f *File) keep(events [][]byte) error {
	f.disk.Lock()
	defer f.disk.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	if err := f.followDisk(); err != nil {
		return err
	}
	now := f.config.Now()
	var text []byte
	head := f.head
	if f.torn {
		text = append(text, '\n')
	}
	for _, event := range events {
		var line []byte
		line, head = head.chained(event)
		text = append(text, line...)
	}
	f.rotateDisk(now, int64(len(text)))
	_, err := f.file.Write(text)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		f.takeBackDisk()
		return err
	}
	f.head, f.torn = head, false
	// Not synced: what it says is true of the file whenever it reaches the disk.
	if _, err := f.headFile.WriteAt(fmt.Appendf(nil, "%020d:%s\n", head.Sequence, head.Hash), 0); err != nil {
		f.config.Logger.Warn("the head of the audit file was not noted", "path", headPath(f.config.Path), "error", err)
	}
	if now.Sub(f.anchored) >= anchorEvery {
		f.anchorDisk(now)
	}
	return nil
}

// takeBackDisk removes what a failed write may have left: whoever waited for it
// is told that it was not kept.
func (f *File) takeBackDisk() {
	if err := f.file.Truncate(f.size); err != nil {
		f.torn = true
		// Whole lines may be there as well; they are found like after a crash.
		if head, err := resume(f.config); err == nil {
			f.head = head
		}
	}
}

func (f *File) anchorDisk(now time.Time) {
	if f.anchored = now; f.head.Sequence > 0 {
		f.config.Logger.Info("audit head", "path", f.config.Path, "head", f.head.String())
	}
}

// followDisk opens the file anew if its path no longer leads to the one in hand.
func (f *File) followDisk() error {
	held, err := f.file.Stat()
	if err != nil {
		return err
	}
	f.size = held.Size() // whatever became of earlier writes
	current, err := os.Stat(f.config.Path)
	if err == nil && os.SameFile(held, current) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := f.file
	if err := f.openDisk(); err != nil {
		return err
	}
	return old.Close()
}

func (f *File) openDisk() error {
	file, err := os.OpenFile(f.config.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	var torn bool
	if err == nil && info.Mode().IsRegular() {
		torn, err = isTorn(file, info.Size())
	}
	if err == nil {
		err = syncFolder(f.config.Path) // a new file is lost in a crash if its folder is not on disk
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.torn, f.size, f.began = file, torn, info.Size(), f.config.Now()
	if first, ok := firstEvent(f.config.Path); ok {
		f.began = first.EventTime
	}
	return nil
}

// isTorn tells whether the file ends within a line.
func isTorn(file *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	_, err := file.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// rotateDisk puts the file aside if it is full or old, and removes those that are
// too many. What fails is only logged, and the file goes on: events matter more.
func (f *File) rotateDisk(now time.Time, more int64) {
	full := f.config.MaxBytes > 0 && f.size+more > f.config.MaxBytes
	old := f.config.MaxAge > 0 && now.Sub(f.began) >= f.config.MaxAge
	if f.size == 0 || !full && !old {
		return
	}
	if err := f.asideDisk(now); err != nil {
		f.config.Logger.Warn("the audit file could not be put aside", "path", f.config.Path, "error", err)
	}
}

// asideForm is the time in the names of files put aside, which sort by it.
const asideForm = "20060102T150405.000000000Z"

func (f *File) asideDisk(now time.Time) error {
	aside := f.config.Path + "." + now.UTC().Format(asideForm)
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is there already", aside), err)
	}
	if err := os.Rename(f.config.Path, aside); err != nil {
		return err
	}
	f.anchorDisk(now)
	if err := f.followDisk(); err != nil {
		return err
	}
	if f.config.Keep == 0 {
		return nil
	}
	files, err := asides(f.config.Path)
	for _, file := range files[:max(len(files)-f.config.Keep, 0)] {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// asides returns the files of a path that were put aside, oldest first.
func asides(path string) (found []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		stamp, ok := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		if _, err := time.Parse(asideForm, stamp); ok && err == nil {
			found = append(found, filepath.Join(filepath.Dir(path), entry.Name()))
		}
	}
	slices.Sort(found)
	return found, nil
}

// Files returns the files of an audit file, oldest first: those that were put
// aside, and the one that is written to. A path that has none is its only file.
func Files(path string) ([]string, error) {
	files, err := asides(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err == nil || len(files) == 0 {
		files = append(files, path)
	}
	return files, nil
}
