package devenv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// folder is where everything is kept, or nowhere.
type folder struct {
	dir  string
	lock *os.File
}

// path returns the path of a file in the folder, or "" where there is none.
func (f *folder) path(name string) string {
	if f.dir == "" {
		return ""
	}
	return filepath.Join(f.dir, name)
}

func openFolder(dir string) (*folder, error) {
	f := &folder{dir: dir}
	if dir == "" {
		return f, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	lock, err := os.OpenFile(f.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("--data %s: another podid dev uses this folder: stop it, or take another folder", dir)
	}
	f.lock = lock
	return f, nil
}

func (f *folder) close() {
	if f.lock != nil {
		f.lock.Close() // gives the lock back
	}
}

// world returns the world that the folder was made from, or else the one that
// is asked for, which a new folder keeps from then on.
func (f *folder) world(asked *World) (w *World, notice string, err error) {
	path := f.path("world.yaml")
	if path != "" {
		text, err := os.ReadFile(path)
		if err == nil {
			if asked != nil && !bytes.Equal(text, asked.text) {
				notice = fmt.Sprintf("%s was made from another world and goes on with that one; delete the folder to begin with the new one", f.dir)
			}
			w, err = ParseWorld(path, text)
			return w, notice, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	if asked == nil {
		if asked, err = DefaultWorld(); err != nil {
			return nil, "", err
		}
	}
	return asked, "", nil
}

// keep makes w the folder's world, once all of it is in place.
func (f *folder) keep(w *World) error {
	if f.dir == "" {
		return nil
	}
	return replaceFile(f.path("world.yaml"), w.text)
}
